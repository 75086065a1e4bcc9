package caddyauth

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// judged is what the rules for a request look at. It decides what would let the upstream read another request than the one that was judged.
type judged struct {
	paths   bool // ambiguous paths are refused, headers that replace the path are removed
	methods bool // headers that replace the method are removed
	address bool // headers that replace the path are removed: what a person confirms is the address that came
}

func (j judged) or(other judged) judged {
	return judged{j.paths || other.paths, j.methods || other.methods, j.address || other.address}
}

// judges is what a guard's own options look at.
func (g *Guard) judges() judged {
	return judged{paths: g.remote || g.PathRule || len(g.bypass) > 0, methods: g.methods, address: g.address}
}

// ruleScope is where rules hold: on the hosts that lead to their guard. A rule for part of a site holds for all of it, since a request
// that an upstream takes for another one comes past the rest of the site's guards only.
type ruleScope struct {
	judged
	hosts [][]*caddyhttp.MatchHost // a request matches one of each; nil matches all
}

func (s *ruleScope) covers(r *http.Request) bool {
	for _, alternatives := range s.hosts {
		if !slices.ContainsFunc(alternatives, func(m *caddyhttp.MatchHost) bool { return m == nil || m.Match(r) }) {
			return false
		}
	}
	return true
}

// judgedAt is what the realm's guards on the request's host look at.
func (f *guardFamily) judgedAt(r *http.Request) judged {
	f.scoped.Do(f.findScopes)
	var all judged
	for i := range f.scopes {
		if f.scopes[i].covers(r) {
			all = all.or(f.scopes[i].judged)
		}
	}
	return all
}

// findScopes looks for the guards in the routes of the configuration. The rules of a guard that is not found there hold everywhere.
func (f *guardFamily) findScopes() {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := make(map[*Guard]bool)
	if f.http != nil {
		for _, server := range f.http.Servers {
			walk := scopeWalk{family: f, named: server.NamedRoutes, found: found}
			walk.routes(server.Routes, ruleScope{})
			if server.Errors != nil {
				walk.routes(server.Errors.Routes, ruleScope{})
			}
		}
	}
	for _, g := range f.guards {
		if !found[g] && g.judges() != (judged{}) {
			f.scopes = append(f.scopes, ruleScope{judged: g.judges()})
		}
	}
}

type scopeWalk struct {
	family  *guardFamily
	named   map[string]*caddyhttp.Route
	invoked []string
	found   map[*Guard]bool
}

func (w *scopeWalk) routes(routes caddyhttp.RouteList, outer ruleScope) {
	for i := range routes {
		w.route(&routes[i], outer)
	}
}

func (w *scopeWalk) route(route *caddyhttp.Route, scope ruleScope) {
	var hosts []*caddyhttp.MatchHost
	for _, set := range route.MatcherSets {
		var host *caddyhttp.MatchHost
		for _, matcher := range set {
			scope.judged = scope.or(looksAt(matcher))
			if m, ok := matcher.(*caddyhttp.MatchHost); ok {
				host = m
			}
		}
		hosts = append(hosts, host)
	}
	if len(hosts) > 0 {
		scope.hosts = append(scope.hosts[:len(scope.hosts):len(scope.hosts)], hosts)
	}
	for _, handler := range route.Handlers {
		w.handler(handler, scope)
	}
}

func (w *scopeWalk) handler(handler caddyhttp.MiddlewareHandler, scope ruleScope) {
	switch h := handler.(type) {
	case *Guard:
		if h.family != w.family {
			return
		}
		w.found[h] = true
		if scope.judged = scope.or(h.judges()); scope.judged != (judged{}) {
			w.family.scopes = append(w.family.scopes, scope)
		}
	case *caddyhttp.Subroute:
		w.routes(h.Routes, scope)
		if h.Errors != nil {
			w.routes(h.Errors.Routes, scope)
		}
	case *caddyhttp.Invoke:
		if route := w.named[h.Name]; route != nil && !slices.Contains(w.invoked, h.Name) {
			w.invoked = append(w.invoked, h.Name)
			w.route(route, scope)
			w.invoked = w.invoked[:len(w.invoked)-1]
		}
	}
}

// looksAt says what a matcher looks at. One that is not known may look at anything.
func looksAt(matcher any) judged {
	if not, ok := matcher.(*caddyhttp.MatchNot); ok {
		var all judged
		for _, set := range not.MatcherSets {
			for _, m := range set {
				all = all.or(looksAt(m))
			}
		}
		return all
	}
	if module, ok := matcher.(caddy.Module); ok {
		return matcherLooksAt(module.CaddyModule().ID.Name())
	}
	return judged{paths: true, methods: true}
}

func matcherLooksAt(name string) judged {
	switch name {
	case "host", "remote_ip", "client_ip", "header", "header_regexp", "protocol", "tls", "query", "passwordless":
		return judged{}
	case "path", "path_regexp", "file", "url_pattern":
		return judged{paths: true}
	case "method":
		return judged{methods: true}
	}
	return judged{paths: true, methods: true}
}

// rawLooksAt is [looksAt] for matchers that are not loaded yet.
func rawLooksAt(set caddy.ModuleMap) judged {
	var all judged
	for name, raw := range set {
		var negated []caddy.ModuleMap
		if name != "not" || json.Unmarshal(raw, &negated) != nil {
			all = all.or(matcherLooksAt(name))
			continue
		}
		for _, inner := range negated {
			all = all.or(rawLooksAt(inner))
		}
	}
	return all
}
