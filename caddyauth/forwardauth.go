package caddyauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(new(ForwardAuth))
}

// ForwardAuth gives the guard's answer to another proxy: Traefik's ForwardAuth, nginx's auth_request, or Envoy's ext_authz over HTTP. The
// proxy asks about each request; 200 lets it pass, and everything else is for the proxy to show to the client. The answer
// always carries every header that the guard may set, even empty, for the proxy to put in place of what the client sent:
// X-Passwordless-User, X-Passwordless-Email, X-Passwordless-Groups, the configured ones, Cookie without our cookies, Authorization,
// X-Original-Url and X-Rewrite-Url; and X-Passwordless-Transaction where a `step_up` is for each transaction. X-Passwordless-Answer is "allow"
// in this answer and missing from all others: the proxy must require it where it can, for Caddy answers an empty 200 itself where no route
// matches. A listener on which that can happen beside this handler is refused when the configuration is loaded.
//
// Which request is asked about is said by one family of headers, which the proxy must set itself. A header of it that is missing
// or comes twice, and a peer that is not trusted, get 403. The addresses below the portal's path on an application's host
// (/auth/handoff and so on) are never allowed this way: route them to a passwordless_guard.
//
// The proxy must itself drop the client's headers with an underscore or a dot in their names, which an upstream may read as one of these: Caddy's
// server takes them off the question before this handler could refuse them.
//
// Path rules always apply here, for the proxy has its own. WebSockets and streams that the proxy serves do not end with the session.
type ForwardAuth struct {
	Guard

	// The proxy, which decides about the family of headers:
	//
	// "traefik": X-Forwarded-Method, X-Forwarded-Proto, X-Forwarded-Host and X-Forwarded-Uri.
	// "nginx": X-Original-Method and X-Original-Url, such as https://app.example.com/path?query. Redirects become 401 with Location.
	// "envoy": the request's own method, host and path, and X-Forwarded-Proto.
	//
	// Required.
	Proxy string `json:"proxy,omitempty"`

	// Addresses of the proxy, as CIDR ranges. Default: those of the server's own trusted_proxies.
	TrustedProxies []string `json:"trusted_proxies,omitempty"`

	// What Envoy's path_prefix adds to the path, such as "/verify". Default: nothing.
	PathPrefix string `json:"path_prefix,omitempty"`

	trusted  []netip.Prefix
	answered []string
}

// The proxies that ForwardAuth understands.
const (
	proxyTraefik = "traefik"
	proxyNginx   = "nginx"
	proxyEnvoy   = "envoy"
)

// CaddyModule returns the Caddy module information.
func (*ForwardAuth) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.passwordless_forward_auth", New: func() caddy.Module { return new(ForwardAuth) }}
}

// Provision finds the realm and checks the settings. It opens nothing.
func (f *ForwardAuth) Provision(ctx caddy.Context) error {
	if err := f.prepare(); err != nil {
		return fmt.Errorf("passwordless_forward_auth: %w", err)
	}
	if err := checkListeners(httpApp(ctx), ctx.Logger()); err != nil {
		return fmt.Errorf("passwordless_forward_auth: %w", err)
	}
	return f.Guard.Provision(ctx)
}

func (f *ForwardAuth) prepare() error {
	if !slices.Contains([]string{proxyTraefik, proxyNginx, proxyEnvoy}, f.Proxy) {
		return fmt.Errorf("proxy: %q is not one of traefik, nginx and envoy", f.Proxy)
	}
	if f.EndpointsOnly {
		return errors.New("endpoints_only belongs to passwordless_guard")
	}
	if f.PathPrefix != "" && (f.Proxy != proxyEnvoy || !strings.HasPrefix(f.PathPrefix, "/") || strings.HasSuffix(f.PathPrefix, "/")) {
		return fmt.Errorf("path_prefix: %q must be Envoy's path_prefix, such as /verify", f.PathPrefix)
	}
	f.trusted = nil
	for _, s := range f.TrustedProxies {
		prefix, err := parsePrefix(s)
		if err != nil {
			return fmt.Errorf("trusted_proxies: %w", err)
		}
		f.trusted = append(f.trusted, prefix)
	}
	for _, rule := range f.StepUp {
		if rule.Transaction && !bodiless(rule.Methods) {
			return errors.New("step_up: transaction: an approval is for one body, and the proxy keeps bodies to itself: limit it to methods without one, " +
				"as in `methods GET DELETE`, or put passwordless_guard before the application")
		}
	}
	f.PathRule, f.remote = true, true
	f.answered = []string{headerUser, headerEmail, headerGroups, "Authorization", "Cookie", "X-Original-Url", "X-Rewrite-Url"}
	if slices.ContainsFunc(f.StepUp, func(rule StepUpRule) bool { return rule.Transaction }) {
		f.answered = append(f.answered, headerTransaction) // else a client that sends it is refused, as the proxy may not replace it
	}
	for name := range f.Headers {
		f.answered = append(f.answered, http.CanonicalHeaderKey(name))
	}
	return nil
}

