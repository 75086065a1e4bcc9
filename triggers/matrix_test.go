package triggers_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
	"github.com/caddy-cognito/passwordless/triggers/pretoken"
)

// way is one way to sign in: ask is the metadata of the answer to round one where a second round follows, prove gives the answer.
type way struct {
	ask, with map[string]string
	setUp     func(p *pool) *passkeytest.Authenticator
	prove     func(p *pool, s *session, device *passkeytest.Authenticator) string
	messages  int
	claim     string
}

func withPasskey(counter, exposed bool) func(p *pool) *passkeytest.Authenticator {
	return func(p *pool) *passkeytest.Authenticator {
		p.create.Passkeys.ExposeCredentialIDs = exposed
		device := passkeytest.NewAuthenticator(origin)
		device.Counter = counter
		p.register(alice, device)
		return device
	}
}

func assertion(p *pool, s *session, device *passkeytest.Authenticator) string {
	return device.Get(p.t, s.offered()).Encode()
}

var ways = map[string]way{
	"link in the browser that asked": {
		ask: askLink, with: askLink, messages: 1, claim: "magic_link",
		prove: func(p *pool, _ *session, _ *passkeytest.Authenticator) string { return p.lastLink() },
	},
	"link in another browser": {
		with: bringLink, messages: 1, claim: "magic_link",
		setUp: func(p *pool) *passkeytest.Authenticator { p.askForLink(alice); return nil },
		prove: func(p *pool, _ *session, _ *passkeytest.Authenticator) string { return p.lastLink() },
	},
	"code of a mail": {
		ask: askCode, with: byCode, messages: 1, claim: "email_code",
		prove: func(p *pool, _ *session, _ *passkeytest.Authenticator) string {
			return challenge.CodeAnswer(p.mailedCode())
		},
	},
	"code by SMS": {
		ask: bySMS, with: bySMS, messages: 1, claim: "sms",
		prove: func(p *pool, _ *session, _ *passkeytest.Authenticator) string {
			return code("alice's", sixDigits.FindString(p.outbox.texts[0].Body))
		},
	},
	"synced passkey":                       {with: byPasskey, claim: "passkey", setUp: withPasskey(false, false), prove: assertion},
	"security key":                         {with: byPasskey, claim: "passkey", setUp: withPasskey(true, false), prove: assertion},
	"synced passkey of the session's list": {with: byPasskey, claim: "passkey", setUp: withPasskey(false, true), prove: assertion},
	"security key of the session's list":   {with: byPasskey, claim: "passkey", setUp: withPasskey(true, true), prove: assertion},
	"passkey without a name typed":         {with: byPasskey, claim: "passkey", setUp: withPasskey(false, false), prove: usernameless},
	"security key without a name typed":    {with: byPasskey, claim: "passkey", setUp: withPasskey(true, false), prove: usernameless},
}

func usernameless(p *pool, _ *session, device *passkeytest.Authenticator) string {
	asked, err := passkey.NewChallenge(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.passkeys.PutSignInChallenge(context.Background(), asked, p.now.Add(2*time.Minute)); err != nil {
		p.t.Fatal(err)
	}
	return device.Get(p.t, passkey.RequestOptions{Challenge: asked, RPID: rpID}).Encode()
}

// call is how Cognito calls a trigger: it answers with the last answer, and with all of them.
type call func(p *pool, invoke func() (string, error)) []string

func times(n int, pause time.Duration) call {
	return func(p *pool, invoke func() (string, error)) []string {
		p.t.Helper()
		answers := make([]string, n)
		for i := range answers {
			var err error
			if answers[i], err = invoke(); err != nil {
				p.t.Fatalf("call %d: %v", i+1, err)
			}
			p.now = p.now.Add(pause)
		}
		return answers
	}
}

func atOnce(p *pool, invoke func() (string, error)) []string {
	p.t.Helper()
	answers := make([]string, 6)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			var err error
			if answers[i], err = invoke(); err != nil {
				p.t.Errorf("call %d: %v", i+1, err)
			}
		})
	}
	wg.Wait()
	return answers
}

var calls = map[string]call{
	"once":                           times(1, 0),
	"twice":                          times(2, 0),
	"three times":                    times(3, 0),
	"again, the first answer lost":   times(2, 5*time.Second),
	"three times, two answers lost":  times(3, 5*time.Second),
	"again, after the lease is over": times(2, 6*time.Second),
	"six times at the same moment":   atOnce,
}

