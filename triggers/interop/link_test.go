package interop_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/dynamotest"
	awsaccount "github.com/caddy-cognito/passwordless/triggers/aws/account"
	"github.com/caddy-cognito/passwordless/triggers/aws/awstest"
	"github.com/caddy-cognito/passwordless/triggers/aws/kms"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets/issue"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets/redeem"
	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

const linkKey = "alias/links"

// linkSide is one implementation of magic links.
type linkSide interface {
	// ask answers round two of a session; the texts of mails that went out, and the error's text.
	ask(t *testing.T, a visitor, redirect string) (private map[string]string, mail, refused string)
	// use reports whether Verify passes a link, in a session with those private parameters.
	use(t *testing.T, a visitor, private map[string]string, fragment string) bool
}

// visitor is who asks at which client.
type visitor struct {
	account
	client string
}

func (a visitor) createEvent(metadata, redirect string) createEvent {
	e := createFor(a.account)
	e.CallerContext.ClientID = cmp.Or(a.client, e.CallerContext.ClientID)
	e.Request.Session = []*round{{ChallengeName: "CUSTOM_CHALLENGE", ChallengeMetadata: metadata}}
	e.Request.ClientMetadata = map[string]string{
		challenge.KeySignInMethod: string(challenge.MagicLink), challenge.KeyRedirectURI: redirect, challenge.KeyAlreadyHaveMagicLink: "no",
	}
	return e
}

func (a visitor) verifyEvent(private map[string]string, fragment string) verifyEvent {
	e := verifyFor(a.account, private, challenge.PasskeyAnswer{})
	e.CallerContext.ClientID = cmp.Or(a.client, e.CallerContext.ClientID)
	e.Request.ChallengeAnswer = fragment
	e.Request.ClientMetadata = map[string]string{challenge.KeySignInMethod: string(challenge.MagicLink)}
	return e
}

// linkSides are both, on one table and one key.
type linkSides struct {
	ours   *ourLinks
	theirs *theirLinks
}

func newLinkSides(t *testing.T) linkSides {
	t.Helper()
	database := dynamotest.Start(t)
	dynamotest.CreateSecretsTable(t, database, "Secrets")
	keys, services := awstest.StartKMS(t), startAWS(t)
	keys.AddKey(t, linkKey)
	const salt = "arn:aws:cloudformation:stack"
	other := startNode(t,
		"AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"AWS_ENDPOINT_URL="+services.URL, "AWS_ENDPOINT_URL_KMS="+keys.URL, "AWS_ENDPOINT_URL_DYNAMODB="+*database.Options().BaseEndpoint,
		"ALLOWED_ORIGINS="+ownSite, "STACK_ID="+salt, "MAGIC_LINK_ENABLED=TRUE", "SES_FROM_ADDRESS=no-reply@example.com", "KMS_KEY_ID="+linkKey,
		"DYNAMODB_SECRETS_TABLE=Secrets", "SECONDS_UNTIL_EXPIRY=900", "MIN_SECONDS_BETWEEN=60")
	return linkSides{ours: newOurLinks(t, database, keys, salt), theirs: &theirLinks{node: other, aws: services}}
}

func (s linkSides) named() map[string]linkSide {
	return map[string]linkSide{"ours": s.ours, "theirs": s.theirs}
}

// ourLinks is our side.
type ourLinks struct {
	create *create.Handler
	verify *verify.Handler
	clock  time.Duration // ahead of the real time, which theirs goes by

	mu    sync.Mutex
	mails []string
}

func newOurLinks(t *testing.T, database *dynamodb.Client, keys *awstest.KMS, salt string) *ourLinks {
	t.Helper()
	environment := map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_ENDPOINT_URL_KMS": keys.URL,
	}
	a, err := awsaccount.New(func(name string) string { return environment[name] })
	if err != nil {
		t.Fatal(err)
	}
	client := awskms.NewFromConfig(a.Calls("KMS", ""))
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	o := &ourLinks{}
	now := func() time.Time { return time.Now().Add(o.clock) }
	secretsTable := &secrets.Table{Client: database, Name: "Secrets", Now: now}
	store := &issue.Store{Table: secretsTable, KeyID: linkKey}
	o.create = &create.Handler{Secret: secret, Now: now, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), MagicLink: &create.MagicLink{
		Mailer: o, Signer: &kms.Signer{Client: client, KeyID: linkKey}, Leases: store, Links: store, Salt: salt,
		AllowedRedirects: []string{ownSite},
	}}
	o.verify = &verify.Handler{Now: now, Logger: o.create.Logger, MagicLink: &verify.MagicLink{
		Links: redeem.Store{Table: secretsTable}, Keys: &kms.Keys{Client: client}, Salt: salt,
	}}
	for _, err := range []error{o.create.Validate(), o.verify.Validate()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// Send implements [create.Mailer].
func (o *ourLinks) Send(_ context.Context, m create.Mail) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mails = append(o.mails, m.Text)
	return nil
}

