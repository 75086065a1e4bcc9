package caddyauth

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http/httpguts"
)

// Identity headers every guard sets.
const (
	headerUser   = "X-Passwordless-User"
	headerEmail  = "X-Passwordless-Email"
	headerGroups = "X-Passwordless-Groups"
)

// identityFamily is the folded beginning of every header name we may set: all of them are ours, today's and tomorrow's.
const identityFamily = "xpasswordless"

// guardFamily is what the guards of one realm have in common: a header that one guard sets must not be forged on a route that
// only another one protects, and a path rule of one is void if another on that host lets ambiguous paths pass.
type guardFamily struct {
	mu        sync.Mutex
	names     []string // folded header names beyond identityFamily
	protected atomic.Pointer[[]string]
	hosts     hostCache
	kept      keepQuota

	guards []*Guard
	http   *caddyhttp.App // whose routes lead to the guards; nil outside of a whole configuration
	scoped sync.Once
	scopes []ruleScope
	held   holdQuota
}

// guardFamilies is keyed by familyKey; it lives as long as a configuration's guards.
var guardFamilies = caddy.NewUsagePool()

type familyKey struct {
	app   *App
	realm string
}

// Destruct implements [caddy.Destructor].
func (*guardFamily) Destruct() error { return nil }

// protect adds header names that clients may never send.
func (f *guardFamily) protect(headers map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range headers {
		f.names = append(f.names, foldName(name))
	}
	names := f.names[:len(f.names):len(f.names)]
	f.protected.Store(&names)
}

// join adds a guard. Its rules hold on the hosts of its routes; see [guardFamily.judgedAt].
func (f *guardFamily) join(g *Guard, app *caddyhttp.App) {
	f.protect(g.Headers)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.http = app
	if !g.remote { // what another proxy asks about says nothing of the requests that come here themselves
		f.guards = append(f.guards, g)
	}
}

// foldName removes what upstreams fold away: CGI, WSGI, PHP and Java read "X-User", "X_User" and "x.user" as one name.
func foldName(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if c, ok := foldByte(name[i]); ok {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func foldByte(c byte) (byte, bool) {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c, true
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A', true
	}
	return 0, false
}

// foldedMatch reports whether name, folded, is folded or, with prefix, begins with it.
func foldedMatch(name, folded string, prefix bool) bool {
	matched := 0
	for i := 0; i < len(name); i++ {
		c, ok := foldByte(name[i])
		if !ok {
			continue
		}
		if matched == len(folded) {
			return prefix
		}
		if c != folded[matched] {
			return false
		}
		matched++
	}
	return matched == len(folded)
}

// covers reports whether a header name is one that only we may set.
func (f *guardFamily) covers(name string) bool {
	if foldedMatch(name, identityFamily, true) {
		return true
	}
	if f == nil {
		return false
	}
	names := f.protected.Load()
	if names == nil {
		return false
	}
	for _, folded := range *names {
		if foldedMatch(name, folded, false) {
			return true
		}
	}
	return false
}

// scrub removes every spelling of a protected header and of those that replace what was judged, and these names from Connection (the proxy
// would delete our header as hop-by-hop after we set it) and from Trailer and the trailers themselves (an upstream may merge them into the
// headers).
//
// It also leaves no upgrade but the one to a WebSocket.
func (f *guardFamily) scrub(r *http.Request, j judged) {
	for name := range r.Header {
		if f.covers(name) || j.overrides(name) && !mayOverride(r, name) {
			delete(r.Header, name)
		}
	}
	scrubUpgrade(r.Header)
	if len(r.Header["Connection"])+len(r.Header["Trailer"])+len(r.Trailer) == 0 {
		return
	}
	protected := func(name string) bool { return f.covers(name) || j.overrides(name) }
	scrubList(r.Header, "Connection", protected)
	scrubList(r.Header, "Trailer", protected)
	if len(r.Trailer) > 0 {
		scrubTrailer(r.Trailer, protected)
		if r.Body != nil {
			r.Body = &trailerGuard{ReadCloser: r.Body, protected: protected, trailer: r.Trailer}
		}
	}
}

// scrubTrailer takes credentials off as well, which are no trailers (RFC 9110, section 6.5.1) and could pose as the one that we set.
func scrubTrailer(trailer http.Header, protected func(string) bool) {
	for name := range trailer {
		if protected(name) || isCredential(name) {
			delete(trailer, name)
		}
	}
}

// scrubList removes protected names from a comma-separated header and leaves it alone when there are none.
func scrubList(h http.Header, key string, covers func(string) bool) {
	if len(h[key]) == 0 {
		return
	}
	found := false
	for _, line := range h[key] {
		for name := range strings.SplitSeq(line, ",") {
			found = found || covers(name)
		}
	}
	if !found {
		return
	}
	var kept []string
	for _, line := range h[key] {
		for name := range strings.SplitSeq(line, ",") {
			if !covers(name) {
				kept = append(kept, strings.TrimSpace(name))
			}
		}
	}
	if len(kept) == 0 {
		delete(h, key)
		return
	}
	h[key] = []string{strings.Join(kept, ", ")}
}

// trailerGuard removes protected trailers once the body has been read: net/http adds even unannounced ones then.
type trailerGuard struct {
	io.ReadCloser
	protected func(string) bool
	trailer   http.Header
}

// Read implements [io.Reader].
func (t *trailerGuard) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err != nil {
		scrubTrailer(t.trailer, t.protected)
	}
	return n, err
}