func sameAnswers(t *testing.T, trigger string, answers []string) {
	t.Helper()
	for i, a := range answers {
		if a != answers[0] {
			t.Errorf("%s: call %d answered %s, the first %s", trigger, i+1, a, answers[0])
		}
	}
}

// Cognito calls every trigger up to three times with one event, also at once and after it lost an answer. Whatever the method: one
// message goes out, every call gets the same answer, the sign-in succeeds, and the same proof in another Cognito session does not.
func TestEveryTriggerCalledAgain(t *testing.T) {
	for name, w := range ways {
		for how, call := range calls {
			t.Run(name+", "+how, func(t *testing.T) {
				p := newPool(t)
				var device *passkeytest.Authenticator
				if w.setUp != nil {
					device = w.setUp(p)
				}
				with := maps.Clone(w.with)
				with[challenge.KeyAttemptID] = "attempt"
				s := p.initiate(alice)
				if w.ask != nil {
					p.nextRound(s, w.ask, call)
				}
				proof := w.prove(p, s, device)
				e := s.verifyEvent(proof, with)
				verified := call(p, func() (string, error) {
					got, err := p.verify.Handle(context.Background(), e)
					return fmt.Sprint(got.Response.AnswerCorrect), err
				})
				sameAnswers(t, "Verify", verified)
				if verified[0] != "true" {
					t.Fatal("denied")
				}
				s.rounds[len(s.rounds)-1].ChallengeResult = true
				sameAnswers(t, "Define", call(p, func() (string, error) { return fmt.Sprintf("%+v", s.decide(with)), nil }))
				if !s.decide(with).IssueTokens {
					t.Error("no tokens")
				}
				claims := call(p, func() (string, error) { return p.claims(with) })
				sameAnswers(t, "PreTokenGeneration", claims)
				if claims[0] != w.claim {
					t.Errorf("claim %q, want %q", claims[0], w.claim)
				}
				if n := len(p.outbox.mails) + len(p.outbox.texts); n != w.messages {
					t.Errorf("%d messages", n)
				}
				p.replay(w, proof)
			})
		}
	}
}

// nextRound answers round one and calls Create.
func (p *pool) nextRound(s *session, ask map[string]string, call call) {
	p.t.Helper()
	s.answer(challenge.AnswerAuthParameters, ask)
	e := s.createEvent(ask)
	var mu sync.Mutex
	var last events.CognitoEventUserPoolsCreateAuthChallenge
	sameAnswers(p.t, "Create", call(p, func() (string, error) {
		got, err := p.create.Handle(context.Background(), e)
		mu.Lock()
		defer mu.Unlock()
		last = got
		return fmt.Sprintf("%v", got.Response), err
	}))
	s.open(last)
}

// claims calls PreTokenGeneration with a V1 event and returns auth_methods.
func (p *pool) claims(metadata map[string]string) (string, error) {
	h := &pretoken.Handler{Receipts: p.memory, Now: func() time.Time { return p.now }}
	e := events.CognitoEventUserPoolsPreTokenGen{CognitoEventUserPoolsHeader: (&session{user: alice, client: clientID}).head("TokenGeneration_Authentication")}
	e.Request.ClientMetadata = metadata
	got, err := h.Handle(context.Background(), e)
	return got.Response.ClaimsOverrideDetails.ClaimsToAddOrOverride[pretoken.ClaimAuthMethods], err
}

// replay gives the proof in Cognito sessions of its own, of the same user and of another.
func (p *pool) replay(w way, proof string) {
	p.t.Helper()
	for _, user := range []string{alice, bob} {
		fresh := p.initiate(user)
		if fresh.answer(proof, w.with) || strings.HasPrefix(w.with[challenge.KeySignInMethod], "MAGIC") && p.initiate(user).answer(proof, bringLink) {
			p.t.Errorf("the proof passed again, in another session of %s", user)
		}
		if w.ask != nil {
			p.now = p.now.Add(time.Minute)
			later := p.initiate(user)
			later.answer(challenge.AnswerAuthParameters, w.ask)
			if err := later.challenge(w.ask, 1); err != nil {
				p.t.Fatal(err)
			}
			if later.answer(proof, w.with) {
				p.t.Errorf("the proof passed again, in a later round of another session of %s", user)
			}
		}
	}
}
