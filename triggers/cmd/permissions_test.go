package cmd_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/lambdahost"
	"github.com/caddy-cognito/passwordless/passkey"
	passkeytable "github.com/caddy-cognito/passwordless/passkey/dynamo"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets/issue"
	"github.com/caddy-cognito/passwordless/triggers/create"
)

// guarded is a deployment whose programs have the roles of docs/triggers.md.
type guarded struct {
	*deployment
	pool     *userPool
	programs map[string]*lambdahost.Function
	gates    map[string]*gate
	said     []string // codes, links and tokens that no log may have
}

// Each program does all that it is for under the role that the documentation gives it, and that role has nothing besides.
func TestRoles(t *testing.T) {
	g := guarded{deployment: deploy(t), pool: startUserPool(t), programs: map[string]*lambdahost.Function{}, gates: map[string]*gate{}}
	for _, trigger := range []string{"create", "verify", "pretoken", "notify"} {
		g.gates[trigger] = openGate(t, trigger, g.deployment, g.pool)
		more := append(g.gates[trigger].endpoints(), "EXPOSE_USER_CREDENTIAL_IDS=TRUE", "ISSUER="+g.pool.URL, "USER_POOL_ID="+poolID)
		g.programs[trigger] = start(t, trigger, g.environment(more...)...)
	}
	g.passkeys(t)
	g.refusedMail(t)
	g.link(t)
	g.codes(t)
	g.notification(t)
	for trigger, f := range g.programs {
		f.Close()
		if unused := g.gates[trigger].unused(); len(unused) > 0 {
			t.Errorf("the role of %s permits what nothing needs: %q", trigger, unused)
		}
		all := lines(t, f)
		if len(all) == 0 {
			t.Errorf("%s said nothing", trigger)
		}
		for _, line := range all {
			if line["request_id"] == nil || line["trigger"] != trigger {
				t.Errorf("%s: a line of no call or trigger: %v", trigger, line)
			}
		}
		for _, secret := range append(g.said, alice, "@example", "31612345678", "auth.example.com", "eyJ", "Anna's key") {
			if strings.Contains(f.Output(), secret) {
				t.Errorf("the log of %s tells %q:\n%s", trigger, secret, f.Output())
			}
		}
	}
}

