package caddyauth

import (
	"maps"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// passPreflight lets a CORS preflight through. Whether a browser sent it nobody can tell, and many an upstream runs its page for OPTIONS as
// for GET. So it goes without what a real one never has (credentials) or what only such a page would act on (the query), and what comes
// back is the answer to the question that was asked: the status and CORS' own headers.
func (v *visit) passPreflight(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	for name := range r.Header {
		if isCredential(name) {
			delete(r.Header, name)
		}
	}
	r.URL.RawQuery, r.URL.ForceQuery = "", false
	r.RequestURI = r.URL.RequestURI()
	if v.writer.before == nil {
		v.writer.before = maps.Clone(w.Header())
	}
	return v.pass(w, r, next)
}

// isCredential reports whether an upstream would know a client by the header, in whatever spelling.
func isCredential(name string) bool {
	return foldedMatch(name, "authorization", false) || foldedMatch(name, "cookie", false) || foldedMatch(name, "proxyauthorization", false)
}

// onlyCORS takes everything from an answer to a preflight that the upstream added and that does not answer it.
func (p *privateWriter) onlyCORS(h http.Header) {
	for name := range h {
		switch {
		case strings.HasPrefix(name, "Access-Control-"), name == "Vary", name == "Allow":
		case p.before[name] != nil:
			h[name] = p.before[name]
		default:
			delete(h, name)
		}
	}
}
