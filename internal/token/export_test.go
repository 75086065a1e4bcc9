package token

import "time"

// ParseKeys returns the IDs of the usable keys in a JWKS.
func ParseKeys(body []byte) ([]string, error) {
	keys, err := parseKeys(body)
	var ids []string
	for id := range keys {
		ids = append(ids, id)
	}
	return ids, err
}

// MaxCachedBytes bounds the cache of verified tokens.
const MaxCachedBytes = maxCachedBytes

// Cached is how many tokens are remembered, and what they count in bytes.
func (v *Verifier) Cached() (entries, bytes int) {
	v.cache.mu.RLock()
	defer v.cache.mu.RUnlock()
	return len(v.cache.entries), v.cache.bytes
}

// FillCache puts an entry of n bytes that is good for a while.
func (v *Verifier) FillCache(key byte, n int, until time.Time) {
	v.cache.put([32]byte{key}, cached{size: n, until: until}, v.now())
}