func (o *ourLinks) ask(t *testing.T, a visitor, redirect string) (map[string]string, string, string) {
	t.Helper()
	before := len(o.mails)
	e, err := o.create.Handle(t.Context(), a.createEvent(challenge.ProvideAuthParameters+"|"+nonce(), redirect))
	if err != nil {
		return nil, "", err.Error()
	}
	return e.Response.PrivateChallengeParameters, strings.Join(o.mails[before:], ""), ""
}

func (o *ourLinks) use(t *testing.T, a visitor, private map[string]string, fragment string) bool {
	t.Helper()
	e, err := o.verify.Handle(t.Context(), a.verifyEvent(private, fragment))
	if err != nil {
		t.Fatal(err)
	}
	return e.Response.AnswerCorrect
}

// theirLinks is the other side.
type theirLinks struct {
	*node
	aws *fakeAWS
}

func (n *theirLinks) ask(t *testing.T, a visitor, redirect string) (map[string]string, string, string) {
	t.Helper()
	before := n.aws.lastMail()
	got := n.all(t, createModule, a.createEvent(challenge.ProvideAuthParameters, redirect))[0]
	if got.Error != "" {
		return nil, "", got.Error
	}
	var e createEvent
	decode(t, got.Event, &e)
	mail := n.aws.lastMail()
	if mail == before {
		mail = ""
	}
	return e.Response.PrivateChallengeParameters, mail, ""
}

func (n *theirLinks) use(t *testing.T, a visitor, private map[string]string, fragment string) bool {
	t.Helper()
	got := n.all(t, verifyModule, a.verifyEvent(private, fragment))[0]
	var e verifyEvent
	if got.Error == "" {
		decode(t, got.Event, &e)
	}
	return e.Response.AnswerCorrect // an error lets nobody in either
}

// nonce is what our Create gives a session.
func nonce() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw)
	return challenge.EncodeBase64(raw)
}

// link asks one side for a link and returns its fragment.
func link(t *testing.T, by linkSide, a visitor) (fragment string) {
	t.Helper()
	_, mail, refused := by.ask(t, a, ownSite+"/auth/link?flow=x")
	_, rest, found := strings.Cut(mail, ownSite+"/auth/link?flow=x#")
	if refused != "" || !found {
		t.Fatalf("no link: %q, mail %q", refused, mail)
	}
	fragment, _, _ = strings.Cut(rest, "\n")
	fragment, _, _ = strings.Cut(fragment, " ")
	return fragment
}

// session is the private parameters of a session whose person has a link already.
func session(side linkSide) map[string]string {
	private := map[string]string{challenge.ParamChallenge: challenge.ProvideMagicLink}
	if _, ok := side.(*ourLinks); ok {
		private[challenge.ParamNonce] = nonce()
	}
	return private
}

// A link made by either side is accepted by either, once in all; what is forged by nobody.
func TestLinksOfEitherSide(t *testing.T) {
	s := newLinkSides(t)
	for maker, from := range s.named() {
		for checker, by := range s.named() {
			t.Run("made by "+maker+", used at "+checker, func(t *testing.T) {
				a := visitor{account: newAccount()}
				fragment := link(t, from, a)
				somebody, elsewhere := visitor{account: newAccount()}, visitor{account: a.account, client: "another"}
				// The first letter of the signature holds six of its bits: another one is another signature.
				message, signature, _ := strings.Cut(fragment, ".")
				other := "A"
				if signature[0] == 'A' {
					other = "B"
				}
				last := message + "." + other + signature[1:]
				for what, use := range map[string]struct {
					who  visitor
					what string
				}{"another user": {somebody, fragment}, "altered": {a, last}, "without signature": {a, strings.Split(fragment, ".")[0]}} {
					for name, side := range s.named() {
						if side.use(t, use.who, session(side), use.what) {
							t.Errorf("%s: accepted by %s", what, name)
						}
					}
				}
				// Theirs would burn the link by this: it looks at the signature last (their defect 13).
				if s.ours.use(t, elsewhere, session(s.ours), fragment) {
					t.Error("another client: accepted by ours")
				}
				if !by.use(t, a, session(by), fragment) {
					t.Fatal("refused")
				}
				for name, side := range s.named() {
					if side.use(t, a, session(side), fragment) {
						t.Errorf("accepted a second time, by %s", name)
					}
				}
			})
		}
	}
}

