package localpool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// recorded wraps triggers and keeps the events they get.
type recorded struct {
	mu     sync.Mutex
	events []map[string]any
}

func (r *recorded) wrap(t Trigger) Trigger {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		var e map[string]any
		if err := json.Unmarshal(payload, &e); err != nil {
			return nil, err
		}
		r.mu.Lock()
		r.events = append(r.events, e)
		r.mu.Unlock()
		return t(ctx, payload)
	}
}

func (r *recorded) sources() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, e := range r.events {
		list = append(list, e["triggerSource"].(string))
	}
	return list
}

// find returns the request of the last event of a source.
func (r *recorded) find(t *testing.T, source string) map[string]any {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.events) - 1; i >= 0; i-- {
		if r.events[i]["triggerSource"] == source {
			return r.events[i]["request"].(map[string]any)
		}
	}
	t.Fatalf("no event %s", source)
	return nil
}

func recordTriggers(p *Pool) *recorded {
	r := &recorded{}
	s := *p.current.Load()
	s.triggers = Triggers{
		PreSignUp: r.wrap(s.triggers.PreSignUp), DefineAuthChallenge: r.wrap(s.triggers.DefineAuthChallenge), CreateAuthChallenge: r.wrap(s.triggers.CreateAuthChallenge),
		VerifyAuthChallenge: r.wrap(s.triggers.VerifyAuthChallenge), PreTokenGeneration: r.wrap(s.triggers.PreTokenGeneration),
	}
	p.current.Store(&s)
	return r
}

// The events of a whole sign-in, in order, with the shape Cognito gives them.
func TestTriggerEvents(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	r := recordTriggers(p)
	sub := signUp(t, p, alice)
	result := signInByLink(t, p, alice)
	if _, err := refresh(p, *result.RefreshToken); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"PreSignUp_SignUp",
		"DefineAuthChallenge_Authentication", "CreateAuthChallenge_Authentication",
		"VerifyAuthChallengeResponse_Authentication", "DefineAuthChallenge_Authentication", "CreateAuthChallenge_Authentication",
		"DefineAuthChallenge_Authentication", "CreateAuthChallenge_Authentication",
		"VerifyAuthChallengeResponse_Authentication", "DefineAuthChallenge_Authentication", "TokenGeneration_Authentication",
		"TokenGeneration_RefreshTokens",
	}
	if got := r.sources(); !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
	for _, e := range r.events {
		if e["version"] != "1" || e["region"] != "local" || e["userPoolId"] != p.UserPoolID() || e["userName"] != sub {
			t.Errorf("event header %v", e)
		}
		if e["callerContext"].(map[string]any)["clientId"] != p.ClientID() {
			t.Errorf("caller context %v", e["callerContext"])
		}
	}
	// Of round one: neither Define nor Create see the metadata of InitiateAuth.
	first := r.events[1]["request"].(map[string]any)
	if _, there := first["clientMetadata"]; there || len(first["session"].([]any)) != 0 || first["userNotFound"] != false {
		t.Errorf("first Define %v", first)
	}
	attributes := first["userAttributes"].(map[string]any)
	if attributes["sub"] != sub || attributes["email"] != alice || attributes["email_verified"] != "false" || attributes["cognito:user_status"] != "CONFIRMED" {
		t.Errorf("attributes %v", attributes)
	}
	verify := r.find(t, "VerifyAuthChallengeResponse_Authentication")
	if verify["clientMetadata"].(map[string]any)[challenge.KeyAlreadyHaveMagicLink] != "yes" || verify["privateChallengeParameters"].(map[string]any)["nonce"] == "" {
		t.Errorf("Verify %v", verify)
	}
	define := r.find(t, "DefineAuthChallenge_Authentication")
	rounds := define["session"].([]any)
	if len(rounds) != 1 || rounds[0].(map[string]any)["challengeResult"] != true || rounds[0].(map[string]any)["challengeName"] != "CUSTOM_CHALLENGE" {
		t.Errorf("last Define %v", define)
	}
	if _, there := r.find(t, "TokenGeneration_Authentication")["groupConfiguration"]; !there {
		t.Error("PreTokenGeneration lacks groupConfiguration")
	}
}

// Cognito repeats a call that failed or ran out of time; the triggers must survive that, with one mail and one use of the link.
func TestTriggersAreCalledAgain(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	signUp(t, p, alice)
	s := *p.current.Load()
	twice := func(trigger Trigger) Trigger {
		var seen sync.Map
		return func(ctx context.Context, payload []byte) ([]byte, error) {
			answer, err := trigger(ctx, payload)
			if _, again := seen.LoadOrStore(string(payload), true); !again && err == nil {
				return nil, errors.New("the answer got lost")
			}
			return answer, err
		}
	}
	s.triggers.CreateAuthChallenge, s.triggers.VerifyAuthChallenge = twice(s.triggers.CreateAuthChallenge), twice(s.triggers.VerifyAuthChallenge)
	p.current.Store(&s)
	signInByLink(t, p, alice) // fails when there is more than one mail
}

