package caddyauth

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// Attack: tenant 9007199254740993 is let in where ...992 is, since a float64 holds neither apart. Rules, headers and placeholders have the
// number of the token, from a cookie, a record and a handoff alike.
func TestAttackClaimsBeyondFloat64(t *testing.T) {
	for name, c := range map[string]struct {
		token, rule string
		allowed     bool
		shown       string
	}{
		"the number":       {"9007199254740992", "9007199254740992", true, "9007199254740992"},
		"its neighbour":    {"9007199254740993", "9007199254740992", false, "9007199254740993"},
		"an odd one":       {"9007199254740993", "9007199254740993", true, "9007199254740993"},
		"beyond int64":     {"18446744073709551617", "18446744073709551616", false, "18446744073709551617"},
		"an exponent":      {"1e3", "1000", true, "1000"},
		"a fraction":       {"1.0", "1", true, "1"},
		"in the rule":      {"1000", "1.0e3", true, "1000"},
		"a small part":     {"0.1", "0.10000000000000001", false, "0.1"},
		"in a list":        {`[1, 9007199254740993]`, "9007199254740992", false, "1,9007199254740993"},
		"found in a list":  {`[1, 9007199254740993]`, "9007199254740993", true, "1,9007199254740993"},
		"text is no value": {`"1000"`, "1e3", false, "1000"},
		"text":             {`"1e3"`, "1e3", true, "1e3"},
		"in an object":     {`{"n":9007199254740993}`, "9007199254740993", false, `{"n":9007199254740993}`},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuarded(t)
			var claims session.Claims
			if err := json.Unmarshal([]byte(`{"custom:tenant":`+c.token+`}`), &claims); err != nil {
				t.Fatal(err)
			}
			s, _ := g.signIn("alice", appOrigin)
			s.Claims = claims
			guard := g.guard(Guard{Allow: []Rule{{Claim: "custom:tenant", Values: []string{c.rule}}}, Headers: map[string]string{"X-Tenant": "custom:tenant"}})
			show := g.guard(Guard{Headers: map[string]string{"X-Tenant": "custom:tenant"}})
			if w := g.serve(script(appOrigin+"/", g.cookie(s, appOrigin)), guard); (w.Code == http.StatusOK) != c.allowed {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			g.serve(script(appOrigin+"/", g.cookie(s, appOrigin)), show)
			if got := g.reached.Header.Get("X-Tenant"); got != c.shown {
				t.Errorf("header %q", got)
			}
			if got := g.repl.ReplaceAll("{http.auth.user.claims.custom:tenant}", ""); got != c.shown {
				t.Errorf("placeholder %q", got)
			}
		})
	}
}
