package caddyauth

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// checkCookieDomain refuses a domain on which browsers would not keep the cookie, on which strangers have hosts, or on which one of the
// realm's own hosts is not.
func (r *Realm) checkCookieDomain() error {
	domain := r.Session.CookieDomain
	if domain == "" {
		return nil
	}
	ascii, err := canonicalHost(domain)
	if _, notAddress := netip.ParseAddr(domain); err != nil || ascii != domain || notAddress == nil || strings.HasPrefix(domain, ".") {
		return fmt.Errorf("%q is not a domain: write it in ASCII and lower case, without a dot before it, as in example.com", domain)
	}
	if _, err := publicsuffix.EffectiveTLDPlusOne(domain); err != nil {
		return fmt.Errorf("%q is a public suffix (https://publicsuffix.org): anybody may have a host below it, and browsers refuse cookies for it", domain)
	}
	if r.portalOrigin.scheme != "https" {
		return errors.New("it needs https")
	}
	for _, o := range append([]origin{r.portalOrigin}, r.applications...) {
		if o.host != domain && !strings.HasSuffix(o.host, "."+domain) {
			return fmt.Errorf("%s is not on %s: use a domain of portal and all applications, or leave the option out", o, domain)
		}
	}
	return nil
}

// checkCookieDomains refuses two realms one of whose domains is part of the other's: a browser would keep one session for both, or send two of
// one name, of which none can be trusted.
func (a *App) checkCookieDomains() error {
	domains := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(a.Realms)) {
		s := a.Realms[name].Session
		if s == nil || s.CookieDomain == "" {
			continue
		}
		for other, domain := range domains {
			if strings.HasSuffix("."+s.CookieDomain, "."+domain) || strings.HasSuffix("."+domain, "."+s.CookieDomain) {
				return fmt.Errorf("passwordless: realms %q and %q have their session cookies on %s and %s, where one would take the other's place: leave cookie_domain out of one of them",
					other, name, domain, s.CookieDomain)
			}
		}
		domains[name] = s.CookieDomain
	}
	return nil
}

// nameCookies decides about the names of the realm's cookies.
func (rt *realm) nameCookies() {
	rt.sessionCookie, rt.sessionScope = session.SessionCookie(rt.secure), ""
	if s := rt.config.Session; s != nil && s.CookieDomain != "" {
		rt.sessionCookie, rt.sessionScope = session.DomainCookie(s.CookieDomain), "*."+s.CookieDomain
	}
	rt.nonceCookie = session.NonceCookie(rt.secure)
	rt.browserCookie = session.BrowserCookie(rt.secure)
	rt.peopleCookie = session.PeopleCookie(rt.secure)
}

// sessionHost is what a session cookie on the host is sealed for: the host, or its whole domain where they share one.
func (rt *realm) sessionHost(host string) string {
	if rt.sessionScope != "" {
		return rt.sessionScope
	}
	return host
}

// forgetCookies answers two cookies of a domain's name, which are left over from another cookie_domain or planted by a sibling: the browser is
// told to forget those of the host and of all domains above, or nobody could sign in before they expire.
func (rt *realm) forgetCookies(w http.ResponseWriter, host string) {
	if rt.sessionScope == "" {
		return
	}
	domain, _, _ := strings.Cut(host, ":")
	for {
		if _, err := publicsuffix.EffectiveTLDPlusOne(domain); err != nil {
			return
		}
		session.DomainCookie(domain).Clear(w)
		_, domain, _ = strings.Cut(domain, ".")
	}
}
