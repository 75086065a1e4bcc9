package e2e

import (
	"strings"
	"testing"
)

// deployTwo is the example with a second application on a host of its own, and its origin. Edits, with words for addresses, change its Caddyfile further.
func deployTwo(t *testing.T, words map[string]string, edits ...string) (d *deployment, second string) {
	t.Helper()
	d = deployFilled(t, words, append([]string{
		"applications http://app.localhost:8080\n", "applications http://app.localhost:8080 http://second.localhost:8080\n",
		"http://app.localhost:8080 {", `http://second.localhost:8080 {
	passwordless_guard
	reverse_proxy 127.0.0.1:9000
}

http://app.localhost:8080 {`,
	}, edits...)...)
	return d, "http://second." + strings.TrimPrefix(d.app, "http://app.")
}

// Signed in at one application, a person opens the other: no page asks anything, and they stand at the very address, fragment included, which
// only their browser knows.
func TestSingleSignOnKeepsTheFragment(t *testing.T) {
	t.Parallel()
	d, second := deployTwo(t, nil)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")

	target := second + "/reports?year=2026#/q3?sort=a&b=%20c#d"
	b.open(target)
	b.arrive(target)
	b.greets(anna, "/reports?year=2026", "#/q3?sort=a&b=%20c#d")
	if host := b.text("#host"); !strings.HasPrefix(host, "second.localhost:") {
		t.Errorf("the application is %s", host)
	}
	// "Back" does not lead into the pages between.
	b.open(second + "/orders")
	ask[bool](b, "history.back() || true")
	b.arrive(target)

	// Without a fragment there is none.
	b.forgetCookies("second.localhost")
	other := b.beside()
	other.open(second + "/admin")
	other.arrive(second + "/admin")
	other.greets(anna, "/admin", "")
}

// A step-up at one application counts at the other, which learns of it without a page that asks, and the fragment is there, too.
func TestStepUpCountsAtTheOtherApplication(t *testing.T) {
	t.Parallel()
	d, second := deployTwo(t, nil, "\tpasswordless_guard\n", `	passwordless_guard /admin* {
		step_up 5m passkey
	}
	passwordless_guard
`)
	b := browse(t)
	d.signInWithPasskey(b)
	b.open(second + "/")
	b.arrive(second + "/")
	b.open(d.app + "/admin#one")
	b.click("#passkey-button")
	b.arrive(d.app + "/admin#one")

	b.open(second + "/admin?tab=2#q3")
	b.arrive(second + "/admin?tab=2#q3")
	b.greets(anna, "/admin?tab=2", "#q3")
}

// Attack: a link to an application whose fragment looks like what the pages between hand on. It signs nobody in as somebody else, and it
// changes where the person arrives in nothing but the fragment, which the link's author chooses anyway.
func TestAttackFragmentOfSingleSignOn(t *testing.T) {
	t.Parallel()
	d, second := deployTwo(t, nil)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/")
	d.signInByLink(b, anna, d.app+"/")
	for path, fragment := range map[string]string{
		"/reports":   "#" + strings.Repeat("A", 43) + "&x",
		"/orders":    "#&" + second + "/auth/sign-out",
		"/admin":     "#javascript:alert(1)",
		"/?a=%23%26": "#<img src=x onerror=document.title='owned'>",
	} {
		b.open(second + path + fragment)
		b.until("location.origin === '" + second + "' && !location.pathname.startsWith('/auth/') && document.readyState === 'complete'")
		if user, at := b.text("#user"), b.text("#path"); user != anna || at != path {
			t.Errorf("%s: %s at %s", fragment, user, at)
		}
		if kept := ask[string](b, "location.hash"); strings.NewReplacer("%3C", "<", "%3E", ">", "%20", " ").Replace(kept) != fragment {
			t.Errorf("%s became %s", fragment, kept)
		}
		if title := ask[string](b, "document.title"); strings.Contains(title, "owned") {
			t.Error("the fragment became markup")
		}
		b.forgetCookies("second.localhost")
	}
}
