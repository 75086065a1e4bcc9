package integration

import (
	"net/http"
	"strings"
	"testing"
)

var ambiguous = []string{"/api/queues/%2F/x", "/a//b", "/a;v=1/b"}

// A path rule belongs to its site: what another site says of its own paths changes nothing here, nor do matchers that look at no path.
func TestPathRulesBindTheirSiteOnly(t *testing.T) {
	s := newSite(t, `
http://app.localhost:PORT {
	@outside not remote_ip 192.0.2.0/24
	passwordless_guard @outside
	reverse_proxy APPLICATION
}
http://other.localhost:PORT {
	passwordless_guard {
		bypass /robots.txt
	}
	reverse_proxy APPLICATION
}
http://third.localhost:PORT {
	handle /admin/* {
		passwordless_guard
		reverse_proxy APPLICATION
	}
	reverse_proxy APPLICATION
}
`)
	v := visitor{s.nodes, s.browser(addresses[0], s.jar)}
	v.signIn("anna@example.com")
	for _, path := range ambiguous {
		a := s.ask(http.MethodGet, s.app+path, "X-Original-Url", "/x", "X-Forwarded-Prefix", "/y", "X-HTTP-Method-Override", "DELETE")
		if a.reached == nil || a.reached.Target != path {
			t.Errorf("%s on a site without path rules: %d %s", path, a.status, a.body)
			continue
		}
		if a.reached.Header.Get("X-Original-Url") != "/x" || a.reached.Header.Get("X-Http-Method-Override") != "DELETE" {
			t.Errorf("headers that no rule is about are gone: %v", a.reached.Header)
		}
		if a := s.ask(http.MethodGet, strings.Replace(s.app, "app.", "other.", 1)+path); a.status != http.StatusBadRequest {
			t.Errorf("%s on a site with path rules: %d", path, a.status)
		}
	}
}

// Where a rule of the site looks at paths, no guard of it lets a path pass that two servers may read differently, wherever that rule stands:
// here the guard for the rest of the site has no rule of its own.
func TestAttackPathRuleAroundTheGuard(t *testing.T) {
	for name, rules := range map[string]string{
		"handle":                      "handle /admin/* {\npasswordless_guard {\nallow group admins\n}\nreverse_proxy APPLICATION\n}\nhandle {\npasswordless_guard\nreverse_proxy APPLICATION\n}\n",
		"a named matcher in a handle": "@admin path_regexp ^/admin\nhandle @admin {\npasswordless_guard {\nallow group admins\n}\nreverse_proxy APPLICATION\n}\npasswordless_guard\nreverse_proxy APPLICATION\n",
		"not":                         "@public not path /admin/*\nhandle @public {\npasswordless_guard\nreverse_proxy APPLICATION\n}\nhandle {\npasswordless_guard {\nallow group admins\n}\nreverse_proxy APPLICATION\n}\n",
		"an expression":               "@admin `path('/admin/*')`\nroute @admin {\npasswordless_guard {\nallow group admins\n}\n}\npasswordless_guard\nreverse_proxy APPLICATION\n",
		"route":                       "route {\nroute /admin/* {\npasswordless_guard {\nallow group admins\n}\n}\npasswordless_guard\nreverse_proxy APPLICATION\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, "\nhttp://app.localhost:PORT {\n"+rules+"}\n")
			(&visitor{s.nodes, s.browser(addresses[0], s.jar)}).signIn("anna@example.com")
			if a := s.ask(http.MethodGet, s.app+"/page"); a.reached == nil {
				t.Fatalf("the rest of the site: %d %s", a.status, a.body)
			}
			if a := s.ask(http.MethodGet, s.app+"/admin/x"); a.status != http.StatusForbidden {
				t.Errorf("the part for admins: %d %s", a.status, a.body)
			}
			for _, path := range []string{"/admin;/x", "//admin/x", "/admin%2Fx", "/x/..%2fadmin/x", "/admin%5cx"} {
				if a := s.ask(http.MethodGet, s.app+path); a.status != http.StatusBadRequest || a.reached != nil {
					t.Errorf("%s: %d %s", path, a.status, a.body)
				}
			}
			for _, header := range []string{"X-Original-Url", "X-Forwarded-Prefix", "X-Envoy-Original-Path"} {
				if a := s.ask(http.MethodGet, s.app+"/page", header, "/admin/x"); a.reached == nil || len(a.reached.Header[header]) > 0 {
					t.Errorf("%s: %d %s", header, a.status, a.body)
				}
			}
		})
	}
}

