package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

func TestRuleComparisons(t *testing.T) {
	person := session.Session{
		Subject: "1", Username: "alice", Email: "alice@Example.com", EmailVerified: true, Groups: []string{"staff", "ops-berlin"},
		Claims:  map[string]any{"department": "field sales", "level": float64(3), "sites": []any{"berlin", "tokyo"}},
		Factors: session.Factors{{Factor: session.Passkey, At: time.Unix(1, 0)}},
	}
	for _, tc := range []struct {
		name string
		rule Rule
		want bool
	}{
		{"group", Rule{Groups: []string{"admins", "staff"}}, true},
		{"group by case", Rule{Groups: []string{"Staff"}}, false},
		{"part of a group", Rule{Groups: []string{"sta"}}, false},
		{"equals", Rule{Claim: "department", Values: []string{"sales", "field sales"}}, true},
		{"equals a part", Rule{Claim: "department", Operator: "equals", Values: []string{"sales"}}, false},
		{"contains", Rule{Claim: "department", Operator: "contains", Values: []string{"legal", "sales"}}, true},
		{"contains by case", Rule{Claim: "department", Operator: "contains", Values: []string{"Sales"}}, false},
		{"matches", Rule{Claim: "department", Operator: "matches", Values: []string{`(field|inside) sales`}}, true},
		{"matches whatever the case", Rule{Claim: "department", Operator: "matches", Values: []string{`(?i)FIELD .*`}}, true},
		{"matches a part", Rule{Claim: "department", Operator: "matches", Values: []string{`sales`}}, false},
		{"matches one branch", Rule{Claim: "department", Operator: "matches", Values: []string{`x|sales`}}, false},
		{"matches a group", Rule{Claim: "groups", Operator: "matches", Values: []string{`ops-.+`}}, true},
		{"an element of a list", Rule{Claim: "sites", Values: []string{"tokyo"}}, true},
		{"a list as one", Rule{Claim: "sites", Operator: "matches", Values: []string{`berlin.tokyo`}}, false},
		{"a number", Rule{Claim: "level", Values: []string{"3"}}, true},
		{"an absent claim", Rule{Claim: "title", Operator: "matches", Values: []string{`.*`}}, false},
		{"e-mail domain", Rule{EmailDomains: []string{"example.com"}}, true},
		{"parent of the e-mail domain", Rule{EmailDomains: []string{"com"}}, false},
		{"factor", Rule{Factors: []string{"sms", "passkey"}}, true},
		{"factor that did not pass", Rule{Factors: []string{"sms"}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.rule.validate(func(string) bool { return true }); err != nil {
				t.Fatal(err)
			}
			if got := tc.rule.matches(&person); got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

// Anybody can sign up under an address and leave it unverified: an allow must not take their word for it, and a deny must not let them off
// for it.
func TestAttackUnverifiedAddressInRules(t *testing.T) {
	for _, verified := range []bool{true, false} {
		person := session.Session{Subject: "1", Email: "boss@example.com", EmailVerified: verified}
		for _, rule := range []Rule{
			{EmailDomains: []string{"example.com"}}, {Claim: "email", Values: []string{"boss@example.com"}},
			{Claim: "email", Operator: "contains", Values: []string{"boss"}}, {Claim: "email", Operator: "matches", Values: []string{".*@example.com"}},
		} {
			if err := rule.validate(func(string) bool { return true }); err != nil {
				t.Fatal(err)
			}
			if got := permitted([]Rule{rule}, nil, &person); got != verified {
				t.Errorf("allow %+v, verified %v: %v", rule, verified, got)
			}
			if permitted(nil, []Rule{rule}, &person) {
				t.Errorf("deny %+v, verified %v: permitted", rule, verified)
			}
		}
	}
}

// `$` and `^` stand for lines in some languages: a value with a line feed must not pass for its first line.
func TestAttackLineFeedInAMatchedClaim(t *testing.T) {
	rule := Rule{Claim: "department", Operator: "matches", Values: []string{`sales`}}
	if err := rule.validate(func(string) bool { return true }); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"sales\n", "sales\nadmins", "x\nsales", "sales\x00"} {
		if rule.matches(&session.Session{Claims: map[string]any{"department": value}}) {
			t.Errorf("%q matches", value)
		}
	}
}

func TestRulesThatCannotWork(t *testing.T) {
	for want, rule := range map[string]Rule{
		"exactly one of":           {Groups: []string{"a"}, Factors: []string{"sms"}},
		"is not a comparison":      {Claim: "a", Operator: "like", Values: []string{"b"}},
		"every value contains":     {Claim: "a", Operator: "contains", Values: []string{""}},
		"not a regular expression": {Claim: "a", Operator: "matches", Values: []string{"a)|(?:b"}},
		"is not a factor":          {Factors: []string{"password"}},
		"takes a name":             {Operator: "equals", Values: []string{"b"}},
		"at least one value":       {Claim: "a", Operator: "matches"},
	} {
		if err := rule.validate(func(string) bool { return true }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestBypassByMethod(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{Bypass: []string{"GET,HEAD /public/*", "/health"}})
	for _, tc := range []struct {
		method, path string
		open         bool
	}{
		{"GET", "/public/a", true}, {"HEAD", "/public/a", true}, {"POST", "/public/a", false}, {"get", "/public/a", false},
		{"GET", "/Public/a", false}, {"GET", "/publication", false}, {"DELETE", "/health", true}, {"GET", "/health/", false},
	} {
		r := httptest.NewRequest(tc.method, appOrigin+tc.path, nil)
		if w := g.serve(r, guard); (w.Code == http.StatusOK) != tc.open {
			t.Errorf("%s %s: %d", tc.method, tc.path, w.Code)
		}
	}
}

// A path that is open to reading must not be open to what the upstream reads as writing.
func TestAttackMethodOverrideThroughBypass(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{Bypass: []string{"GET /public/*"}})
	r := script(appOrigin + "/public/a")
	r.Header.Set("X-HTTP-Method-Override", "DELETE")
	if w := g.serve(r, guard); w.Code != http.StatusOK || g.reached.Header.Get("X-HTTP-Method-Override") != "" {
		t.Errorf("%d, upstream got %v", w.Code, g.reached.Header)
	}
}

// Path rules: whatever the path, what the guard lifts is what it says, and no second reading of the path is.
func FuzzBypass(f *testing.F) {
	for _, seed := range []string{"/public/a", "/public/../admin", "/public/%2e%2e/admin", "/public//a", "/public/..;/x", "/PUBLIC/a", "/public%2fa", `/public/\..\admin`} {
		f.Add(seed)
	}
	rule, err := parseBypass("GET /public/*")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := parseTarget(target)
		if err != nil || ambiguousPath(u) != "" {
			return // refused
		}
		if rule.matches(&http.Request{Method: http.MethodGet, URL: u}) && !strings.HasPrefix(cleanest(u.Path), "/public/") {
			t.Errorf("%q is lifted but can be read as %q", target, cleanest(u.Path))
		}
		if rule.matches(&http.Request{Method: http.MethodPost, URL: u}) {
			t.Errorf("%q is lifted for another method", target)
		}
	})
}

// cleanest is the path as the most eager upstream would read it: decoded again, backslashes as slashes, parameters and dot
// segments resolved.
func cleanest(p string) string {
	if decoded, err := url.PathUnescape(p); err == nil {
		p = decoded
	}
	p = strings.ReplaceAll(p, `\`, "/")
	segments := strings.Split(p, "/")
	for i, segment := range segments {
		segments[i], _, _ = strings.Cut(segment, ";")
	}
	cleaned := path.Clean(strings.Join(segments, "/"))
	if strings.HasSuffix(p, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned
}
