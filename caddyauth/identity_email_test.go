package caddyauth

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/session"
)

func TestLocalPartIsOnePlainName(t *testing.T) {
	for _, c := range []struct {
		email    string
		verified bool
		want     string
	}{
		{"anna@example.com", true, "anna"},
		{"Anna.Smith+ops@EXAMPLE.com", true, "anna.smith+ops"},
		{"a_b-c9@example.com", true, "a_b-c9"},
		{"anna@example.com", false, ""},
		{"anna@example.net", true, ""},
		{"anna@sub.example.com", true, ""},
		{"anna@example.com.evil.test", true, ""},
		{"anna@evil.test@example.com", true, ""},
		{`"root"@example.com`, true, ""},
		{"../admin@example.com", true, ""},
		{".admin@example.com", true, ""},
		{"-oProxyCommand@example.com", true, ""},
		{"a/b@example.com", true, ""},
		{"a%62@example.com", true, ""},
		{"a,b@example.com", true, ""},
		{"a b@example.com", true, ""},
		{"\u0430dmin@example.com", true, ""}, // a Cyrillic letter
		{"\u212aim@example.com", true, ""},   // the Kelvin sign, whose lower case is k
		{"anna@e\u212aample.com", true, ""},
		{"@example.com", true, ""},
		{"example.com", true, ""},
		{"", true, ""},
	} {
		s := session.Session{Email: c.email, EmailVerified: c.verified}
		if got := localPart(&s, "example.com"); got != c.want {
			t.Errorf("%q, verified %v: %q, want %q", c.email, c.verified, got, c.want)
		}
	}
}

// Attack: somebody puts the address of another into their account, or has one with the same local part elsewhere, for an
// application that takes the header for its user name.
func TestAttackAddressAsUserName(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{Headers: map[string]string{"X-Webauth-User": "verified_email", "Remote-User": "email_local_part@example.com"}})
	for name, c := range map[string]struct {
		email       string
		verified    bool
		user, local string
	}{
		"verified":            {"Boss@example.com", true, "Boss@example.com", "boss"},
		"unverified":          {"boss@example.com", false, "", ""},
		"another domain":      {"boss@example.net", true, "boss@example.net", ""},
		"odd characters":      {"bo/ss@example.com", true, "bo/ss@example.com", ""},
		"no address":          {"", true, "", ""},
		"percent and letters": {"b%6fss@example.com", true, "b%256fss@example.com", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := g.signIn("mallory", appOrigin)
			s.Email, s.EmailVerified = c.email, c.verified
			r := navigation(appOrigin+"/", g.cookie(s, appOrigin))
			for _, forged := range []string{"X-Webauth-User", "X_Webauth_User", "Remote-User", "remote.user"} {
				r.Header[forged] = []string{"boss"}
			}
			if w := g.serve(r, guard); w.Code != http.StatusOK {
				t.Fatalf("got %d", w.Code)
			}
			if got := g.reached.Header["X-Webauth-User"]; strings.Join(got, "|") != c.user {
				t.Errorf("X-Webauth-User is %q, want %q", got, c.user)
			}
			if got := g.reached.Header["Remote-User"]; strings.Join(got, "|") != c.local {
				t.Errorf("Remote-User is %q, want %q", got, c.local)
			}
			for header := range g.reached.Header {
				if header == "X_Webauth_User" || header == "remote.user" {
					t.Errorf("the client's %s reached the application", header)
				}
			}
			if got := g.repl.ReplaceAll("{http.auth.user.verified_email} {http.auth.user.email_local_part@example.com}", "-"); got != orDash(c.verified, c.email)+" "+orDash(c.local != "", c.local) {
				t.Errorf("placeholders are %q", got)
			}
		})
	}
}

func orDash(known bool, value string) string {
	if !known || value == "" {
		return "-"
	}
	return value
}

// Two domains would make two people one, so the configuration names exactly one.
func TestLocalPartNeedsOneDomain(t *testing.T) {
	g := newGuarded(t)
	for _, claim := range []string{"email_local_part", "email_local_part@", "email_local_part@example.com,example.net", "email_local_part@*.example.com"} {
		guard := &Guard{Headers: map[string]string{"X-User": claim}}
		if err := guard.bind(g.app, g.rt.config); err == nil || !strings.Contains(err.Error(), "email_local_part@example.com") {
			t.Errorf("%s: %v", claim, err)
		}
	}
	if err := (&Guard{Allow: []Rule{{Claim: "email_local_part@example.com", Values: []string{"anna"}}}}).bind(g.app, g.rt.config); err != nil {
		t.Error(err)
	}
}
