package embedded

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/userpool"
)

func TestTriggersInTheCaddyfile(t *testing.T) {
	t.Setenv("LAMBDA_SECRET", "s3cret{}")
	var p UserPool
	err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(`embedded ./data {
		trigger pre_sign_up arn:aws:lambda:eu-west-1:000000000000:function:gate {
			region eu-west-1
			access_key operator {env.LAMBDA_SECRET}
		}
		trigger pre_token_generation claims:live {
			endpoint http://127.0.0.1:3001
		}
		pre_token_version V2_0
		refresh_token_lifetime 720h
		session_lifetime 10m
		protocol localhost:9229
		admin_key operator {env.LAMBDA_SECRET}-0123456789
	}`))
	if err != nil {
		t.Fatal(err)
	}
	// The configuration, which the admin API shows, keeps the placeholders.
	shown, err := json.Marshal(&p)
	want := `{"path":"./data","refresh_token_lifetime":2592000000000000,"session_lifetime":600000000000,"triggers":{` +
		`"pre_sign_up":{"function":"arn:aws:lambda:eu-west-1:000000000000:function:gate","region":"eu-west-1","access_key_id":"operator","secret_access_key":"{env.LAMBDA_SECRET}"},` +
		`"pre_token_generation":{"function":"claims:live","endpoint":"http://127.0.0.1:3001"}},"pre_token_version":"V2_0","protocol":"localhost:9229",` +
		`"admin_key":{"id":"operator","secret":"{env.LAMBDA_SECRET}-0123456789"}}`
	if err != nil || string(shown) != want {
		t.Errorf("got  %s, %v\nwant %s", shown, err, want)
	}
	if err := provision(t, &p); err != nil {
		t.Fatal(err)
	}
	if l := p.Triggers["pre_sign_up"]; l.SecretAccessKey != "s3cret{}" || p.AdminKey.Secret != "s3cret{}-0123456789" {
		t.Errorf("%+v, %+v", l, p.AdminKey)
	}
}

func TestTriggerRefusals(t *testing.T) {
	for name, test := range map[string]struct{ input, want string }{
		"unknown":           {"trigger post_sign_up f", `no trigger "post_sign_up"`},
		"no function":       {"trigger pre_sign_up", "takes a name and a function"},
		"twice":             {"trigger pre_sign_up f\n trigger pre_sign_up g", "pre_sign_up is given twice"},
		"unknown option":    {"trigger pre_sign_up f {\n timeout 9s\n}", `unknown option "timeout"`},
		"option twice":      {"trigger pre_sign_up f {\n region a\n region b\n}", "region is given twice"},
		"half a key":        {"trigger pre_sign_up f {\n access_key id\n}", "an ID and a secret"},
		"no lifetime":       {"session_lifetime long", `"long" is not a duration`},
		"half an admin key": {"admin_key operator", "an ID and a secret"},
	} {
		t.Run(name, func(t *testing.T) {
			err := new(UserPool).UnmarshalCaddyfile(caddyfile.NewTestDispenser("embedded {\n " + test.input + "\n}"))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "Testfile:") {
				t.Errorf("got %v, want %q with file and line", err, test.want)
			}
		})
	}
	for name, test := range map[string]struct{ input, want string }{
		"a path for a function":     {"trigger pre_sign_up ../f", "is not the name"},
		"no endpoint":               {"trigger pre_sign_up f {\n endpoint 127.0.0.1\n}", "not an endpoint"},
		"unset secret":              {"trigger pre_sign_up f {\n access_key id {env.NOT_SET_ANYWHERE}\n}", "{env.NOT_SET_ANYWHERE} is empty"},
		"unknown version":           {"pre_token_version V4_0", `"V4_0" is not V1_0 or V2_0`},
		"short session":             {"session_lifetime 1m", "session_lifetime must be 3m to 15m"},
		"short refresh":             {"refresh_token_lifetime 2h\n access_token_lifetime 3h", "must not be shorter"},
		"admin without protocol":    {"admin_key operator a-secret-for-tests-only", "without protocol"},
		"admin with a short secret": {"protocol localhost:9229\n admin_key operator short", "16 or more"},
		"protocol for everybody":    {"protocol :9229", "not one port of this machine"},
		"protocol on a LAN":         {"protocol 192.168.1.10:9229", "not one port of this machine"},
	} {
		t.Run(name, func(t *testing.T) {
			p := new(UserPool)
			if err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser("embedded {\n " + test.input + "\n}")); err != nil {
				t.Fatal(err)
			}
			if err := provision(t, p); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// An operator's function refuses a sign-up, in its own words.
func TestOwnTriggerDecides(t *testing.T) {
	var mu sync.Mutex
	var events []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		event, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		events = append(events, r.URL.Path+" "+string(event))
		mu.Unlock()
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		_, _ = io.WriteString(w, `{"errorType":"Error","errorMessage":"by invitation only"}`)
	}))
	defer api.Close()
	pool := opened(t, &UserPool{Path: t.TempDir(), Triggers: map[string]*Lambda{"pre_sign_up": {Function: "gate", Endpoint: api.URL}}}, realmSettings(t))
	defer func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	}()
	err := pool.Pool.SignUp(t.Context(), userpool.SignUp{Username: "alice@example.com"})
	if err == nil {
		t.Fatal("signed up although the function refused")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(events) != 1 || !strings.HasPrefix(events[0], "/2015-03-31/functions/gate/invocations {") || !strings.Contains(events[0], `"triggerSource":"PreSignUp_SignUp"`) {
		t.Errorf("%d events: %q, %v", len(events), events, err)
	}
}

// The stand-alone pool calls an operator's functions as well; without --lambda-endpoint they would be Amazon's.
func TestStandaloneWithOwnTriggers(t *testing.T) {
	var called atomic.Int32
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		called.Add(1)
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		_, _ = io.WriteString(w, `{"errorMessage":"by invitation only"}`)
	}))
	defer api.Close()
	s := standalone{
		Listen: "127.0.0.1:0", Data: t.TempDir(), RPIDs: []string{"localhost"}, Origins: []string{"http://localhost:3000"},
		Triggers: map[string]string{"pre_sign_up": "gate"}, Lambda: api.URL, PreToken: "v2_0",
	}
	line := runStandaloneLine(t, s)
	client := cognito.New(cognito.Options{
		Region: "local", BaseEndpoint: aws.String(line.Endpoint), Credentials: aws.AnonymousCredentials{}, Retryer: aws.NopRetryer{},
	})
	_, err := client.SignUp(t.Context(), &cognito.SignUpInput{
		ClientId: aws.String(line.ClientID), Username: aws.String("alice@example.com"), Password: aws.String("x-Long-random-1"),
	})
	var refused *types.UserLambdaValidationException
	if !errors.As(err, &refused) || refused.ErrorMessage() != "PreSignUp failed with error by invitation only." || called.Load() != 1 {
		t.Errorf("%v after %d calls", err, called.Load())
	}
	s.Data, s.Triggers = t.TempDir(), map[string]string{"post_sign_up": "gate"}
	if err := s.run(t.Context(), io.Discard, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "post_sign_up") {
		t.Errorf("a trigger that does not exist: %v", err)
	}
}
