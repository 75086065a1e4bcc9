package e2e

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// cookiesOf are those that the browser has for a host, as it would send them.
func (b *tab) cookiesOf(host string) string {
	b.t.Helper()
	var pairs []string
	for _, c := range b.jar() {
		if c.Domain == host {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	return strings.Join(pairs, "; ")
}

// Requests that a handler before the guard holds up during a reload come to the guard of a configuration that Caddy has closed by then. They
// are answered as ever; who has signed out meanwhile is out.
func TestRequestOutlivesAReload(t *testing.T) {
	t.Parallel()
	held := make(chan chan struct{}) // of each request one that lets it go on
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		release := make(chan struct{})
		held <- release
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(slow.Close)
	d := deployFilled(t, map[string]string{"SLOW": strings.TrimPrefix(slow.URL, "http://")}, "\tpasswordless_guard\n", `	route /api/time {
		forward_auth SLOW {
			uri /
		}
		passwordless_guard
		reverse_proxy 127.0.0.1:9000
	}
	@rest not path /api/time
	passwordless_guard @rest
`)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	cookies := b.cookiesOf("app.localhost")
	begin := func() (finish func() string) {
		status := make(chan string, 1)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.app+"/api/time", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "application/json")
		r.Header.Set("Cookie", cookies)
		go func() {
			response, err := (&http.Client{Transport: client.Transport}).Do(r)
			if err != nil {
				status <- err.Error()
				return
			}
			_ = response.Body.Close()
			status <- response.Status
		}()
		release := <-held
		return func() string {
			close(release)
			return <-status
		}
	}
	before, after := begin(), begin()
	d.reload(t)
	if status := before(); status != "200 OK" {
		t.Errorf("after the reload: %s", status)
	}
	d.signOut(b)
	if status := after(); !strings.HasPrefix(status, "401") && !strings.HasPrefix(status, "503") { // the latter a minute after the reload
		t.Errorf("after signing out: %s", status)
	}
}
