package caddyauth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// reach is what the path matchers around a handler let pass: a request has to match one pattern of each element.
type reach [][]string

// letsPass reports whether a request for the path may come to the handler.
func (r reach) letsPass(path string) bool {
	asked := (&http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}}).
		WithContext(context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewReplacer()))
	for _, patterns := range r {
		matches, err := caddyhttp.MatchPath(patterns).MatchWithError(asked)
		if err == nil && !matches && !slices.ContainsFunc(patterns, func(s string) bool { return strings.Contains(s, "{") }) {
			return false
		}
	}
	return true
}

// within is the reach inside of a route. Matchers that are not known may let anything pass.
func (r reach) within(route *caddyhttp.Route) reach {
	if patterns := routePaths(route); len(patterns) > 0 {
		return append(r[:len(r):len(r)], patterns)
	}
	return r
}

// routePaths lists the paths of a route's matchers in lower case, none if some of its sets match any path.
func routePaths(route *caddyhttp.Route) []string {
	var paths []string
	for _, set := range route.MatcherSets {
		i := slices.IndexFunc(set, func(m any) bool { _, ok := m.(caddyhttp.MatchPath); return ok })
		if i < 0 {
			return nil
		}
		paths = append(paths, set[i].(caddyhttp.MatchPath)...)
	}
	for _, set := range route.MatcherSetsRaw {
		var own []string
		if raw, ok := set["path"]; !ok || json.Unmarshal(raw, &own) != nil {
			return nil
		}
		paths = append(paths, own...)
	}
	for i := range paths {
		paths[i] = strings.ToLower(paths[i])
	}
	return paths
}

// rewrites reports whether a route changes the path, so that later matchers look at another one than the guard, which takes the path that
// the browser asked for.
func rewrites(route *caddyhttp.Route) bool {
	return slices.ContainsFunc(route.Handlers, func(h caddyhttp.MiddlewareHandler) bool { _, ok := h.(*rewrite.Rewrite); return ok }) ||
		slices.ContainsFunc(route.HandlersRaw, func(raw json.RawMessage) bool {
			var h struct {
				Handler string `json:"handler"`
			}
			return json.Unmarshal(raw, &h) == nil && h.Handler == "rewrite"
		})
}

// reached reports whether a guard of the realm may get requests for the path on a host of a matcher.
func (s *sites) reached(realm, host, path string) bool {
	for at, all := range s.guards {
		if at.realm != realm || at.host != host && !coversHost(at.host, host) {
			continue
		}
		if slices.ContainsFunc(all, func(r reach) bool { return r.letsPass(path) }) {
			return true
		}
	}
	return false
}
