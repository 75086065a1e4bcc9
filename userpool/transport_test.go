package userpool

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestThrottledIsRepeated(t *testing.T) {
	throttled := exception(400, "TooManyRequestsException", "Rate exceeded")
	f, c := serve(t, "", throttled, answer{http.StatusOK, tokensAnswer})
	result, err := c.Respond(context.Background(), Response{Session: "s", Username: "anna", Answer: "x"})
	if err != nil || result.Tokens == nil {
		t.Fatalf("%+v, %v", result, err)
	}
	if n := f.count(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}

	f, c = serve(t, "", throttled)
	if _, err := c.Initiate(context.Background(), "anna"); !errors.Is(err, ErrThrottled) {
		t.Errorf("got %v", err)
	}
	if n := f.count(); n != maxAttempts {
		t.Errorf("%d requests, want %d", n, maxAttempts)
	}
}

// A Session works once: a request that may have reached a trigger is never repeated.
func TestNothingElseIsRepeated(t *testing.T) {
	for name, failure := range map[string]answer{
		"internal error":      exception(500, "InternalErrorException", ""),
		"unavailable":         {http.StatusServiceUnavailable, ""},
		"bad gateway":         {http.StatusBadGateway, "<html>"},
		"gateway timeout":     {http.StatusGatewayTimeout, ""},
		"request timeout":     exception(400, "RequestTimeout", ""),
		"tries of the user":   exception(400, "LimitExceededException", ""),
		"trigger failed":      exception(400, "UnexpectedLambdaException", ""),
		"answer is not JSON":  {http.StatusOK, "<html>"},
		"answer is cut short": {http.StatusOK, `{"Authentication`},
	} {
		t.Run(name, func(t *testing.T) {
			for operation := range operations(nil) {
				f, c := serve(t, "", failure)
				err := operations(c)[operation]()
				// RevokeToken and GlobalSignOut answer nothing that is read.
				if err == nil && operation != operationRevoke && operation != operationGlobalSignOut {
					t.Errorf("%s: no error", operation)
				}
				if n := f.count(); n != 1 {
					t.Errorf("%s: %d requests, want 1", operation, n)
				}
			}
		})
	}
}

// The connection breaks after the request was read: the trigger may have run.
func TestResetIsNotRepeated(t *testing.T) {
	var seen int
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen++
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}))
	c, err := New(Config{UserPoolID: "eu-west-1_Ab12Cd34E", ClientID: "1", Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Respond(context.Background(), Response{Session: "s", Username: "anna", Answer: "x"})
	server.Close()
	if !errors.Is(err, ErrUnavailable) || seen != 1 {
		t.Errorf("%d requests, %v", seen, err)
	}
}

// A hijacked endpoint must not lead the client, and with it tokens, to another host.
func TestRedirectsAreNotFollowed(t *testing.T) {
	followed := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	c, err := New(Config{UserPoolID: "eu-west-1_Ab12Cd34E", ClientID: "1", Endpoint: server.URL, HTTPClient: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Refresh(context.Background(), "r", ""); err == nil || followed {
		t.Errorf("followed %v, error %v", followed, err)
	}
}

func TestEndlessAnswer(t *testing.T) {
	_, c := serve(t, "", answer{http.StatusOK, `{"Username":"` + strings.Repeat("x", maxAnswer) + `"}`})
	if _, err := c.User(context.Background(), "a"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	body := &boundedBody{body: io.NopCloser(strings.NewReader("abcd")), left: 3}
	if _, err := io.ReadAll(body); !errors.Is(err, errAnswerTooLong) {
		t.Errorf("an answer beyond the limit: %v", err)
	}
	body = &boundedBody{body: io.NopCloser(strings.NewReader("abc")), left: 3}
	if b, err := io.ReadAll(body); err != nil || string(b) != "abc" {
		t.Errorf("an answer of exactly the limit: %q, %v", b, err)
	}
}
