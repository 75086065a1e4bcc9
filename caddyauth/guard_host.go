package caddyauth

import (
	"net/http"
	"strings"
	"sync"
)

// maxCachedHosts bounds a hostCache: a wildcard application has any number of hosts.
const maxCachedHosts = 1024

// hostCache remembers what cookieHost said, which parses host names and depends on nothing but the configuration. Only listed
// hosts are kept, so that made-up ones do not push them out.
type hostCache struct {
	mu    sync.RWMutex
	known map[hostKey]hostFacts
}

type hostKey struct{ scheme, host string }

type hostFacts struct {
	origin, host string
	portal       bool
}

func (c *hostCache) lookUp(rt *realm, r *http.Request) (origin, host string, portal bool) {
	key := hostKey{requestScheme(r), r.Host}
	c.mu.RLock()
	facts, ok := c.known[key]
	c.mu.RUnlock()
	if ok {
		return facts.origin, facts.host, facts.portal
	}
	origin, host, portal = rt.cookieHost(r)
	if origin == "" {
		return origin, host, portal
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxCachedHosts {
		c.known = make(map[hostKey]hostFacts)
	}
	c.known[key] = hostFacts{origin, host, portal}
	return origin, host, portal
}

// cookieHost says which listed application's origin the request came to ("" if none), the host that cookies on it are sealed
// for, and whether the portal lives there too.
func (rt *realm) cookieHost(r *http.Request) (origin, host string, portal bool) {
	origin, ok := rt.applicationFor(r)
	if rt.config.onPortal(r) {
		return origin, rt.portal.Host, true
	}
	if ok {
		_, host, _ = strings.Cut(origin, "://")
	}
	return origin, host, false
}
