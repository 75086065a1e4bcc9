package caddyauth

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
	"go.uber.org/zap"
)

func TestGuardCaddyfile(t *testing.T) {
	for _, tc := range []struct{ name, input, want string }{
		{"bare", "passwordless_guard", `{}`},
		{"all", `passwordless_guard {
			realm staff
			allow group admins ops
			allow claim department sales support
			allow email_domain example.com
			deny group suspended
			bypass /health /assets/*
			bypass /robots.txt
			header x-department department
			ambiguous_paths allow
		}`, `{"realm":"staff","allow":[{"groups":["admins","ops"]},{"claim":"department","values":["sales","support"]},{"email_domains":["example.com"]}],"deny":[{"groups":["suspended"]}],"bypass":["/health","/assets/*","/robots.txt"],"headers":{"X-Department":"department"},"allow_ambiguous_paths":true}`},
		{"comparisons", "passwordless_guard {\n allow claim department contains sales\n deny claim custom:tenant matches x.* y\n allow claim title equals contains\n allow factor passkey sms\n}",
			`{"allow":[{"claim":"department","operator":"contains","values":["sales"]},{"claim":"title","operator":"equals","values":["contains"]},{"factors":["passkey","sms"]}],"deny":[{"claim":"custom:tenant","operator":"matches","values":["x.*","y"]}]}`},
		{"bypass by method", "passwordless_guard {\n bypass GET,HEAD /assets/* /logo.svg\n}", `{"bypass":["GET,HEAD /assets/*","GET,HEAD /logo.svg"]}`},
		{"bypass method alone", "passwordless_guard {\n bypass GET\n}", "at least one path"},
		{"bypass two lists", "passwordless_guard {\n bypass GET HEAD /x\n}", "as one word before the paths"},
		{"bypass empty method", "passwordless_guard {\n bypass GET, /x\n}", "as one word before the paths"},
		{"bypass small letters", "passwordless_guard {\n bypass get /x\n}", "methods in capitals"},
		{"bypass two commas", "passwordless_guard {\n bypass GET,,HEAD /x\n}", "not a list of methods"},
		{"bearer", "passwordless_guard {\n bearer access\n}", `{"bearer":"access"}`},
		{"clients", "passwordless_guard {\n bearer access\n clients a b\n clients c\n machine m1 backup\n machine m2\n allow client backup\n allow scope api/read\n}",
			`{"allow":[{"clients":["backup"]},{"scopes":["api/read"]}],"bearer":"access","clients":["a","b","c"],"machines":{"m1":"backup","m2":""}}`},
		{"no clients", "passwordless_guard {\n clients\n}", "at least one app client ID"},
		{"no machine", "passwordless_guard {\n machine\n}", "takes an app client ID"},
		{"machine twice", "passwordless_guard {\n machine a\n machine a b\n}", "given twice"},
		{"bearer refresh", "passwordless_guard {\n bearer refresh\n}", "takes id or access"},
		{"bearer twice", "passwordless_guard {\n bearer id\n bearer access\n}", "given twice"},
		{"upstream bearer", "passwordless_guard {\n upstream_bearer id\n}", `{"upstream_bearer":"id"}`},
		{"upstream basic", "passwordless_guard {\n upstream_basic legacy {env.X}\n}", `{"upstream_basic":{"username":"legacy","password":"{env.X}"}}`},
		{"upstream basic without password", "passwordless_guard {\n upstream_basic legacy\n}", "a user name and a password"},
		{"upstream bearer refresh", "passwordless_guard {\n upstream_bearer refresh\n}", "upstream_bearer takes id or access"},
		{"keep body", "passwordless_guard {\n keep_body 4MiB\n}", `{"keep_body":4194304}`},
		{"keep no body", "passwordless_guard {\n keep_body off\n}", `{"keep_body":-1}`},
		{"keep huge bodies", "passwordless_guard {\n keep_body 1GiB\n}", "is not a size"},
		{"keep 17 MiB", "passwordless_guard {\n keep_body 17MiB\n}", "up to 16MiB"},
		{"keep nothing", "passwordless_guard {\n keep_body 0\n}", "is not a size"},
		{"step_up upstream", "passwordless_guard {\n step_up upstream\n}", `{"upstream_step_up":true}`},
		{"step_up transaction", "passwordless_guard {\n step_up 5m passkey {\n transaction\n }\n}", `{"step_up":[{"max_age":300000000000,"factors":["passkey"],"transaction":true}]}`},
		{"step_up transaction header", "passwordless_guard {\n step_up 5m {\n transaction X-Y\n }\n}", "takes no arguments"},
		{"expression", "passwordless_guard {\n allow claim department matches [a\n}", "not a regular expression"},
		{"factor", "passwordless_guard {\n allow factor password\n}", "not a factor"},
		{"comparison alone", "passwordless_guard {\n allow claim department matches\n}", "at least one value"},
		{"argument", "passwordless_guard staff", "takes a matcher and a block"},
		{"unknown option", "passwordless_guard {\n allow_all\n}", `unknown option "allow_all"`},
		{"step_up", "passwordless_guard {\n step_up 5m passkey sms {\n methods POST DELETE\n }\n step_up 1d\n}",
			`{"step_up":[{"max_age":300000000000,"factors":["passkey","sms"],"methods":["POST","DELETE"]},{"max_age":86400000000000}]}`},
		{"step_up alone", "passwordless_guard {\n step_up\n}", "an age and factors"},
		{"step_up without age", "passwordless_guard {\n step_up passkey\n}", `"passkey" is not an age`},
		{"step_up at once", "passwordless_guard {\n step_up 0s passkey\n}", "at least 10s"},
		{"step_up password", "passwordless_guard {\n step_up 5m password\n}", `"password" is not a factor`},
		{"step_up method", "passwordless_guard {\n step_up 5m {\n methods post\n }\n}", `"post" is no method`},
		{"step_up without methods", "passwordless_guard {\n step_up 5m {\n methods\n }\n}", "at least one"},
		{"step_up option", "passwordless_guard {\n step_up 5m {\n paths /x\n }\n}", `unknown option "paths"`},
		{"two realms", "passwordless_guard {\n realm a\n realm b\n}", "realm is given twice"},
		{"realm without name", "passwordless_guard {\n realm\n}", "realm takes one name"},
		{"allow without rule", "passwordless_guard {\n allow\n}", "allow takes a rule"},
		{"unknown rule", "passwordless_guard {\n allow everyone\n}", `"everyone" is not a rule`},
		{"group without name", "passwordless_guard {\n deny group\n}", "deny group takes at least one value"},
		{"claim without value", "passwordless_guard {\n allow claim department\n}", "takes a name and at least one value"},
		{"address as domain", "passwordless_guard {\n allow email_domain me@example.com\n}", "write the domain alone"},
		{"bypass nothing", "passwordless_guard {\n bypass\n}", "at least one path"},
		{"bypass relative", "passwordless_guard {\n bypass health\n}", "begin it with a slash"},
		{"bypass with query", "passwordless_guard {\n bypass /health?x=1\n}", "has a query or fragment"},
		{"bypass with fragment", "passwordless_guard {\n bypass /health#x\n}", "has a query or fragment"},
		{"bypass all", "passwordless_guard {\n bypass /*\n}", "lift the guard everywhere"},
		{"bypass prefix", "passwordless_guard {\n bypass /pub*\n}", "a star stands only at the end"},
		{"bypass suffix", "passwordless_guard {\n bypass /*.css\n}", "a star stands only at the end"},
		{"bypass dots", "passwordless_guard {\n bypass /a/../b\n}", "can never match"},
		{"bypass encoded", "passwordless_guard {\n bypass /a%20b\n}", "write the decoded path"},
		{"bypass placeholder", "passwordless_guard {\n bypass /{path}\n}", "placeholder"},
		{"header cookie", "passwordless_guard {\n header Cookie sub\n}", "cannot carry a claim"},
		{"header twice", "passwordless_guard {\n header X-A sub\n header x-a email\n}", "given twice"},
		{"header alone", "passwordless_guard {\n header X-A\n}", "a header name and a claim"},
		{"ambiguous", "passwordless_guard {\n ambiguous_paths\n}", "takes the word allow"},
		{"block", "passwordless_guard {\n realm a {\n b\n }\n}", "realm takes no block"},
		{"groups with commas", "passwordless_guard {\n deny group visitors, guests\n}", `"visitors,": write several values with spaces`},
		{"groups behind commas", "passwordless_guard {\n deny group visitors ,guests\n}", `",guests": write several values with spaces`},
		{"values with commas", "passwordless_guard {\n deny claim department sales, support\n}", `"sales,": write several values with spaces`},
		{"a comma inside a name", "passwordless_guard {\n deny group a,b\n}", `{"deny":[{"groups":["a,b"]}]}`},
		{"a comma that is looked for", "passwordless_guard {\n allow claim department contains ,\n}", `{"allow":[{"claim":"department","operator":"contains","values":[","]}]}`},
		{"domains with commas", "passwordless_guard {\n allow email_domain example.com,example.org\n}", "write several domains with spaces"},
		{"comparison of another language", "passwordless_guard {\n deny claim department is visitors\n}", "or write `claim department equals is visitors` if it is a value"},
		{"is alone", "passwordless_guard {\n allow claim department is\n}", `{"allow":[{"claim":"department","values":["is"]}]}`},
		{"keep body twice", "passwordless_guard {\n keep_body off\n keep_body 1MiB\n}", "keep_body is given twice"},
		{"upstream basic twice", "passwordless_guard {\n upstream_basic a b\n upstream_basic a b\n}", "upstream_basic is given twice"},
		{"headers that fold to one", "passwordless_guard {\n header X-A sub\n header X_A email\n}", "many applications take these for the same"},
		{"step_up upstream with a factor", "passwordless_guard {\n step_up upstream passkey\n}", "step_up upstream takes nothing else"},
		{"step_up upstream with a block", "passwordless_guard {\n step_up upstream {\n methods POST\n }\n}", "step_up upstream takes no block"},
		{"step_up with methods on its line", "passwordless_guard {\n step_up 5m methods POST\n}", "write methods on a line of its own, in a block behind `step_up 5m`"},
		{"step_up with transaction on its line", "passwordless_guard {\n step_up 5m passkey transaction\n}", "write transaction on a line of its own"},
		{"step_up with commas", "passwordless_guard {\n step_up 5m passkey,sms\n}", "write several factors with spaces"},
		{"step_up methods with a block", "passwordless_guard {\n step_up 5m {\n methods POST {\n x\n }\n }\n}", "methods takes no block"},
		{"step_up transaction with a block", "passwordless_guard {\n step_up 5m {\n transaction {\n x\n }\n }\n}", "transaction takes no block"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := new(Guard)
			err := g.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.input))
			if err != nil {
				if !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "Testfile:") {
					t.Errorf("error %q, want file, line and %q", err, tc.want)
				}
				return
			}
			got, err := json.Marshal(g)
			if err != nil || string(got) != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// JSON has no Caddyfile parser before it: the same mistakes must fail when the guard meets its realm.
