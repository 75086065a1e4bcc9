package caddyauth

import (
	"net/http"
	"strings"
	"sync"
)

// maxCachedHosts bounds a hostCache: a wildcard application has any number of hosts.
const maxCachedHosts = 1024

// hostCache remembers what is known of a host, which depends on nothing but the configuration. Only listed
// hosts are kept, so that made-up ones do not push them out.
type hostCache struct {
	mu    sync.RWMutex
	known map[hostKey]hostFacts
}

type hostKey struct{ scheme, host string }

type hostFacts struct {
	origin, host string // as cookieHost says
	portal       bool
	judged       judged // by the rules of the realm's guards there
}

func (f *guardFamily) lookUp(rt *realm, r *http.Request) hostFacts {
	c := &f.hosts
	key := hostKey{requestScheme(r), r.Host}
	c.mu.RLock()
	facts, ok := c.known[key]
	c.mu.RUnlock()
	if ok {
		return facts
	}
	facts.origin, facts.host, facts.portal = rt.cookieHost(r)
	facts.judged = f.judgedAt(r)
	if facts.origin == "" {
		return facts
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxCachedHosts {
		c.known = make(map[hostKey]hostFacts)
	}
	c.known[key] = facts
	return facts
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