// overrides are headers by which frameworks, servers and proxies read another request than the one that came.
var overrides = map[string][]string{
	"path": {
		"X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Original-Uri", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Path-Override", "X-Envoy-Original-Path",
		"X-Original-Path", "X-Forwarded-Path", "X-Script-Name", "x-original-uri", "X-FORWARDED-PREFIX",
	},
	"method": {
		"X-Method", "X-HTTP-Verb", "X-Original-Method", "X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "x-http-VERB",
	},
}

// Attack: the rules judge one request and the application serves another, for a header says so.
func TestAttackHeadersThatReplaceTheRequest(t *testing.T) {
	s := newSite(t, `
http://app.localhost:PORT {
	passwordless_guard {
		bypass /public/*
	}
	reverse_proxy APPLICATION
}
http://other.localhost:PORT {
	@write method POST DELETE
	passwordless_guard @write
	reverse_proxy APPLICATION
}
`)
	for kind, address := range map[string]string{"path": s.app + "/public/x", "method": strings.Replace(s.app, "app.", "other.", 1) + "/public/x"} {
		for _, name := range overrides[kind] {
			a := s.ask(http.MethodGet, address, name, "replaced")
			if a.reached == nil {
				t.Fatalf("%s: %d %s", name, a.status, a.body)
			}
			for got, values := range a.reached.Header {
				if strings.Contains(strings.Join(values, " "), "replaced") {
					t.Errorf("%s: the application got %s", name, got)
				}
			}
		}
	}
}

// A proxy in front that Caddy trusts says which prefix it took off the path; one that is not trusted is a client.
func TestForwardedPrefixOfATrustedProxy(t *testing.T) {
	const sites = "\nhttp://app.localhost:PORT {\npasswordless_guard {\nbypass /public/*\n}\nreverse_proxy APPLICATION\n}\n"
	s := newSite(t, sites, "servers {\ntrusted_proxies static 127.0.0.1/32\n}")
	if a := s.ask(http.MethodGet, s.app+"/public/x", "X-Forwarded-Prefix", "/wiki"); a.reached == nil || a.reached.Header.Get("X-Forwarded-Prefix") != "/wiki" {
		t.Errorf("from a trusted proxy: %d %s", a.status, a.body)
	}
	for _, name := range []string{"X-Forwarded-Uri", "X-Original-Url"} {
		if a := s.ask(http.MethodGet, s.app+"/public/x", name, "/wiki"); a.reached == nil || a.reached.Header.Get(name) != "" {
			t.Errorf("%s from a trusted proxy: %d %s", name, a.status, a.body)
		}
	}
	if a := s.ask(http.MethodGet, s.app+"/public/x", "X-Forwarded-Prefix", "/wiki", "X-Forwarded-Prefix", "/admin"); a.reached == nil || len(a.reached.Header["X-Forwarded-Prefix"]) > 0 {
		t.Errorf("twice: %d %s", a.status, a.body)
	}
}

// ſ and the Kelvin sign are s and k to whatever ignores case by Unicode's rules, but not to Caddy's path matchers.
func TestAttackLettersThatFoldToASCII(t *testing.T) {
	s := newSite(t, `
http://app.localhost:PORT {
	passwordless_guard /fresh*
	passwordless_guard /desk*
	reverse_proxy APPLICATION
}
`)
	for _, path := range []string{"/fre%C5%BFh", "/fre\u017fh", "/FRE%C5%BFH/x", "/des%E2%84%AA", "/des\u212a/x", "/x/%c5%bf"} {
		if a := s.ask(http.MethodGet, s.app+path); a.status != http.StatusBadRequest || a.reached != nil {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for _, path := range []string{"/FRESH", "/deSK/x"} {
		if a := s.ask(http.MethodGet, s.app+path); a.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	for _, path := range []string{"/stra%C3%9Fe", "/kay%C4%B1t", "/%C3%A9", "/%E2%84%A2", "/%C5%BE"} {
		if a := s.ask(http.MethodGet, s.app+path); a.reached == nil {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}