// setIdentity sets the headers every upstream gets. An address that nobody verified is left out: applications that find
// accounts by e-mail would hand over the account of whoever owns it. (`header X-Some-Name email` sends it regardless,
// `verified_email` does not.)
func (v *visit) setIdentity(h http.Header) {
	s, values := &v.session, &v.values
	values[0] = headerValue(s.Username)
	h[headerUser] = values[0:1:1]
	if s.EmailVerified && s.Email != "" {
		values[1] = headerValue(s.Email)
		h[headerEmail] = values[1:2:2]
	}
	if len(s.Groups) > 0 {
		values[2] = headerList(s.Groups)
		h[headerGroups] = values[2:3:3]
	}
}

// headerValue makes a value safe for a header and lossless for the upstream: printable ASCII stays as it is; every other byte
// of the UTF-8 form, "%", and a space at either end are percent-encoded (RFC 3986, section 2.1).
func headerValue(s string) string { return encodeValue(s, false) }

// headerList joins values with commas; a comma inside a value is percent-encoded, so that no name can pose as two.
func headerList(values []string) string {
	if len(values) == 1 {
		return encodeValue(values[0], true)
	}
	size := len(values)
	for _, value := range values {
		size += len(value)
	}
	var b strings.Builder
	b.Grow(size)
	for i, value := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(encodeValue(value, true))
	}
	return b.String()
}

func encodeValue(s string, inList bool) string {
	plain := func(i int) bool {
		switch c := s[i]; {
		case c == ' ':
			return i > 0 && i < len(s)-1
		case c == '%', c < ' ', c >= 0x7f:
			return false
		case c == ',':
			return !inList
		}
		return true
	}
	for i := range len(s) {
		if plain(i) {
			continue
		}
		var b strings.Builder
		b.WriteString(s[:i])
		for ; i < len(s); i++ {
			if plain(i) {
				b.WriteByte(s[i])
			} else {
				writePercent(&b, s[i])
			}
		}
		return b.String()
	}
	return s
}

// forbiddenHeaders may not carry claims: they steer the connection or the request itself.
var forbiddenHeaders = map[string]bool{
	"connection": true, "contentlength": true, "contenttype": true, "cookie": true, "expect": true, "forwarded": true, "host": true,
	"keepalive": true, "proxyauthenticate": true, "proxyauthorization": true, "proxyconnection": true, "te": true, "trailer": true,
	"transferencoding": true, "upgrade": true, "origin": true, "authorization": true, "via": true, "xforwardedfor": true,
	"xforwardedhost": true, "xforwardedproto": true,
}

// validHeaderName reports whether a claim may be sent under the name.
func validHeaderName(name string) bool {
	return httpguts.ValidHeaderFieldName(name) && foldName(name) != "" && !forbiddenHeaders[foldName(name)]
}

// placeholder answers http.auth.user.*: id (the user name), subject, email, email_verified, verified_email,
// email_local_part@<domain>, groups and claims.<name>.
func (v *visit) placeholder(key string) (any, bool) {
	name, ok := strings.CutPrefix(key, "http.auth.user.")
	if !ok || !v.authenticated {
		return nil, false
	}
	switch name {
	case "id":
		return v.session.Username, true
	case "subject":
		return v.session.Subject, true
	case "email":
		return v.session.Email, true
	case "email_verified":
		return v.session.EmailVerified, true
	case verifiedEmail:
		return verifiedEmailOf(&v.session), true
	case "groups":
		return strings.Join(v.session.Groups, ","), true
	}
	if domain, ok := localPartDomain(name); ok {
		return localPart(&v.session, domain), true
	}
	if claim, ok := strings.CutPrefix(name, "claims."); ok {
		values := claimValues(&v.session, claim)
		return strings.Join(values, ","), values != nil || v.rt.config.keepsClaim(claim) // empty for who lacks it, not `{http.auth…}` as it is written
	}
	return nil, false
}
