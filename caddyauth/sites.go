package caddyauth

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// sites is what the routes of a configuration say about our handlers. It finds mistakes that are no errors, because another Caddy may do
// what is missing, but that people would otherwise meet as an empty or refused page.
type sites struct {
	guards  map[siteHost][]reach // guards and forward auth; host is "" where any host leads there, or another proxy asks
	portals map[siteHost][]reach
}

type siteHost struct{ realm, host string }

// checkSites warns, once for a configuration, of sites and realms that do not fit each other. The app is nil outside of a whole configuration.
func (a *App) checkSites(app *caddyhttp.App) {
	if app == nil {
		return
	}
	a.sites.Do(func() {
		found := sites{guards: make(map[siteHost][]reach), portals: make(map[siteHost][]reach)}
		for _, server := range app.Servers {
			walk := siteWalk{sites: &found, named: server.NamedRoutes}
			walk.routes(server.Routes, nil, nil)
		}
		for name, r := range a.Realms {
			found.check(name, r, a.ctx.Logger().With(zap.String("realm", name)))
		}
	})
}

func (s *sites) check(name string, r *Realm, logger *zap.Logger) {
	guards, portals := hostsOf(s.guards, name), hostsOf(s.portals, name)
	if len(guards) > 0 && len(portals) == 0 {
		logger.Warn("people are sent to a portal that no site of this configuration serves: add passwordless_portal to a site at its address, unless another Caddy serves it",
			zap.String("portal", r.Portal))
	}
	if len(portals) > 0 && !slices.ContainsFunc(portals, func(host string) bool { return coversHost(host, r.portalOrigin.host) }) {
		logger.Warn("passwordless_portal is on sites whose hosts are not the portal's: add it to a site at the portal's address, or correct `portal`",
			zap.String("portal", r.Portal), zap.Strings("hosts", portals))
	}
	for _, host := range guards {
		if !r.serves(host) {
			logger.Warn("a guard is on a host that is not among the applications of its realm, so every request there gets 403: add its origin to `applications`",
				zap.String("host", host))
			continue
		}
		// On the portal's host there is no handoff. Where any host leads to a guard, another site may answer it.
		if handoff := r.portalURL.Path + "handoff"; host != "" && !coversHost(host, r.portalOrigin.host) && !s.reached(name, host, handoff) {
			logger.Warn("sign-ins cannot come back to this host, for a guard is only on another part of it than "+handoff+
				": put `passwordless_guard "+r.portalURL.Path+"*` beside that part", zap.String("host", host))
		}
	}
}

// hostsOf lists the hosts of one realm, sorted.
func hostsOf(found map[siteHost][]reach, realm string) []string {
	var hosts []string
	for at := range maps.Keys(found) {
		if at.realm == realm {
			hosts = append(hosts, at.host)
		}
	}
	slices.Sort(hosts)
	return hosts
}

// serves reports whether a host of a matcher has, or may have, an application or the portal. Schemes and ports are not compared: a proxy in
// front may change them.
func (r *Realm) serves(host string) bool {
	return coversHost(host, r.portalOrigin.host) || slices.ContainsFunc(r.applications, func(o origin) bool {
		if !o.wildcard {
			return coversHost(host, o.host)
		}
		below, wild := strings.CutPrefix(host, "*.")
		concrete, err := canonicalHost(below)
		return err != nil || strings.HasSuffix(concrete, "."+o.host) || wild && concrete == o.host
	})
}

// coversHost reports whether a host matcher lets this host pass. One with a placeholder, or none at all, may let any pass.
func coversHost(pattern, host string) bool {
	if pattern == "" || strings.Contains(pattern, "{") {
		return true
	}
	labels, of := strings.Split(strings.ToLower(pattern), "."), strings.Split(host, ".")
	if len(labels) != len(of) {
		return false
	}
	for i := range labels {
		if ascii, err := canonicalHost(labels[i]); labels[i] != "*" && (err != nil || ascii != of[i]) {
			return false
		}
	}
	return true
}

// siteWalk goes through the routes of a server, which may be provisioned in part.
type siteWalk struct {
	sites   *sites
	named   map[string]*caddyhttp.Route
	invoked []string
}

func (w *siteWalk) routes(routes caddyhttp.RouteList, hosts []string, paths reach) {
	rewritten := false
	for i := range routes {
		w.route(&routes[i], hosts, paths, rewritten)
		rewritten = rewritten || rewrites(&routes[i])
	}
}

// route goes through the handlers of one route. The innermost matcher of hosts says on which ones they are.
func (w *siteWalk) route(route *caddyhttp.Route, hosts []string, paths reach, rewritten bool) {
	if own := routeHosts(route); len(own) > 0 {
		hosts = own
	}
	if !rewritten {
		paths = paths.within(route)
	}
	for _, handler := range route.Handlers {
		w.handler(handler, hosts, paths)
	}
	for _, raw := range route.HandlersRaw {
		if handler, err := decodeHandler(raw); err == nil { // what cannot be read is an error of its own
			w.handler(handler, hosts, paths)
		}
	}
}

// routeHosts lists the hosts of a route's matchers, none if some of its sets match any host.
func routeHosts(route *caddyhttp.Route) []string {
	var hosts []string
	for _, set := range route.MatcherSets {
		i := slices.IndexFunc(set, func(m any) bool { _, ok := m.(*caddyhttp.MatchHost); return ok })
		if i < 0 {
			return nil
		}
		hosts = append(hosts, *set[i].(*caddyhttp.MatchHost)...)
	}
	for _, set := range route.MatcherSetsRaw {
		var own []string
		if raw, ok := set["host"]; !ok || json.Unmarshal(raw, &own) != nil {
			return nil
		}
		hosts = append(hosts, own...)
	}
	return hosts
}

func (w *siteWalk) handler(handler any, hosts []string, paths reach) {
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	switch h := handler.(type) {
	case *Portal:
		w.note(w.sites.portals, h.realmName(), hosts, paths)
	case *Guard:
		w.note(w.sites.guards, h.realmName(), hosts, paths)
	case *ForwardAuth:
		w.note(w.sites.guards, h.realmName(), []string{""}, reach{nil}) // it answers no handoff
	case *caddyhttp.Subroute:
		w.routes(h.Routes, hosts, paths)
	case *caddyhttp.Invoke:
		if route := w.named[h.Name]; route != nil && !slices.Contains(w.invoked, h.Name) {
			w.invoked = append(w.invoked, h.Name)
			w.route(route, hosts, paths, true)
			w.invoked = w.invoked[:len(w.invoked)-1]
		}
	}
}

func (w *siteWalk) note(found map[siteHost][]reach, realm string, hosts []string, paths reach) {
	for _, host := range hosts {
		at := siteHost{realm, host}
		found[at] = append(found[at], paths)
	}
}
