package localpool

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/smithy-go"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
)

const (
	origin   = "https://auth.example.com"
	rpID     = "example.com"
	redirect = "https://auth.example.com/auth/link"
	alice    = "Alice@example.com"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func testConfig(t testing.TB, c *clock) Config {
	return Config{
		Path: filepath.Join(t.TempDir(), "data", "pool.db"),
		Passkeys: passkey.Settings{RelyingParties: []passkey.RelyingParty{
			{ID: rpID, Name: "Example", Origins: []string{origin}},
		}},
		RedirectURIs: []string{redirect},
		Now:          c.now,
	}
}

func openPool(t testing.TB, c Config) *Pool {
	t.Helper()
	p, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// sdk is the client everybody uses against Cognito.
var clients sync.Map // of *cognito.Client by *Pool: a portal keeps one, too

func sdk(p *Pool) *cognito.Client {
	if client, ok := clients.Load(p); ok {
		return client.(*cognito.Client)
	}
	client, _ := clients.LoadOrStore(p, cognito.New(cognito.Options{
		Region: "local", BaseEndpoint: aws.String(p.Endpoint()), HTTPClient: p.Client(),
		Credentials: aws.AnonymousCredentials{}, Retryer: aws.NopRetryer{},
	}))
	return client.(*cognito.Client)
}

func hash(p *Pool, name string) string {
	return challenge.SecretHash(p.ClientSecret(), name, p.ClientID())
}

func signUp(t testing.TB, p *Pool, email string) string {
	t.Helper()
	out, err := sdk(p).SignUp(t.Context(), &cognito.SignUpInput{
		ClientId: aws.String(p.ClientID()), SecretHash: aws.String(hash(p, email)), Username: aws.String(email), Password: aws.String("x-Long-random-1"),
		UserAttributes: []types.AttributeType{{Name: aws.String("email"), Value: aws.String(email)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !out.UserConfirmed || !isUUID(aws.ToString(out.UserSub)) {
		t.Fatalf("sign-up answered %+v", out)
	}
	return *out.UserSub
}

func initiate(p *Pool, name string) (*cognito.InitiateAuthOutput, error) {
	return sdk(p).InitiateAuth(context.Background(), &cognito.InitiateAuthInput{
		ClientId: aws.String(p.ClientID()), AuthFlow: types.AuthFlowTypeCustomAuth,
		AuthParameters: map[string]string{"USERNAME": name, "SECRET_HASH": hash(p, name)},
	})
}

func mustInitiate(t testing.TB, p *Pool, name string) *cognito.InitiateAuthOutput {
	t.Helper()
	out, err := initiate(p, name)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func respond(p *Pool, session, name, answer string, metadata map[string]string) (*cognito.RespondToAuthChallengeOutput, error) {
	return sdk(p).RespondToAuthChallenge(context.Background(), &cognito.RespondToAuthChallengeInput{
		ClientId: aws.String(p.ClientID()), ChallengeName: types.ChallengeNameTypeCustomChallenge, Session: aws.String(session),
		ChallengeResponses: map[string]string{"USERNAME": name, "ANSWER": answer, "SECRET_HASH": hash(p, name)}, ClientMetadata: metadata,
	})
}

var (
	askForLink = map[string]string{challenge.KeySignInMethod: "MAGIC_LINK", challenge.KeyRedirectURI: redirect + "?flow=abc"}
	haveLink   = map[string]string{challenge.KeySignInMethod: "MAGIC_LINK", challenge.KeyAlreadyHaveMagicLink: "yes"}
	withKey    = map[string]string{challenge.KeySignInMethod: "FIDO2"}
)

var linkInMail = regexp.MustCompile(`https://\S+#\S+`)

// askLink asks for a magic link and returns it from the newest mail in the inbox.
func askLink(t testing.TB, p *Pool, name string) (link string, out *cognito.RespondToAuthChallengeOutput) {
	t.Helper()
	before := len(p.Inbox().Messages())
	out, err := respond(p, *mustInitiate(t, p, name).Session, name, challenge.AnswerAuthParameters, askForLink)
	if err != nil {
		t.Fatal(err)
	}
	messages := p.Inbox().Messages()
	if len(messages) != before+1 {
		t.Fatalf("the inbox has %d messages, want %d", len(messages), before+1)
	}
	link = linkInMail.FindString(messages[0].Text)
	if link == "" {
		t.Fatalf("no link in the mail %q", messages[0].Text)
	}
	return link, out
}

func fragment(t testing.TB, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return u.Fragment
}

// signInByLink does the whole flow, answering in another Cognito session than the one that asked.
func signInByLink(t testing.TB, p *Pool, name string) *types.AuthenticationResultType {
	t.Helper()
	link, _ := askLink(t, p, name)
	return useLink(t, p, name, link)
}

func useLink(t testing.TB, p *Pool, name, link string) *types.AuthenticationResultType {
	t.Helper()
	out, err := respond(p, *mustInitiate(t, p, name).Session, name, fragment(t, link), haveLink)
	if err != nil {
		t.Fatal(err)
	}
	if out.AuthenticationResult == nil {
		t.Fatalf("no tokens for the link: %+v", out)
	}
	return out.AuthenticationResult
}

// refused checks the type and text of an error as the SDK reads it.
func refused(t testing.TB, err error, code, text string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("got %v, want %s", err, code)
	}
	if api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), text) {
		t.Fatalf("got %s: %s, want %s: %s", api.ErrorCode(), api.ErrorMessage(), code, text)
	}
}
