package caddyauth

import "net/http"

// tooEarly reports whether r came in TLS early data (0-RTT, which Caddy accepts over HTTP/3) and may change something. Whoever recorded early
// data can send it again, with the session in it, without being able to read it; the client of a request that gets 425 sends it once more by
// itself when the handshake is done (RFC 8470, section 5.2). A proxy in front of us says it with a header (section 5.1), which a client can
// only set to its own disadvantage.
func tooEarly(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return false
	}
	return r.TLS != nil && !r.TLS.HandshakeComplete || len(r.Header["Early-Data"]) > 0
}

// refusedEarly is the answer to what is tooEarly.
var refusedEarly = refusal{status: http.StatusTooEarly, reason: "too_early", detail: "send this once more when the TLS handshake is done"}
