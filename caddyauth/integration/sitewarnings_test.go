package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What people would meet as an empty page, a refusal or a mail that never comes, `caddy validate` tells the operator before.
func TestValidateWarnsOfSitesThatDoNotFit(t *testing.T) {
	const (
		unserved = "a portal that no site of this configuration serves"
		misplace = "passwordless_portal is on sites whose hosts are not the portal's"
		unlisted = "a guard is on a host that is not among the applications"
		noReturn = "sign-ins cannot come back to this host"
		noInbox  = "an inbox that cannot be opened"
	)
	for name, tc := range map[string]struct {
		sites string
		pool  string
		want  []string
	}{
		"all fits": {sites: "auth.example.com {\npasswordless_portal\n}\napp.example.com {\npasswordless_guard\n}"},
		"all fits, in one wildcard site": {sites: `*.example.com {
			@auth host auth.example.com
			handle @auth {
				passwordless_portal
			}
			@app host app.example.com
			handle @app {
				route {
					passwordless_guard
				}
			}
		}`},
		"a host below a wildcard application":      {sites: "auth.example.com {\npasswordless_portal\n}\nwiki.tools.example.com, *.tools.example.com {\npasswordless_guard\n}"},
		"a site for any host":                      {sites: "auth.example.com {\npasswordless_portal\n}\nhttp://:8099 {\npasswordless_guard\n}"},
		"a host from the environment":              {sites: "auth.example.com {\npasswordless_portal\n}\nhttp://:8099 {\n@h host {env.A_HOST}\npasswordless_guard @h\n}"},
		"a snippet, and a guard before the portal": {sites: "(guarded) {\npasswordless_guard\n}\napp.example.com {\nimport guarded\n}\nauth.example.com {\npasswordless_portal\n}"},
		"forward auth asks for other hosts":        {sites: "auth.example.com {\npasswordless_portal\n}\nhttp://:9091 {\npasswordless_forward_auth traefik {\ntrusted_proxies 10.0.0.1\n}\nrespond 403\n}"},

		"no portal":                         {sites: "app.example.com {\npasswordless_guard\n}", want: []string{unserved}},
		"no portal, forward auth":           {sites: "http://:9091 {\npasswordless_forward_auth traefik {\ntrusted_proxies 10.0.0.1\n}\nrespond 403\n}", want: []string{unserved}},
		"portal on another host":            {sites: "login.example.com {\npasswordless_portal\n}\napp.example.com {\npasswordless_guard\n}", want: []string{misplace}},
		"guard on an unlisted host":         {sites: "auth.example.com {\npasswordless_portal\n}\nshop.example.com {\npasswordless_guard /admin/*\n}", want: []string{unlisted, "shop.example.com"}},
		"guard on the parent domain":        {sites: "auth.example.com {\npasswordless_portal\n}\ntools.example.com {\nhandle /x/* {\npasswordless_guard\n}\n}", want: []string{unlisted, "tools.example.com"}},
		"guard on one unlisted host of two": {sites: "auth.example.com {\npasswordless_portal\n}\napp.example.com, www.example.com {\npasswordless_guard\n}", want: []string{unlisted, "www.example.com"}},

		"a guard on a part, and one on its own addresses": {sites: "auth.example.com {\npasswordless_portal\n}\napp.example.com {\nhandle_path /wiki/* {\npasswordless_guard\n}\npasswordless_guard /auth/*\n}"},
		"a guard with a matcher":                          {sites: "auth.example.com {\npasswordless_portal\n}\napp.example.com {\npasswordless_guard /wiki/*\n}"},
		"a guard on everything but a part":                {sites: "auth.example.com {\npasswordless_portal\n}\napp.example.com {\nhandle /public/* {\nrespond 200\n}\nhandle {\npasswordless_guard\n}\n}"},
		"its own addresses in another site":               {sites: "auth.example.com {\npasswordless_portal\n}\napp.example.com/wiki/* {\npasswordless_guard\n}\napp.example.com/auth/* {\npasswordless_guard\n}"},
		"its own addresses in a wildcard site":            {sites: "auth.example.com {\npasswordless_portal\n}\nwiki.tools.example.com {\nhandle /wiki/* {\npasswordless_guard\n}\n}\n*.tools.example.com {\npasswordless_guard\n}"},
		"a regular expression, which is not looked into":  {sites: "auth.example.com {\npasswordless_portal\n}\napp.example.com {\n@part path_regexp ^/(auth|wiki)/\nhandle @part {\npasswordless_guard\n}\n}"},
		"a matcher after a rewrite":                       {sites: "auth.example.com {\npasswordless_portal\n}\napp.example.com {\nroute {\nuri strip_prefix /auth\n@part path /handoff\nhandle @part {\npasswordless_guard\n}\n}\n}"},
		"the portal beside a guarded part":                {sites: "auth.example.com {\npasswordless_portal\nhandle /wiki/* {\npasswordless_guard\n}\n}"},
		"handle_path alone":                               {sites: "auth.example.com {\npasswordless_portal\n}\napp.example.com {\nhandle_path /wiki/* {\npasswordless_guard\n}\n}", want: []string{noReturn, "app.example.com", "/auth/handoff"}},
		"two parts":                                       {sites: "auth.example.com {\npasswordless_portal\n}\napp.example.com {\nhandle /wiki/* {\npasswordless_guard\n}\nhandle /blog/* {\npasswordless_guard\n}\n}", want: []string{noReturn, "app.example.com", "/auth/handoff"}},
		"a part by a matcher with a name":                 {sites: "auth.example.com {\npasswordless_portal\n}\napp.example.com {\n@part path /wiki /wiki/*\nroute @part {\npasswordless_guard\n}\n}", want: []string{noReturn, "app.example.com", "/auth/handoff"}},
		"a part of a wildcard site":                       {sites: "auth.example.com {\npasswordless_portal\n}\n*.tools.example.com {\nhandle /Wiki/* {\npasswordless_guard\n}\n}", want: []string{noReturn, "*.tools.example.com", "/auth/handoff"}},
		"own addresses of another host":                   {sites: "auth.example.com {\npasswordless_portal\n}\napp.example.com {\nhandle /wiki/* {\npasswordless_guard\n}\n}\nx.tools.example.com {\npasswordless_guard\n}", want: []string{noReturn, "app.example.com", "/auth/handoff"}},

		"neither inbox nor mail server": {sites: "auth.example.com {\npasswordless_portal\n}\napp.example.com {\npasswordless_guard\n}",
			pool: "user_pool embedded FOLDER/pool.db", want: []string{noInbox}},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			log := filepath.Join(folder, "log")
			if tc.pool == "" {
				tc.pool = "user_pool embedded FOLDER/pool.db {\ninbox localhost:8025\n}"
			}
			caddyfile := strings.NewReplacer("LOG", log, "POOL", strings.NewReplacer("FOLDER", folder).Replace(tc.pool), "SITES", tc.sites).Replace(`{
	log {
		output file LOG
	}
	passwordless {
		portal https://auth.example.com
		applications https://app.example.com https://*.tools.example.com
		POOL
		passkeys {
			relying_party example.com
		}
		magic_link
	}
}
SITES
`)
			if err := validate(t, caddyfile); err != nil {
				t.Fatalf("%v\n%s", err, caddyfile)
			}
			text, err := os.ReadFile(log)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			for _, warning := range []string{unserved, misplace, unlisted, noReturn, noInbox} {
				wanted := len(tc.want) > 0 && tc.want[0] == warning
				if got := strings.Count(string(text), warning); got != map[bool]int{true: 1}[wanted] {
					t.Errorf("%q stands there %d times\n%s", warning, got, text)
				}
			}
			for _, want := range tc.want {
				if !strings.Contains(string(text), want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
		})
	}
}