// passkeys has alice sign in by passkey, asked for by ID and without a user name, each with a call that Cognito repeats.
func (g *guarded) passkeys(t *testing.T) {
	store := &passkeytable.Store{Client: g.client, Table: "Authenticators"}
	ceremonies := &passkey.Ceremonies{Store: store, Settings: passkey.Settings{
		RelyingParties: []passkey.RelyingParty{{ID: "example.com", Name: "Example", Origins: []string{"https://auth.example.com"}}},
	}}
	device := passkeytest.NewAuthenticator("https://auth.example.com")
	device.Counter = true
	user := passkey.User{Handle: challenge.UserHandle(alice, alice), Name: "alice"}
	options, err := ceremonies.StartRegistration(t.Context(), user, "example.com")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ceremonies.FinishRegistration(t.Context(), user, device.Create(t, options)); err != nil {
		t.Fatal(err)
	}

	first := change(t, event(t, "create.json"), map[string]any{"session": []any{}, "clientMetadata": map[string]string{}})
	offer := respond(t, g.programs["create"], first)
	public, _ := offer["publicChallengeParameters"].(map[string]any)
	text, _ := public["fido2options"].(string)
	asked, err := challenge.ParsePasskeyOptions(text)
	if err != nil || len(asked.Credentials) != 1 {
		t.Fatalf("%v: %v", err, offer)
	}
	byID := device.Get(t, passkey.RequestOptions{
		Challenge: asked.Challenge, RPID: "example.com", AllowCredentials: []passkey.Descriptor{{ID: asked.Credentials[0].ID, Type: "public-key"}},
	})
	private, _ := offer["privateChallengeParameters"].(map[string]any)
	delete(private, challenge.ParamPasskeys) // as of a create that offers no IDs
	free, err := passkey.NewChallenge(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.PutSignInChallenge(t.Context(), free, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	usernameless := device.Get(t, passkey.RequestOptions{Challenge: free, RPID: "example.com"})
	answers := map[string]challenge.PasskeyAnswer{"by ID": byID, "without a user name": usernameless}
	for _, name := range []string{"by ID", "without a user name"} {
		in := change(t, event(t, "verify.json"), map[string]any{
			"privateChallengeParameters": private, "challengeAnswer": answers[name].Encode(),
			"clientMetadata": map[string]string{"signInMethod": "FIDO2", "attemptId": name},
		})
		for range 2 {
			if got := respond(t, g.programs["verify"], in); got["answerCorrect"] != true {
				t.Errorf("a passkey %s: %v\n%s", name, got, g.programs["verify"].Output())
			}
		}
		again := respond(t, g.programs["create"], first)
		replay := change(t, in, map[string]any{"privateChallengeParameters": again["privateChallengeParameters"]})
		if got := respond(t, g.programs["verify"], replay); got["answerCorrect"] != false {
			t.Errorf("a passkey %s, replayed in another session: %v", name, got)
		}
	}
	g.claims(t, "by ID", `"sign_in_method":"FIDO2"`, `"auth_methods":"passkey"`)
}

// claims checks what the tokens of a sign-in say.
func (g *guarded) claims(t *testing.T, attempt string, want ...string) {
	t.Helper()
	in := change(t, event(t, "../pretoken/testdata/v2.json"), map[string]any{"clientMetadata": map[string]string{"attemptId": attempt}})
	answer, failure := ask(t, g.programs["pretoken"], lambdahost.Event{Payload: in})
	for _, part := range want {
		if failure != nil || strings.Count(answer, part) != 2 {
			t.Errorf("%s is not in both tokens: %s, %v", part, answer, failure)
		}
	}
}

// refusedMail has SES refuse a mail to bob: the caller is told, and may ask again at once. His link is the only one when he uses it.
func (g *guarded) refusedMail(t *testing.T) {
	const bob = "6a0f2f5e-2222-4222-8333-444455556666"
	in := change(t, event(t, "create.json"), map[string]any{"userAttributes": map[string]string{"sub": bob, "email": refusedAddress, "email_verified": "true"}})
	in = inSession(2, []byte(strings.ReplaceAll(string(in), alice, bob)))
	for range 2 {
		if _, failure := ask(t, g.programs["create"], lambdahost.Event{Payload: in}); failure == nil || failure.Message != "the magic link could not be sent" {
			t.Errorf("%+v", failure)
		}
	}
	in = []byte(strings.ReplaceAll(string(in), refusedAddress, "bob@example.com"))
	asked := respond(t, g.programs["create"], in)
	if mails := g.ses.Mails(t); len(mails) != 1 || mails[0].Destination.To[0] != "bob@example.com" {
		t.Errorf("mails %+v", mails)
	}
	answer := change(t, event(t, "verify.json"), map[string]any{
		"userAttributes": map[string]string{"sub": bob, "email": "bob@example.com", "email_verified": "true"}, "challengeAnswer": g.newestLink(t),
		"privateChallengeParameters": asked["privateChallengeParameters"],
	})
	if got := respond(t, g.programs["verify"], []byte(strings.ReplaceAll(string(answer), alice, bob))); got["answerCorrect"] != true {
		t.Errorf("bob's link: %v", got)
	}
}

// newestLink is the fragment of the link that was mailed last.
func (g *guarded) newestLink(t *testing.T) string {
	t.Helper()
	mails := g.ses.Mails(t)
	link := fragment.FindStringSubmatch(mails[len(mails)-1].Body.Text)
	if link == nil {
		t.Fatalf("no link in %+v", mails)
	}
	g.said = append(g.said, link[1])
	return link[1]
}

// link has alice, whose address nobody has proven yet and who has an older link too, sign in by the newer one.
func (g *guarded) link(t *testing.T) {
	older := create.Link{
		UserNameHash: challenge.TableHash("salt", []byte(alice)), SignatureHash: sha256.Sum256([]byte("older")), Operation: sha256.Sum256([]byte("earlier")),
		IssuedAt: time.Now().Add(-5 * time.Minute).Truncate(time.Second), Expires: time.Now().Add(5 * time.Minute).Truncate(time.Second), KeyID: "a key",
	}
	links := &issue.Store{Table: &secrets.Table{Client: g.client, Name: "Secrets"}, KeyID: keyAlias}
	if err := links.Put(t.Context(), older, create.LinkRules{Outstanding: 3, Between: time.Minute}); err != nil {
		t.Fatal(err)
	}
	attributes, _ := g.pool.user()
	asked := respond(t, g.programs["create"], inSession(3, change(t, event(t, "create.json"), map[string]any{"userAttributes": attributes})))
	in := change(t, event(t, "verify.json"), map[string]any{
		"userAttributes": attributes, "privateChallengeParameters": asked["privateChallengeParameters"], "challengeAnswer": g.newestLink(t),
		"clientMetadata": map[string]string{"signInMethod": "MAGIC_LINK", "attemptId": "link"},
	})
	for range 2 {
		if got := respond(t, g.programs["verify"], in); got["answerCorrect"] != true {
			t.Errorf("the link: %v\n%s", got, g.programs["verify"].Output())
		}
	}
	g.claims(t, "link", `"sign_in_method":"MAGIC_LINK"`, `"auth_methods":"magic_link"`)

	// Whoever registered the account before the address was proven is out.
	attributes, signedOut := g.pool.user()
	if attributes["email_verified"] != "true" || signedOut != 1 {
		t.Errorf("the address is verified: %s, sessions ended %d times", attributes["email_verified"], signedOut)
	}
	left, err := (&passkeytable.Store{Client: g.client, Table: "Authenticators"}).List(t.Context(), challenge.UserHandle(alice, alice), "")
	if err != nil || len(left) > 0 {
		t.Errorf("passkeys from before are left: %d, %v", len(left), err)
	}
}

// codes has alice step up by SMS. Two calls at once text her once; only her own access token lets her try.
func (g *guarded) codes(t *testing.T) {
	in := inSession(4, change(t, event(t, "create.json"), map[string]any{"clientMetadata": map[string]string{"signInMethod": "SMS_OTP_STEPUP"}}))
	second := start(t, "create", g.environment()...)
	var private [2]any
	var wg sync.WaitGroup
	for i, f := range []*lambdahost.Function{g.programs["create"], second} {
		wg.Go(func() {
			answer, failure := ask(t, f, lambdahost.Event{Payload: in})
			var got struct{ Response map[string]any }
			if err := json.Unmarshal([]byte(answer), &got); err != nil || failure != nil {
				t.Errorf("%v, %v", err, failure)
			}
			private[i] = got.Response["privateChallengeParameters"]
		})
	}
	wg.Wait()
	sent := g.sns.Sent()
	if len(sent) != 1 {
		t.Fatalf("%d SMS", len(sent))
	}
	code := regexp.MustCompile(`[0-9]{6}`).FindString(sent[0].Message)
	wrong := strings.Map(func(r rune) rune { return '0' + (r-'0'+1)%10 }, code)
	token := g.pool.accessToken(t, nil)
	g.said = append(g.said, code, wrong, token)
	for _, try := range []struct {
		name, token, code string
		pass              bool
	}{
		{"a wrong code", token, wrong, false},
		{"another user's token", g.pool.accessToken(t, map[string]any{"username": "mallory"}), code, false},
		{"another client's token", g.pool.accessToken(t, map[string]any{"client_id": "another"}), code, false},
		{"an ID token", g.pool.accessToken(t, map[string]any{"token_use": "id"}), code, false},
		{"a forged token", token[:strings.LastIndexByte(token, '.')+1] + encode(random(t, 256)), code, false},
		{"the code", token, code, true},
		{"the code, called again", token, code, true},
	} {
		for _, p := range private {
			raw, err := json.Marshal(challenge.SMSAnswer{AccessToken: try.token, SecretCode: try.code})
			if err != nil {
				t.Fatal(err)
			}
			answer := change(t, event(t, "verify.json"), map[string]any{
				"privateChallengeParameters": p, "challengeAnswer": string(raw),
				"clientMetadata": map[string]string{"signInMethod": "SMS_OTP_STEPUP", "attemptId": "sms"},
			})
			if got := respond(t, g.programs["verify"], answer); got["answerCorrect"] != try.pass {
				t.Errorf("%s: %v\n%s", try.name, got, g.programs["verify"].Output())
			}
		}
	}
	g.claims(t, "sms", `"sign_in_method":"SMS_OTP_STEPUP"`, `"auth_methods":"sms"`)
}

// inSession puts an event into a Cognito session of its own, which its nonce tells apart.
func inSession(number int, payload []byte) []byte {
	return []byte(strings.ReplaceAll(string(payload), "AAECAwQFBgcICQoLDA0ODw", fmt.Sprintf("%022d", number)))
}

func random(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// notification tells alice of a changed passkey, and nobody of a user who is gone.
func (g *guarded) notification(t *testing.T) {
	before := len(g.ses.Mails(t))
	known := []byte(strings.Replace(string(event(t, "notify.json")), `"alice"`, `"`+alice+`"`, 1))
	for _, payload := range [][]byte{known, event(t, "notify.json")} {
		if answer, failure := ask(t, g.programs["notify"], lambdahost.Event{Payload: payload}); failure != nil {
			t.Errorf("%s, %v", answer, failure)
		}
	}
	mails := g.ses.Mails(t)[before:]
	if len(mails) != 1 || mails[0].Destination.To[0] != "alice@example.com" || !strings.Contains(mails[0].Body.Text, "Anna's key") {
		t.Errorf("mails %+v", mails)
	}
}
