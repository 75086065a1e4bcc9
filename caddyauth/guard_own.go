package caddyauth

import (
	"net/http"
	"slices"
	"strings"
)

// asAsked is the request at the address that the browser asked for, before any rewrite: try_files and rewrite come before the guard, and
// would hide its own addresses from it. That is safe for addresses which the guard answers itself and for no others: what is passed on is
// judged by the path that follows from the rewrites.
func (rt *realm) asAsked(r *http.Request) *http.Request {
	u := originalURL(r)
	if u == r.URL || !strings.HasPrefix(u.Path, rt.portal.Path) {
		return r
	}
	asked := new(http.Request)
	*asked = *r
	asked.URL = u
	return asked
}

// isOwnAddress reports whether the guard answers what follows the portal's path on an application's host. Everything else there belongs to
// the application.
func isOwnAddress(below string) bool {
	return slices.Contains([]string{"handoff", "sign-out", "send-again"}, below) || strings.HasPrefix(below, "assets/")
}
