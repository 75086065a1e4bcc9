package caddyauth

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
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
		{"a WebSocket over HTTP/3", http.MethodConnect, "/socket", true, "", http.StatusTooEarly},
		{"an order by a proxy that says so", http.MethodPost, "/orders", false, "1", http.StatusTooEarly},
		{"an order after the handshake", http.MethodPost, "/orders", false, "", http.StatusOK},
		{"where nobody needs a session", http.MethodPost, "/public", true, "", http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, appOrigin+c.path, nil)
			r.Method = c.method
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

// The portal waits for the handshake, too: replayed, a form would have a further mail sent, or use up somebody's tries at a code.
func TestAttackReplayedEarlyDataAtThePortal(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	early := func(r *http.Request) *http.Request {
		r.TLS = &tls.ConnectionState{}
		return r
	}
	page := b.send(early(httptest.NewRequest(http.MethodGet, portalOrigin+"/auth/sign-in", nil)))
	if page.Code != http.StatusOK {
		t.Fatalf("a page: %d", page.Code)
	}
	form := "email=" + url.QueryEscape(anna) + "&flow=" + url.QueryEscape(p.found(page, flowField))
	r := posted("/auth/sign-in", urlencoded, form)
	if w := b.send(early(r)); w.Code != http.StatusTooEarly || w.Header().Get("Cache-Control") != "no-store" || p.pool.lastLink != "" {
		t.Errorf("a form: %d %v", w.Code, w.Header())
	}
	if w := b.send(posted("/auth/sign-in", urlencoded, form)); w.Code != http.StatusSeeOther || p.pool.lastLink == "" {
		t.Errorf("once more after the handshake: %d", w.Code)
	}
}

// Attack: whoever delays a browser's early data and sends it first uses up the code that it carries.
func TestAttackEarlyDataUsesUpAHandoff(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{})
	flow, nonce := g.begin(guard, appOrigin+"/x")
	code := g.signedIn(flow, "alice")
	early := post(appOrigin, code, nonce)
	early.TLS = &tls.ConnectionState{}
	if w := g.serve(early, guard); w.Code != http.StatusTooEarly || cookieSet(w, g.rt.sessionCookie.Name) != nil {
		t.Errorf("early: %d %v", w.Code, w.Header())
	}
	if w := g.serve(post(appOrigin, code, nonce), guard); ledTo(w) != "/x" || cookieSet(w, g.rt.sessionCookie.Name) == nil {
		t.Errorf("after the handshake: %d %s", w.Code, w.Body)
	}
}
