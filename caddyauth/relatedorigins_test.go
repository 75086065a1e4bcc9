package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-cognito/passwordless/passkey"
)

func TestRelatedOrigins(t *testing.T) {
	handler := new(RelatedOrigins)
	err := handler.prepare(&Realm{passkeys: passkey.Settings{RelyingParties: []passkey.RelyingParty{
		{ID: "example.com", Origins: []string{"https://auth.example.com", "https://example.co.uk", "android:apk-key-hash:abc"}},
		{ID: "example.net", Origins: []string{"https://example.net"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		method, target string
		status         int
		body           string
	}{
		{http.MethodGet, "https://example.com/.well-known/webauthn", 200, `{"origins":["https://auth.example.com","https://example.co.uk"]}` + "\n"},
		{http.MethodGet, "https://EXAMPLE.net:8443/.well-known/webauthn", 200, `{"origins":["https://example.net"]}` + "\n"},
		{http.MethodHead, "https://example.com/.well-known/webauthn", 200, ""},
		{http.MethodPost, "https://example.com/.well-known/webauthn", 405, "This address answers GET and HEAD.\n"},
		{http.MethodGet, "https://evil.com/.well-known/webauthn", 418, ""},
		{http.MethodGet, "https://example.com/", 418, ""},
	} {
		w := httptest.NewRecorder()
		next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusTeapot)
			return nil
		})
		if err := handler.ServeHTTP(w, httptest.NewRequest(tc.method, tc.target, nil), next); err != nil {
			t.Fatal(err)
		}
		if w.Code != tc.status || w.Body.String() != tc.body {
			t.Errorf("%s %s: %d %q", tc.method, tc.target, w.Code, w.Body)
		}
		if tc.status == 200 && w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%v", w.Header())
		}
	}
}
