package caddyauth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
	"github.com/caddy-cognito/passwordless/userpool"
)

// breakDynamoDB puts the real store, before a service that fails, into the place of the portal's. It counts the attempts.
func breakDynamoDB(p *portalTest, how http.HandlerFunc) *atomic.Int64 {
	p.Helper()
	p.Setenv("AWS_ACCESS_KEY_ID", "test")
	p.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	attempts := new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		attempts.Add(1)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		how(w, r)
	}))
	p.Cleanup(server.Close)
	config := &DynamoDBCredentialStore{DynamoDBTable{Table: "Authenticators", Region: "eu-west-1", Endpoint: server.URL}}
	store, err := config.OpenCredentialStore(p.Context(), RealmSettings{})
	if err != nil {
		p.Fatal(err)
	}
	p.rt.metrics = newMetrics(p.Name())
	p.rt.credentials = observedCredentials{store, probe{&p.rt.metrics, backendCredentials}}
	p.rt.ceremonies = &passkey.Ceremonies{Settings: p.rt.config.passkeys, Store: p.rt.credentials, Now: p.clock.Now}
	return attempts
}

// Without the table of passkeys people still sign in by link. What needs the table says so, with a reference and when to come back; a
// table that is out of capacity is asked again, and Prometheus can tell that from one that is broken.
func TestDynamoDBFails(t *testing.T) {
	for name, tc := range map[string]struct {
		how      http.HandlerFunc
		attempts int64
		outcome  string
	}{
		"throttled": {answer(400, `{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}`), 3, "throttled"},
		"no table":  {answer(400, `{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"not found"}`), 1, "error"},
		"nonsense":  {answer(200, `<html>hello</html>`), 0, "error"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPortal(t)
			b := p.browser()
			device := passkeytest.NewAuthenticator(portalOrigin)
			b.signInByLink(anna)
			b.addPasskey(device)
			b.submit("/auth/sign-out")
			attempts := breakDynamoDB(p, tc.how)
			b.signInByLink(anna)
			before := attempts.Load()
			w := b.get("/auth/account")
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "cannot be reached") {
				t.Errorf("the account page: %d %s", w.Code, w.Body)
			}
			if n := attempts.Load() - before; tc.attempts != 0 && n != tc.attempts {
				t.Errorf("asked %d times, want %d", n, tc.attempts)
			}
			p.wantReference(w)
			if w := b.call("/auth/fido2/authenticators/list?rpId=auth.example.com", nil); w.Code != http.StatusServiceUnavailable ||
				w.Body.String() != `{"message":"Service unavailable"}` || w.Header().Get("Retry-After") == "" {
				t.Errorf("the API: %d %s", w.Code, w.Body)
			}
			stranger := p.browser()
			p.wantError(stranger.tryPasskey(device), http.StatusServiceUnavailable, "unavailable")
			if _, ok := stranger.session(); ok {
				t.Error("signed in without asking the table")
			}
			registry := prometheus.NewRegistry()
			if err := registerMetrics(registry); err != nil {
				t.Fatal(err)
			}
			key := "passwordless_backend_duration_seconds backend=credential_store operation=List outcome=" + tc.outcome
			if got := scrape(t, registry, t.Name()); got[key] != 2 {
				t.Errorf("%s is %v, want 2; there are %v", key, got[key], got)
			}
		})
	}
}

// hanging answers nobody: neither as a pool nor as a store.
type hanging struct {
	userpool.Pool
	passkey.Store
}

func (hanging) Initiate(ctx context.Context, _ string) (userpool.Challenge, error) {
	<-ctx.Done()
	return userpool.Challenge{}, ctx.Err()
}

func (hanging) List(ctx context.Context, _, _ string) ([]passkey.Credential, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A backend that takes the question and never answers costs a person some seconds, and then a page that says what to do.
func TestBackendsThatHang(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	stranger := p.browser()
	page := stranger.get("/auth/sign-in")
	p.rt.pool = observedPool{hanging{Pool: p.pool}, probe{&p.rt.metrics, backendPool}}
	p.rt.credentials = observedCredentials{hanging{Store: p.store}, probe{&p.rt.metrics, backendCredentials}}
	p.rt.config.SignUp = &SignUp{Mode: SignUpClosed}
	for name, ask := range map[string]func() *httptest.ResponseRecorder{
		"sign-in": func() *httptest.ResponseRecorder {
			return stranger.submit("/auth/sign-in", "flow", p.found(page, flowField), "email", bob)
		},
		"account": func() *httptest.ResponseRecorder { return b.get("/auth/account") },
	} {
		synctest.Test(t, func(t *testing.T) { // its clock goes on while everybody waits
			began := time.Now()
			w := ask()
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "cannot be reached") {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
			if took := time.Since(began); took > callTimeout {
				t.Errorf("%s: the person waited for %s", name, took)
			}
		})
	}
}

// Whoever asked for too many links reads when to come back, and on the way back nothing is to be typed again.
func TestTooManyLinksKeepsTheAddress(t *testing.T) {
	p := newPortal(t)
	p.pool.respond = func(userpool.Response) (userpool.Result, error) { return userpool.Result{}, userpool.ErrThrottled }
	b := p.browser()
	page := b.get("/auth/sign-in?flow=" + url.QueryEscape(p.appFlow(appOrigin+"/reports")))
	w := b.submit("/auth/sign-in", "flow", b.found(page, flowField), "email", anna)
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "60" {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	p.pool.respond = nil
	back := b.get(b.found(w, dataHref))
	if !strings.Contains(back.Body.String(), `value="`+anna+`"`) {
		t.Errorf("what was typed is lost: %s", back.Body)
	}
	if w := b.submit("/auth/sign-in", "flow", b.found(back, flowField), "email", anna); w.Code != http.StatusSeeOther {
		t.Errorf("once there is room again: %d %s", w.Code, w.Body)
	}
}

// DynamoDB's words for "too many requests" are known.
func TestOutcomesOfDynamoDB(t *testing.T) {
	for code, want := range map[string]string{"ThrottlingException": "throttled", "RequestLimitExceeded": "throttled", "ValidationException": "error"} {
		if got := outcomeOf(errors.Join(errors.New("reading"), coded(code))); got != want {
			t.Errorf("%s is %s, want %s", code, got, want)
		}
	}
}

// coded is a service's answer.
type coded string

func (c coded) Error() string     { return string(c) }
func (c coded) ErrorCode() string { return string(c) }
