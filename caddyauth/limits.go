package caddyauth

import (
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/ratelimit"
	"github.com/caddy-cognito/passwordless/internal/session"
)

// limitCounters keep the counts of each realm in this process, over configuration reloads and changed limits. The triggers keep their own in
// their tables.
var limitCounters = caddy.NewUsagePool()

type sharedCounters struct{ ratelimit.Counters }

// Destruct implements [caddy.Destructor].
func (sharedCounters) Destruct() error { return nil }

func joinLimits(realmName string, settings ratelimit.Settings) (*ratelimit.Limiter, error) {
	shared, _, err := limitCounters.LoadOrNew(realmName, func() (caddy.Destructor, error) {
		return sharedCounters{ratelimit.NewMemory()}, nil
	})
	if err != nil {
		return nil, err
	}
	return &ratelimit.Limiter{Settings: settings, Counters: shared.(sharedCounters).Counters}, nil
}

func leaveLimits(realmName string) error {
	_, err := limitCounters.Delete(realmName)
	return err
}

// openLimits joins the counts of the realm's portal.
func (rt *realm) openLimits() (err error) {
	if rt.limits, err = joinLimits(rt.name, rt.config.limits); err != nil {
		return err
	}
	rt.closers = append(rt.closers, func() error { return leaveLimits(rt.name) })
	return nil
}

// signUpWait counts a sign-up that comes to the user pool past the portal.
func (rt *realm) signUpWait(address string) time.Duration {
	now := rt.now()
	if wait := rt.limits.Sender(now, ratelimit.Mails, address); wait > 0 {
		return wait
	}
	return rt.limits.Stranger(now, ratelimit.Mails, address)
}

// How long a request has to wait; zero means go on. See [ratelimit.Limiter] for who counts for what: senderWait comes first, after
// the checks that cost nothing; the others before the user pool or a store is asked.

// limiter is the realm's. Where a proxy is in front that trusted_proxies does not name, every client has the proxy's address, and a trusted
// network around it would lift the limits of everybody: then no network is trusted.
func (v *portalVisit) limiter() *ratelimit.Limiter {
	l := v.portal.limits
	if !v.forwarded() || fromTrustedProxy(v.r) || !l.Trusts(v.address()) {
		return l
	}
	v.portal.untrusted.Do(func() {
		v.portal.logger.Warn("limits: a request from a network of trusted_networks was forwarded by a proxy that Caddy does not know, so its address may be that of all "+
			"clients and is not trusted; name the proxy in trusted_proxies", zap.String("address", v.address()))
	})
	return l.Strict()
}

// forwarded reports whether a proxy says that it forwards the request, or somebody in its place.
func (v *portalVisit) forwarded() bool {
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip"} {
		if len(v.r.Header[name]) > 0 {
			return true
		}
	}
	return false
}

func (v *portalVisit) senderWait(act ratelimit.Act) time.Duration {
	return v.limiter().Sender(v.rt.now(), act, v.address())
}

// strangerWait counts for an address that somebody typed, and overall.
func (v *portalVisit) strangerWait(act ratelimit.Act, email string) time.Duration {
	return v.limiter().Stranger(v.rt.now(), act, v.address(), accountBucket(email))
}

// signedInWait counts for a session's person, apart from strangers who name them, and for what else is given.
func (v *portalVisit) signedInWait(act ratelimit.Act, subject string, also ...string) time.Duration {
	return v.limiter().SignedIn(v.rt.now(), act, v.address(), append(also, "subject "+subject)...)
}

func (v *portalVisit) provenWait(act ratelimit.Act, account string) time.Duration {
	return v.limiter().Proven(v.rt.now(), act, account)
}

// tooMany is nil for no wait.
func tooMany(wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	return failure{status: http.StatusTooManyRequests, code: "too_many", retryAfter: wait}
}

// limitSender counts a passkey ceremony that costs nothing that others share.
func (v *portalVisit) limitSender() error { return v.limited(v.senderWait(ratelimit.Passkeys)) }

// limitSession counts a passkey ceremony of somebody who is signed in.
func (v *portalVisit) limitSession(s session.Session) error {
	return v.limited(v.signedInWait(ratelimit.Passkeys, s.Subject))
}

// limited is tooMany with an audit event of its own.
func (v *portalVisit) limited(wait time.Duration) error {
	err := tooMany(wait)
	if err != nil {
		v.audit(happenedLimit, "too_many", zap.String("path", v.r.URL.Path))
	}
	return err
}

// accountBucket folds what reaches one mailbox, as far as that can be known: case, white space, what follows "+", and the dots that
// Gmail ignores.
func accountBucket(account string) string {
	account = strings.ToLower(strings.Join(strings.Fields(account), ""))
	at := strings.LastIndexByte(account, '@')
	if at < 0 {
		return account
	}
	local, domain := account[:at], strings.TrimSuffix(account[at+1:], ".")
	if tag := strings.IndexByte(local, '+'); tag > 0 {
		local = local[:tag]
	}
	if domain == "googlemail.com" {
		domain = "gmail.com"
	}
	if domain == "gmail.com" {
		local = strings.ReplaceAll(local, ".", "")
	}
	return local + "@" + domain
}
