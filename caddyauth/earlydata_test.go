package caddyauth

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Attack: TLS early data is recorded on its way and sent again, to order twice in somebody else's name.
func TestAttackReplayedEarlyData(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{Bypass: []string{"/public"}})
	for _, c := range []struct {
		name, method, path string
		early              bool
		header             string // Early-Data
		want               int
	}{
		{"a page", http.MethodGet, "/orders", true, "", http.StatusOK},
		{"an order", http.MethodPost, "/orders", true, "", http.StatusTooEarly},
		{"a removal", http.MethodDelete, "/orders/1", true, "", http.StatusTooEarly},
		{"an order by a proxy that says so", http.MethodPost, "/orders", false, "1", http.StatusTooEarly},
		{"an order after the handshake", http.MethodPost, "/orders", false, "", http.StatusOK},
		{"where nobody needs a session", http.MethodPost, "/public", true, "", http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, appOrigin+c.path, nil)
			r.TLS = &tls.ConnectionState{HandshakeComplete: !c.early}
			r.AddCookie(cookie)
			if c.header != "" {
				r.Header.Set("Early-Data", c.header)
			}
			if w := g.serve(r, guard); w.Code != c.want {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if reached := g.reached != nil; reached != (c.want == http.StatusOK) {
				t.Errorf("reached the upstream: %v", reached)
			}
		})
	}
}
