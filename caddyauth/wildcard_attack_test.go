package caddyauth

import (
	"net/http"
	"testing"
)

// Attack: `applications https://*.example.com` covers the portal's own host. Taken for an application, the portal's origin would be handed
// sessions and could be guarded as one. Only an entry that names it makes it one, wherever that stands in the list.
func TestAttackWildcardCoversThePortal(t *testing.T) {
	const wildcard = "https://*.example.com"
	for name, c := range map[string]struct {
		applications []string
		portal       bool
	}{
		"a wildcard":                  {[]string{wildcard}, false},
		"two of them":                 {[]string{wildcard, wildcard}, false},
		"an application before it":    {[]string{appOrigin, wildcard}, false},
		"the portal named before it":  {[]string{portalOrigin, wildcard}, true},
		"the portal named behind it":  {[]string{wildcard, portalOrigin}, true},
		"applications of other names": {[]string{appOrigin, otherOrigin}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPortal(t, func(r *Realm, _ *Portal) {
				r.Applications, r.SharedHost = c.applications, c.portal
			})
			for _, request := range []*http.Request{navigation(portalOrigin + "/"), navigation(portalOrigin + ":443/"), navigation("https://AUTH.example.com/")} {
				if origin, ok := p.rt.applicationFor(request); ok != c.portal {
					t.Errorf("the portal at %s is an application: %t (%s)", request.Host, ok, origin)
				}
			}
			if _, ok := p.rt.applicationFor(navigation(appOrigin + "/")); !ok {
				t.Error("an application is none")
			}
		})
	}
}
