package caddyauth

import (
	"net/http"
	"strings"
)

// isUpgrade reports whether r asks for a WebSocket: the HTTP/1 upgrade (RFC 6455), or extended CONNECT over HTTP/2 and HTTP/3
// (RFC 8441, RFC 9220).
func isUpgrade(r *http.Request) bool {
	if r.Method == http.MethodConnect {
		return true
	}
	for _, value := range r.Header["Upgrade"] {
		if strings.Contains(strings.ToLower(value), "websocket") {
			return true
		}
	}
	return false
}

// methodOf is the method that rules, approvals and pages go by: what the upstream gets. Of an extended CONNECT the reverse proxy makes a GET
// that asks for an upgrade.
func methodOf(r *http.Request) string {
	if isExtendedConnect(r) {
		return http.MethodGet
	}
	return r.Method
}

// isExtendedConnect reports whether r opens a WebSocket on one stream of a connection: net/http's HTTP/2 says so by a pseudo-header, quic-go by
// the protocol. The reverse proxy looks at the same.
func isExtendedConnect(r *http.Request) bool {
	if r.Method != http.MethodConnect {
		return false
	}
	protocol := r.Header[":protocol"]
	return r.ProtoMajor == 2 && len(protocol) > 0 && protocol[0] == "websocket" || r.ProtoMajor == 3 && r.Proto == "websocket"
}

// scrubUpgrade leaves WebSockets as the only protocol that a client can ask for. An upstream that agrees to h2c (RFC 7540, section 3.2) turns
// the connection into a tunnel for any further requests, which no guard would see.
func scrubUpgrade(h http.Header) {
	lines := h["Upgrade"]
	if len(lines) == 0 {
		return
	}
	socket := false
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			socket = socket || strings.EqualFold(strings.TrimSpace(name), "websocket")
		}
	}
	delete(h, "Http2-Settings")
	if socket {
		h["Upgrade"] = []string{"websocket"}
	} else {
		delete(h, "Upgrade")
	}
}

// upgradeOriginAllowed reports whether the page that opens a WebSocket is the application itself or another listed one. Browsers
// send cookies with cross-site WebSockets and apply no CORS, so without this any site could speak as the person who is signed
// in. A client that sends our cookie but no Origin is not a browser of ours and is refused too.
func (rt *realm) upgradeOriginAllowed(r *http.Request) bool {
	values := r.Header["Origin"]
	if len(values) != 1 {
		return false
	}
	o, err := parseOrigin(values[0])
	if err != nil || o.wildcard {
		return false
	}
	return rt.ownOrigin(o)
}
