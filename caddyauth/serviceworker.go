package caddyauth

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

// isServiceWorkerScript reports whether the browser fetches a script to register as service worker.
func isServiceWorkerScript(r *http.Request) bool {
	return len(r.Header["Service-Worker"]) > 0 || r.Header.Get("Sec-Fetch-Dest") == "serviceworker"
}

// coversPortal reports whether a service worker whose script is at u could control the portal's pages: without a
// Service-Worker-Allowed header (which the guard removes on a shared host) its scope is the script's folder
// (https://www.w3.org/TR/service-workers/#path-restriction).
func (r *Realm) coversPortal(u *url.URL) bool {
	folder := path.Dir(path.Clean("/" + u.Path))
	if folder != "/" {
		folder += "/"
	}
	return strings.HasPrefix(r.portalURL.Path, folder) || strings.HasPrefix(folder, r.portalURL.Path)
}