func TestGuardProvisionChecks(t *testing.T) {
	g := newGuarded(t)
	for want, guard := range map[string]*Guard{
		"exactly one":          {Allow: []Rule{{}}},
		"is not kept":          {Allow: []Rule{{Claim: "salary", Values: []string{"1"}}}},
		"header":               {Headers: map[string]string{"Host": "sub"}},
		"`claims title`":       {Headers: map[string]string{"X-Title": "title"}},
		"bypass":               {Bypass: []string{"/*"}},
		"takes no rules":       {EndpointsOnly: true, Bypass: []string{"/x"}},
		"exclude each other":   {UpstreamBearer: "id", UpstreamBasic: &BasicCredential{"a", "b"}},
		"which is all there":   {UpstreamBearer: "id", Bearer: "access"},
		"cannot have a colon":  {UpstreamBasic: &BasicCredential{"a:b", "c"}},
		"upstream_basic":       {UpstreamBasic: &BasicCredential{"a", "{env.NO_SUCH_VARIABLE_OF_OURS}"}},
		"not a kind of token":  {UpstreamBearer: "refresh"},
		"a name is empty":      {Deny: []Rule{{Groups: []string{""}}}},
		"at least one value":   {Deny: []Rule{{Claim: "sub"}}},
		"write the domain":     {Deny: []Rule{{EmailDomains: []string{"*.example.com"}}}},
		"one of group, client": {Deny: []Rule{{Groups: []string{"a"}, EmailDomains: []string{"b.com"}}}},
	} {
		guard.logger = zap.NewNop()
		if err := guard.bind(g.app, g.rt.config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err := guard.Cleanup(); err != nil {
			t.Error(err)
		}
	}
}

// A Caddyfile's guards run after the portal and before basic_auth, most specific path first; one with a matcher brings a second
// route for the guard's own addresses. The list of related origins comes before what may redirect or rewrite every path.
func TestDirectiveOrder(t *testing.T) {
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	config, _, err := adapter.Adapt([]byte(`app.example.com {
		respond ok
		basic_auth {
			bob $2a$14$abcdefghijklmnopqrstuuKDBuZ5PdmPo9mHZ6QGxyzn5HGu0aBcd
		}
		passwordless_guard
		passwordless_bearer /api/*
		passwordless_guard /admin/* {
			allow group admins
		}
		rewrite /a /b
		redir /c /d
		passwordless_related_origins
	}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	position := -1
	for _, part := range []string{`"passwordless_related_origins"`, `"Location":["/d"]`, `"rewrite"`, `"path_rule":true`, `"handler":"passwordless_guard"}`, `"endpoints_only":true`, `"handler":"passwordless_bearer"`, `"http_basic"`, `"body":"ok"`} {
		next := strings.Index(string(config), part)
		if next < 0 || next < position && part != `"endpoints_only":true` {
			t.Errorf("%s is missing or out of place in %s", part, config)
		}
		position = max(position, next)
	}
}

// Whatever tokens come, parsing ends with a value or an error that has a line, and never panics.
// The guard beside one with a matcher reads paths as that one does.
func TestAmbiguousPathsAreAllowedBesideTheGuardToo(t *testing.T) {
	for option, want := range map[string]string{
		"":                      `{"endpoints_only":true,"handler":"passwordless_guard"}`,
		"ambiguous_paths allow": `{"allow_ambiguous_paths":true,"endpoints_only":true,"handler":"passwordless_guard"}`,
	} {
		adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
		config, _, err := adapter.Adapt([]byte("http://app.localhost {\n passwordless_guard /admin/* {\n"+option+"\n}\n}"), nil)
		if err != nil || !strings.Contains(string(config), want) {
			t.Errorf("%q: %v in %s", option, err, config)
		}
	}
}

func FuzzGuardCaddyfile(f *testing.F) {
	for _, seed := range []string{
		"passwordless_guard", "passwordless_guard {\n realm a\n allow group b\n}", "passwordless_guard {\n deny claim a b\n bypass /x /y/*\n header X-A sub\n ambiguous_paths allow\n}",
		"passwordless_guard {", "passwordless_guard }", "passwordless_guard { {", "passwordless_guard {\n header {\n }\n}", "passwordless_guard {\n realm \"\"\n}", "passwordless_bearer {\n use id\n}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, input string) {
		g := new(Guard)
		if err := g.UnmarshalCaddyfile(caddyfile.NewTestDispenser(input)); err == nil {
			for _, pattern := range g.Bypass {
				if pathPattern(pattern).validate() != nil {
					t.Errorf("accepted %q", pattern)
				}
			}
		}
		_ = new(Bearer).UnmarshalCaddyfile(caddyfile.NewTestDispenser(input))
		_ = new(RelatedOrigins).UnmarshalCaddyfile(caddyfile.NewTestDispenser(input))
	})
}
