package caddyauth

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// privateWriter keeps shared caches from storing what one person's session was shown. It looks at the upstream's headers when they
// are written and passes everything else through.
type privateWriter struct {
	caddyhttp.ResponseWriterWrapper
	visit     *visit
	shared    bool        // no service worker may widen its scope over the portal
	cookieSet bool        // we sent a Set-Cookie
	before    http.Header // of the answer to a preflight, which is all that it may have beside CORS' own; nil for other requests
	done      bool
	demands             // of the upstream, where a guard listens to them
	replaced  bool      // we answer instead of the upstream
	values    [2]string // backing of the headers we add, to save allocations
}

// pass hands the request on, with the response writer wrapped once.
func (v *visit) pass(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if v.authenticated && !v.watched { // its session's end is the end of the response, too
		v.watched = true
		v.rt.streams.enter(&v.stream, &v.session, w, r)
		defer v.rt.streams.leave(&v.stream, v.session.ID)
	}
	if v.writer.visit != nil {
		return next.ServeHTTP(w, r)
	}
	v.writer.visit, v.writer.ResponseWriter = v, w
	err := next.ServeHTTP(&v.writer, r)
	if !v.turnedAway { // by a further guard
		v.rt.metrics.passed(v)
	}
	if err == nil {
		v.writer.finish() // a handler that writes nothing has its headers sent when it returns
	}
	return err
}

func (p *privateWriter) finish() {
	if p.done || p.replaced {
		return
	}
	p.done = true
	h := p.ResponseWriter.Header()
	if p.before != nil {
		p.onlyCORS(h)
		return
	}
	if p.shared {
		delete(h, "Service-Worker-Allowed")
	}
	switch {
	case p.cookieSet:
		h["Cache-Control"] = []string{"private, no-store"}
	case p.visit.authenticated:
		p.makePrivate(h)
	}
}

// makePrivate adds `private` and `Vary: Cookie` unless the upstream decided about shared caches itself.
func (p *privateWriter) makePrivate(h http.Header) {
	values := h["Cache-Control"]
	for _, line := range values {
		for directive := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(name) {
			case "public", "private", "no-store", "s-maxage":
				return
			}
		}
	}
	p.values = [2]string{"private", "Cookie"}
	h["Cache-Control"] = append(p.values[0:1:1], values...)
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(name, "Cookie") {
				return
			}
		}
	}
	if len(h["Vary"]) == 0 {
		h["Vary"] = p.values[1:2:2]
		return
	}
	h["Vary"] = append(h["Vary"], "Cookie")
}

// WriteHeader implements [http.ResponseWriter]. Informational responses pass as they are, except 101, which is final.
func (p *privateWriter) WriteHeader(status int) {
	if p.replaced {
		return
	}
	if d := p.upstreamDemand(status); d != nil {
		p.answerDemand(d)
		return
	}
	switch {
	case status >= http.StatusOK, status == http.StatusSwitchingProtocols:
		p.finish()
	case p.before != nil: // hints for a page that nobody gets
		return
	}
	p.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (p *privateWriter) Write(b []byte) (int, error) {
	if p.replaced {
		return len(b), nil
	}
	p.finish()
	if p.before != nil {
		return len(b), nil
	}
	if p.visit.stream.over.Load() {
		return 0, errStreamEnded
	}
	return p.ResponseWriter.Write(b)
}

// ReadFrom implements [io.ReaderFrom], so that file_server keeps sendfile.
func (p *privateWriter) ReadFrom(r io.Reader) (int64, error) {
	if p.replaced {
		return io.Copy(io.Discard, r)
	}
	p.finish()
	if p.before != nil {
		return io.Copy(io.Discard, r)
	}
	if p.visit.stream.over.Load() {
		return 0, errStreamEnded
	}
	return p.ResponseWriterWrapper.ReadFrom(r)
}

// Flush implements [http.Flusher].
func (p *privateWriter) Flush() { _ = p.FlushError() }

// FlushError is Flush for [http.ResponseController].
func (p *privateWriter) FlushError() error {
	p.finish()
	return http.NewResponseController(p.ResponseWriter).Flush()
}

// Hijack implements [http.Hijacker].
func (p *privateWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(p.ResponseWriter).Hijack()
	if err == nil {
		err = p.visit.stream.hijacked(conn)
	}
	return conn, buffered, err
}

// Interface guards
var (
	_ http.Flusher  = (*privateWriter)(nil)
	_ http.Hijacker = (*privateWriter)(nil)
	_ http.Pusher   = (*privateWriter)(nil)
	_ io.ReaderFrom = (*privateWriter)(nil)
)
