package caddyauth

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/time/rate"
)

// maxBuckets bounds each map of a limit; made-up addresses and accounts push others out.
const maxBuckets = 16384

// portalLimits are the limits of one realm. They count in this process; the triggers keep their own in their tables.
type portalLimits struct {
	messages   limit // mails asked for
	ceremonies limit // passkey and link attempts
	texts      limit // codes sent by SMS, which cost money
	codes      limit // codes typed: over all sessions and messages, so that asking for new ones gives no more tries
}

// portalLimitPool keeps the counts over configuration reloads.
var portalLimitPool = caddy.NewUsagePool()

// Destruct implements [caddy.Destructor].
func (*portalLimits) Destruct() error { return nil }

func newPortalLimits() *portalLimits {
	return &portalLimits{
		messages: limit{
			address: bucketMap{every: 20 * time.Second, burst: 30},
			account: bucketMap{every: time.Minute, burst: 5},
			overall: bucketMap{every: 50 * time.Millisecond, burst: 200},
		},
		ceremonies: limit{
			address: bucketMap{every: time.Second, burst: 60},
			account: bucketMap{every: 2 * time.Second, burst: 60},
			overall: bucketMap{every: 10 * time.Millisecond, burst: 500},
		},
		texts: limit{
			address: bucketMap{every: 2 * time.Minute, burst: 10},
			account: bucketMap{every: 5 * time.Minute, burst: 4},
			overall: bucketMap{every: time.Second, burst: 100},
		},
		codes: limit{
			address: bucketMap{every: time.Minute, burst: 30},
			account: bucketMap{every: 5 * time.Minute, burst: 12},
			overall: bucketMap{every: 50 * time.Millisecond, burst: 200},
		},
	}
}

func joinPortalLimits(realmName string) (*portalLimits, error) {
	value, _, err := portalLimitPool.LoadOrNew(realmName, func() (caddy.Destructor, error) { return newPortalLimits(), nil })
	if err != nil {
		return nil, err
	}
	return value.(*portalLimits), nil
}

func leavePortalLimits(realmName string) error {
	_, err := portalLimitPool.Delete(realmName)
	return err
}

// limit bounds one kind of act per address, per account, and overall.
type limit struct{ address, account, overall bucketMap }

// take counts one act and returns how long to wait when there were too many; zero means go on. An empty account is not counted.
func (l *limit) take(now time.Time, address, account string) time.Duration {
	if wait := l.address.take(now, addressBucket(address)); wait > 0 {
		return wait
	}
	if account != "" {
		if wait := l.account.take(now, accountBucket(account)); wait > 0 {
			return wait
		}
	}
	return l.overall.take(now, "")
}

// bucketMap has a token bucket per key.
type bucketMap struct {
	every time.Duration // one token
	burst int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

func (m *bucketMap) take(now time.Time, key string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.buckets[key]
	if b == nil {
		if len(m.buckets) >= maxBuckets {
			m.makeRoom(now)
		}
		if m.buckets == nil {
			m.buckets = make(map[string]*rate.Limiter)
		}
		b = rate.NewLimiter(rate.Every(m.every), m.burst)
		m.buckets[key] = b
	}
	reservation := b.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait > 0 {
		reservation.CancelAt(now)
	}
	return wait
}

// makeRoom drops full buckets, which have nothing to remember, and then any until a quarter is free, so that a flood of made-up
// keys pays for one pass in thousands. The overall limit still holds for it.
func (m *bucketMap) makeRoom(now time.Time) {
	for key, b := range m.buckets {
		if b.TokensAt(now) >= float64(m.burst) {
			delete(m.buckets, key)
		}
	}
	for key := range m.buckets {
		if len(m.buckets) <= maxBuckets*3/4 {
			return
		}
		delete(m.buckets, key)
	}
}

// addressBucket is an IPv4 address, or the /64 of an IPv6 one: a single customer has as many as they like of those.
func addressBucket(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return "unknown"
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return "unknown"
	}
	return prefix.String()
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
