package triggers_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/token"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
	"github.com/caddy-cognito/passwordless/templates"
	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/define"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

const (
	poolID   = "eu-west-1_AbCdEfGhI"
	clientID = "1example23456789"
	alice    = "6a0f2f5e-1111-4222-8333-444455556666"
	bob      = "7b0f2f5e-1111-4222-8333-444455556666"
	origin   = "https://app.example.com"
	rpID     = "app.example.com"
	redirect = "https://auth.example.com/auth/link?flow=abc"
)

var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// pool is as much of a user pool as drives the triggers: sessions, rounds, and the user's attributes.
type pool struct {
	t        *testing.T
	now      time.Time
	memory   *memory
	outbox   *outbox
	signer   *signer
	store    *passkeytest.Store
	passkeys passkey.Store // store, unless a test keeps them elsewhere
	tokens   tokens
	create   *create.Handler
	verify   *verify.Handler
	users    map[string]map[string]string
}

func newPool(t *testing.T) *pool {
	t.Helper()
	p := &pool{
		t: t, now: time.Unix(1795346768, 0), memory: newMemory(), outbox: &outbox{}, store: passkeytest.NewStore(), tokens: tokens{},
		signer: &signer{keys: map[string]*rsa.PrivateKey{"current": signingKey()}},
		users: map[string]map[string]string{
			alice: {"sub": alice, "email": "alice@example.com", "email_verified": "false", "phone_number": "+31612345678", "phone_number_verified": "true"},
			bob:   {"sub": bob, "email": "bob@example.com", "email_verified": "true"},
		},
	}
	p.tokens["alice's"] = token.Claims{Username: alice, ClientID: clientID, Use: token.Access}
	p.tokens["alice's ID token"] = token.Claims{Username: alice, ClientID: clientID, Use: token.ID}
	p.tokens["bob's"] = token.Claims{Username: bob, ClientID: clientID, Use: token.Access}
	p.tokens["of another client"] = token.Claims{Username: alice, ClientID: "another", Use: token.Access}
	p.passkeys = p.store
	now := func() time.Time { return p.now }
	p.create = &create.Handler{
		Secret: []byte(strings.Repeat("s", 32)),
		MagicLink: &create.MagicLink{
			Mailer: p.outbox, Signer: p.signer, Leases: p.memory, Links: p.memory, Salt: "salt", Product: "Example",
			AllowedRedirects: []string{"https://auth.example.com/auth/link"}, Code: true,
			Content: func(_ string, d templates.MagicLinkData) (templates.Message, error) {
				return templates.Message{Subject: d.Code, Text: d.Link, HTML: d.Host}, nil
			},
		},
		Passkeys: &create.Passkeys{Credentials: p.store, RelyingPartyID: rpID, ExposeCredentialIDs: true},
		SMS:      &create.SMS{Texter: texter{p.outbox}, Leases: p.memory, Limiter: p.memory, Salt: "salt"},
		Now:      now,
	}
	p.verify = &verify.Handler{
		MagicLink: &verify.MagicLink{Links: p.memory, Keys: p.signer, Addresses: p.memory, Salt: "salt", Code: true, Operations: p.memory, Limiter: p.memory},
		Passkeys:  &verify.Passkeys{Checker: passkey.Settings{RelyingParties: []passkey.RelyingParty{{ID: rpID, Origins: []string{origin}}}}, Credentials: p.store},
		SMS:       &verify.SMS{Tokens: p.tokens, Limiter: p.memory, Salt: "salt"},
		Receipts:  p.memory,
		Now:       now,
	}
	if err := errors.Join(p.create.Validate(), p.verify.Validate()); err != nil {
		t.Fatal(err)
	}
	return p
}

// session is one Cognito session.
type session struct {
	*pool
	user    string
	client  string
	poolID  string
	rounds  []*events.CognitoEventUserPoolsChallengeResult
	public  map[string]string
	private map[string]string
}

