package token

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	maxCachedBytes = 8 << 20          // of tokens; what is kept of one takes a few times its length
	maxCachedAge   = 15 * time.Minute // a signing key that the pool withdraws stops counting within this time
	cacheOverhead  = 512              // bytes of an entry beside the token's own
	evictionSample = 8
)

// cache remembers tokens that were verified, by their hash. Only genuine tokens get in, so nobody can push others out with
// made-up ones.
type cache struct {
	mu      sync.RWMutex
	entries map[[sha256.Size]byte]cached
	bytes   int
}

type cached struct {
	claims Claims
	size   int
	until  time.Time
}

// VerifyCached is [Verifier.Verify] for tokens that clients present again and again: the signature of each is checked once in 15
// minutes, its client and times always. The claims are shared and must not be changed. What was signed out meanwhile is the caller's to check.
func (v *Verifier) VerifyCached(ctx context.Context, raw string, use Use, also ...string) (Claims, error) {
	if len(raw) > maxToken {
		return v.Verify(ctx, raw, use, also...)
	}
	var text [2 << 10]byte // as a rule a token needs no more
	key := sha256.Sum256(append(append(append(text[:0], use...), ' '), raw...))
	if claims, ok := v.cache.get(key, v.now()); ok {
		if err := v.checkTimes(claims); err != nil {
			v.cache.remove(key)
			return Claims{}, err
		}
		if err := v.checkClient(claims, also); err != nil { // it was remembered for a caller that accepts more clients
			return Claims{}, err
		}
		return claims, nil
	}
	claims, err := v.Verify(ctx, raw, use, also...)
	if err != nil {
		return Claims{}, err
	}
	now := v.now()
	until := now.Add(maxCachedAge)
	if claims.Expires.Before(until) {
		until = claims.Expires
	}
	v.cache.put(key, cached{claims, len(raw) + cacheOverhead, until}, now)
	return claims, nil
}

func (c *cache) get(key [sha256.Size]byte, now time.Time) (Claims, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	entry, ok := c.entries[key]
	return entry.claims, ok && now.Before(entry.until)
}

func (c *cache) remove(key [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key)
}

func (c *cache) drop(key [sha256.Size]byte) {
	c.bytes -= c.entries[key].size
	delete(c.entries, key)
}

func (c *cache) put(key [sha256.Size]byte, entry cached, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = make(map[[sha256.Size]byte]cached)
	}
	c.drop(key)
	for c.bytes+entry.size > maxCachedBytes && len(c.entries) > 0 {
		c.evict(now)
	}
	c.entries[key] = entry
	c.bytes += entry.size
}

// evict drops what is over among a few entries (maps are walked in random order), or else the one of them that will be first.
func (c *cache) evict(now time.Time) {
	var first [sha256.Size]byte
	var until time.Time
	seen := 0
	for key, entry := range c.entries {
		if !now.Before(entry.until) {
			c.drop(key)
			return
		}
		if seen == 0 || entry.until.Before(until) {
			first, until = key, entry.until
		}
		if seen++; seen == evictionSample {
			break
		}
	}
	c.drop(first)
}
