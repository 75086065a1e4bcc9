package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Attack: a site whose name comes to point at this machine reads the application from a visitor's browser.
func TestAttackRebinding(t *testing.T) {
	handler := onlyHosts([]string{"app.example.com"}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for host, want := range map[string]int{
		"localhost:9000": 204, "app.localhost:8080": 204, "APP.localhost": 204, "127.0.0.1:9000": 204, "[::1]:9000": 204, "app.example.com": 204, "app.example.com:443": 204,
		"evil.example": 421, "evil.example:9000": 421, "localhost.evil.example": 421, "notlocalhost": 421, "192.0.2.1": 421, "": 421,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%q: %d, want %d", host, w.Code, want)
		}
	}
}