// bodiless reports whether all methods are such that a request's content means nothing (RFC 9110, sections 9.3.1, 9.3.2 and 9.3.5).
func bodiless(methods []string) bool {
	return len(methods) > 0 && !slices.ContainsFunc(methods, func(method string) bool {
		return !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodDelete}, strings.ToUpper(method))
	})
}

// parsePrefix reads an address or a CIDR range.
func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a range such as 10.0.0.0/8", s)
	}
	return prefix, nil
}

// ServeHTTP answers the proxy.
func (f *ForwardAuth) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	w.Header().Del(headerAnswer)
	answer := &forwardAnswer{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, proxy: f.Proxy}
	rt, err := f.app.realm(f.realmName())
	if err != nil {
		return f.unavailable(answer, fmt.Errorf("realm %q is not open: %w", f.realmName(), err))
	}
	asked, err := f.asked(r)
	if err == nil {
		err = f.answerable(r, asked, rt)
	}
	if err != nil {
		f.logger.Error("refused a forward-auth request", zap.String("remote", r.RemoteAddr), zap.Error(err))
		return answer.deny()
	}
	err = f.Guard.ServeHTTP(answer, asked, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		f.tell(w.Header(), r.Header)
		w.Header().Set(headerAnswer, "allow")
		answer.allowed = true
		w.WriteHeader(http.StatusOK)
		return nil
	}))
	if err != nil {
		return f.unavailable(answer, err)
	}
	return nil
}

// headerAnswer is in no answer but this handler's consent.
const headerAnswer = "X-Passwordless-Answer"

// unavailable answers errors here: the site's routes for errors (handle_errors) may answer 200, which would mean consent.
func (f *ForwardAuth) unavailable(answer *forwardAnswer, err error) error {
	f.logger.Error("a forward-auth request could not be answered", zap.Error(err))
	if answer.wrote {
		return nil
	}
	h := answer.Header()
	h.Set("Retry-After", strconv.Itoa(retryAfter))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	answer.WriteHeader(http.StatusServiceUnavailable)
	_, err = fmt.Fprintln(answer, "Sign-in is not available right now. Try again in a moment.")
	return err
}

// answerable refuses what must not pass although the guard would let it: on this way its own addresses cannot be served, and
// headers cannot be taken off that the proxy does not replace.
func (f *ForwardAuth) answerable(r, asked *http.Request, rt *realm) error {
	if below, ok := rt.guardPath(asked); ok && (isOwnAddress(below) || rt.config.onPortal(asked)) {
		return fmt.Errorf("the proxy asked about %s: route %s on this host to Caddy, without forward auth", asked.URL.Path, rt.portal.Path)
	}
	own := forwardFamilies[f.Proxy]
	for name := range r.Header {
		switch {
		case slices.Contains(own, name), slices.Contains(f.answered, name):
		case f.family.covers(name):
			return fmt.Errorf("the client sent %q, which an upstream may take for one of our headers", name)
		case f.judges().overrides(name) && !(name == "X-Forwarded-Prefix" && f.Proxy == proxyTraefik): // which Traefik replaces
			return fmt.Errorf("the client sent %q, by which an upstream may read another request than the one asked about; have the proxy drop it", name)
		}
	}
	for _, line := range asked.Header["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if f.family.covers(name) {
				return fmt.Errorf("the client has %q taken off on the way, which is one of our headers", strings.TrimSpace(name))
			}
		}
	}
	return nil
}

// tell fills in the answer: all headers that are ours, whether or not they have a value.
func (f *ForwardAuth) tell(answer, request http.Header) {
	for name, values := range request {
		if f.family.covers(name) {
			answer[name] = values
		}
	}
	for _, name := range f.answered {
		answer[name] = []string{strings.Join(request[name], "; ")}
	}
}

// forwardAnswer is the answer to the proxy. Nothing but the guard's consent is a success.
type forwardAnswer struct {
	*caddyhttp.ResponseWriterWrapper
	proxy   string
	allowed bool
	wrote   bool
}

// WriteHeader implements [http.ResponseWriter].
func (a *forwardAnswer) WriteHeader(status int) {
	a.wrote = true
	switch {
	case a.allowed:
	case status < http.StatusMultipleChoices:
		status = http.StatusForbidden
	case a.proxy != proxyNginx: // it fails on everything but 2xx, 401 and 403
	case status == http.StatusFound:
		status = http.StatusUnauthorized
	case status < http.StatusInternalServerError && status != http.StatusUnauthorized:
		status = http.StatusForbidden
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *forwardAnswer) Write(b []byte) (int, error) {
	if !a.wrote {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(b)
}

func (a *forwardAnswer) deny() error {
	h := a.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	a.WriteHeader(http.StatusForbidden)
	_, err := fmt.Fprintln(a, "Forbidden: this request cannot be checked; its operator finds the reason in Caddy's log.")
	return err
}

// Interface guards
var (
	_ caddy.Provisioner           = (*ForwardAuth)(nil)
	_ caddy.CleanerUpper          = (*ForwardAuth)(nil)
	_ caddyhttp.MiddlewareHandler = (*ForwardAuth)(nil)
)