// initiate starts a session: Define and Create of round one.
func (p *pool) initiate(user string) *session {
	p.t.Helper()
	s := &session{pool: p, user: user, client: clientID, poolID: poolID}
	if err := s.challenge(nil, 1); err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (s *session) head(source string) events.CognitoEventUserPoolsHeader {
	return events.CognitoEventUserPoolsHeader{
		Version: "1", TriggerSource: source, UserPoolID: s.poolID, UserName: s.user,
		CallerContext: events.CognitoEventUserPoolsCallerContext{ClientID: s.client},
	}
}

func (s *session) createEvent(metadata map[string]string) events.CognitoEventUserPoolsCreateAuthChallenge {
	e := events.CognitoEventUserPoolsCreateAuthChallenge{CognitoEventUserPoolsHeader: s.head("CreateAuthChallenge_Authentication")}
	attributes, known := s.users[s.user]
	e.Request = events.CognitoEventUserPoolsCreateAuthChallengeRequest{
		UserAttributes: attributes, UserNotFound: !known, ChallengeName: "CUSTOM_CHALLENGE", Session: s.rounds, ClientMetadata: metadata,
	}
	return throughJSON(s.t, e)
}

// challenge calls Create as often as asked with the same event, takes the last answer and opens the next round.
func (s *session) challenge(metadata map[string]string, times int) error {
	s.t.Helper()
	e := s.createEvent(metadata)
	var answer events.CognitoEventUserPoolsCreateAuthChallenge
	for i := range times {
		got, err := s.create.Handle(context.Background(), e)
		if err != nil {
			return err
		}
		if len(s.rounds) > 0 && i > 0 && !sameJSON(s.t, got, answer) {
			s.t.Errorf("call %d answered differently", i+1)
		}
		answer = got
	}
	s.open(answer)
	return nil
}

func (s *session) open(answer events.CognitoEventUserPoolsCreateAuthChallenge) {
	s.public, s.private = answer.Response.PublicChallengeParameters, answer.Response.PrivateChallengeParameters
	for k, v := range s.private {
		if v == "" {
			s.t.Errorf("private parameter %s is empty", k)
		}
	}
	if len(s.private) == 0 || s.public == nil {
		s.t.Error("Cognito refuses missing parameters")
	}
	s.rounds = append(s.rounds, &events.CognitoEventUserPoolsChallengeResult{ChallengeName: "CUSTOM_CHALLENGE", ChallengeMetadata: answer.Response.ChallengeMetadata})
}

func (s *session) verifyEvent(answer any, metadata map[string]string) events.CognitoEventUserPoolsVerifyAuthChallenge {
	e := events.CognitoEventUserPoolsVerifyAuthChallenge{CognitoEventUserPoolsHeader: s.head("VerifyAuthChallengeResponse_Authentication")}
	attributes, known := s.users[s.user]
	e.Request = events.CognitoEventUserPoolsVerifyAuthChallengeRequest{
		UserAttributes: attributes, UserNotFound: !known, PrivateChallengeParameters: s.private, ChallengeAnswer: answer, ClientMetadata: metadata,
	}
	return throughJSON(s.t, e)
}

// answer calls Verify once and notes the result in the session.
func (s *session) answer(answer any, metadata map[string]string) bool {
	s.t.Helper()
	got, err := s.verify.Handle(context.Background(), s.verifyEvent(answer, metadata))
	if err != nil {
		s.t.Fatal(err)
	}
	s.rounds[len(s.rounds)-1].ChallengeResult = got.Response.AnswerCorrect
	return got.Response.AnswerCorrect
}

// decide asks Define what comes next.
func (s *session) decide(metadata map[string]string) events.CognitoEventUserPoolsDefineAuthChallengeResponse {
	s.t.Helper()
	e := events.CognitoEventUserPoolsDefineAuthChallenge{CognitoEventUserPoolsHeader: s.head("DefineAuthChallenge_Authentication")}
	_, known := s.users[s.user]
	e.Request.Session, e.Request.ClientMetadata, e.Request.UserNotFound = s.rounds, metadata, !known
	got, err := define.Handle(context.Background(), e)
	if err != nil {
		s.t.Fatal(err)
	}
	return got.Response
}

var (
	askLink   = map[string]string{challenge.KeySignInMethod: "MAGIC_LINK", challenge.KeyRedirectURI: redirect, challenge.KeyAlreadyHaveMagicLink: "no"}
	bringLink = map[string]string{challenge.KeySignInMethod: "MAGIC_LINK", challenge.KeyAlreadyHaveMagicLink: "yes", challenge.KeyAttemptID: "attempt"}
	bySMS     = map[string]string{challenge.KeySignInMethod: "SMS_OTP_STEPUP"}
	byPasskey = map[string]string{challenge.KeySignInMethod: "FIDO2", challenge.KeyAttemptID: "attempt"}
)

// askForLink goes to round two and returns its session.
func (p *pool) askForLink(user string) *session {
	p.t.Helper()
	s := p.initiate(user)
	if s.answer(challenge.AnswerAuthParameters, askLink) {
		p.t.Fatal("__dummy__ passed")
	}
	if got := s.decide(askLink).ChallengeName; got != challenge.CustomChallenge {
		p.t.Fatalf("Define answered %q", got)
	}
	if err := s.challenge(askLink, 1); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// lastLink is the fragment in the newest mail.
func (p *pool) lastLink() string {
	p.t.Helper()
	if len(p.outbox.mails) == 0 {
		p.t.Fatal("no mail")
	}
	_, fragment, ok := strings.Cut(p.outbox.mails[len(p.outbox.mails)-1].Text, "#")
	if !ok {
		p.t.Fatal("no link in the mail")
	}
	return fragment
}

// throughJSON is what a Lambda sees.
func throughJSON[T any](t *testing.T, v T) T {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func sameJSON(t *testing.T, a, b any) bool {
	t.Helper()
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return string(x) == string(y)
}