func TestTriggerFailures(t *testing.T) {
	config := testConfig(t, newClock())
	p := openPool(t, config)
	signUp(t, p, alice)
	calls := 0
	with := func(trigger Trigger) error {
		t.Helper()
		calls = 0
		c := config
		c.Triggers.DefineAuthChallenge = func(ctx context.Context, payload []byte) ([]byte, error) {
			calls++
			return trigger(ctx, payload)
		}
		if err := p.Reconfigure(c); err != nil {
			t.Fatal(err)
		}
		_, err := initiate(p, alice)
		return err
	}
	for name, test := range map[string]struct {
		trigger    Trigger
		code, text string
		calls      int
	}{
		"thrown": {func(context.Context, []byte) ([]byte, error) { return nil, &FunctionError{Text: "no luck"} },
			"UserLambdaValidationException", "DefineAuthChallenge failed with error no luck.", 1},
		"unreachable": {func(context.Context, []byte) ([]byte, error) { return nil, errors.New("secret reason") },
			"UnexpectedLambdaException", "DefineAuthChallenge invocation failed due to error", 3},
		"panic": {func(context.Context, []byte) ([]byte, error) { panic("defect") },
			"UnexpectedLambdaException", "DefineAuthChallenge invocation failed due to error", 3},
		"no JSON": {func(context.Context, []byte) ([]byte, error) { return []byte("no"), nil },
			"InvalidLambdaResponseException", "Unrecognizable lambda output", 1},
		"no response": {func(context.Context, []byte) ([]byte, error) { return []byte(`{"request":{}}`), nil },
			"InvalidLambdaResponseException", "Unrecognizable lambda output", 1},
		"undecided": {func(_ context.Context, e []byte) ([]byte, error) { return e, nil },
			"InvalidLambdaResponseException", "DefineAuthChallenge must", 1},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, with(test.trigger), test.code, test.text)
			if calls != test.calls {
				t.Errorf("%d calls, want %d", calls, test.calls)
			}
		})
	}
	// Attack: Define says "issue tokens" for somebody who does not exist.
	c := config
	c.Triggers.DefineAuthChallenge = func(context.Context, []byte) ([]byte, error) {
		return []byte(`{"response":{"issueTokens":true}}`), nil
	}
	if err := p.Reconfigure(c); err != nil {
		t.Fatal(err)
	}
	_, err := initiate(p, "nobody@example.com")
	refused(t, err, "NotAuthorizedException", "Incorrect")
}

func TestTriggerTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var calls atomic.Int32
		_, err := call(t.Context(), func(ctx context.Context, _ []byte) ([]byte, error) {
			calls.Add(1)
			<-ctx.Done()
			return nil, ctx.Err()
		}, []byte("{}"))
		if !errors.Is(err, context.DeadlineExceeded) || calls.Load() != 3 || time.Since(start) != 15*time.Second {
			t.Errorf("%v after %d calls and %s", err, calls.Load(), time.Since(start))
		}
	})
}

// Attack: a trigger (or whoever feeds it) sets claims that say who the token is for.
func TestProtectedClaims(t *testing.T) {
	config := testConfig(t, newClock())
	p := openPool(t, config)
	signUp(t, p, alice)
	link, _ := askLink(t, p, alice)
	for _, claim := range []string{"sub", "iss", "exp", "cognito:username", "token_use", "origin_jti"} {
		c := config
		c.Triggers.PreTokenGeneration = func(_ context.Context, payload []byte) ([]byte, error) {
			return bytes.Replace(payload, []byte(`"claimsOverrideDetails":null`),
				[]byte(`"claimsOverrideDetails":{"claimsToAddOrOverride":{"`+claim+`":"x"}}`), 1), nil
		}
		if err := p.Reconfigure(c); err != nil {
			t.Fatal(err)
		}
		u, _, err := p.user(alice)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.preToken(t.Context(), p.current.Load(), u, "TokenGeneration_Authentication", nil)
		var f *failure
		if !errors.As(err, &f) || f.Type != typeInvalidLambda {
			t.Errorf("%s: %v", claim, err)
		}
	}
	if err := p.Reconfigure(config); err != nil {
		t.Fatal(err)
	}
	useLink(t, p, alice, link)
}