// Differences on purpose.
func TestLinksDiffer(t *testing.T) {
	s := newLinkSides(t)
	t.Run("asking again voids nothing", func(t *testing.T) { // their defect 14: anyone could void a pending link
		a := visitor{account: newAccount()}
		first := link(t, s.ours, a)
		s.ours.clock += 61 * time.Second
		defer func() { s.ours.clock = 0 }()
		second := link(t, s.ours, a)
		if s.theirs.use(t, a, session(s.theirs), first) {
			t.Error("theirs knows one link a user, and accepted an older one")
		}
		if !s.ours.use(t, a, session(s.ours), first) {
			t.Error("ours refuses a link because another was asked for")
		}
		for name, side := range s.named() {
			if side.use(t, a, session(side), second) {
				t.Errorf("%s accepts a link after another was used", name)
			}
		}
	})
	t.Run("what a redirectUri may hold", func(t *testing.T) { // their defect 2: it stood unescaped in the mail
		for _, bad := range []string{ownSite + `/"><img src=x>`, ownSite + "/#x", "https://user@app.example.com/", ownSite + "/a b"} {
			if _, mail, refused := s.ours.ask(t, visitor{account: newAccount()}, bad); refused == "" || mail != "" {
				t.Errorf("ours mails a link to %q", bad)
			}
		}
		if _, mail, refused := s.theirs.ask(t, visitor{account: newAccount()}, ownSite+`/"><img src=x>`); refused != "" || !strings.Contains(mail, "<img") {
			t.Errorf("theirs: %q, %q: say so in docs/triggers.md if it does so no more", refused, mail)
		}
		for name, side := range s.named() {
			if _, mail, refused := side.ask(t, visitor{account: newAccount()}, "https://evil.example.net/auth/link"); refused == "" || mail != "" {
				t.Errorf("%s mails a link to a foreign origin", name)
			}
		}
	})
	t.Run("a second link within a minute", func(t *testing.T) { // their defects 1 and 3: the error told that there is such a user, also to a retry
		a := visitor{account: newAccount()}
		link(t, s.ours, a)
		if _, mail, refused := s.ours.ask(t, a, ownSite+"/"); mail != "" || refused != "" {
			t.Errorf("ours: mail %q, error %q", mail, refused)
		}
		b := visitor{account: newAccount()}
		link(t, s.theirs, b)
		if _, mail, refused := s.theirs.ask(t, b, ownSite+"/"); mail != "" || refused == "" {
			t.Errorf("theirs: mail %q, error %q", mail, refused)
		}
		if _, mail, refused := s.ours.ask(t, b, ownSite+"/"); mail != "" || refused != "" {
			t.Errorf("ours after theirs: mail %q, error %q", mail, refused)
		}
		if _, mail, refused := s.theirs.ask(t, a, ownSite+"/"); mail != "" || refused == "" {
			t.Errorf("theirs after ours: mail %q, error %q", mail, refused)
		}
	})
	t.Run("a link at another client", func(t *testing.T) { // their defect 13: it was consumed before its signature was checked
		a := visitor{account: newAccount()}
		fragment := link(t, s.ours, a)
		if s.theirs.use(t, visitor{account: a.account, client: "another"}, session(s.theirs), fragment) {
			t.Error("accepted by theirs")
		}
		if s.theirs.use(t, a, session(s.theirs), fragment) {
			t.Error("theirs does not burn it any more: say so in docs/triggers.md")
		}
	})
	t.Run("a retried Verify", func(t *testing.T) { // their defect 1: the link was burned, then denied
		a := visitor{account: newAccount()}
		fragment, private := link(t, s.ours, a), session(s.ours)
		for range 3 {
			if !s.ours.use(t, a, private, fragment) {
				t.Error("ours denies its own retry")
			}
		}
		b := visitor{account: newAccount()}
		fragment, private = link(t, s.theirs, b), session(s.theirs)
		if !s.theirs.use(t, b, private, fragment) || s.theirs.use(t, b, private, fragment) {
			t.Error("theirs does not deny its retry any more: say so in docs/triggers.md")
		}
	})
}
