package token

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

const (
	maxJWKS      = 64 << 10
	maxKeys      = 64
	minRSABits   = 2048
	maxRSABits   = 8192
	fetchTimeout = 10 * time.Second
	answerWithin = 2500 * time.Millisecond // how long a request waits for a fetch
	// refetchAfter is the least time between fetches that unknown key IDs cause; it doubles, up to maxBackoff, while fetches
	// fail.
	refetchAfter = 30 * time.Second
	firstBackoff = time.Second // while there are no keys at all
	maxBackoff   = 5 * time.Minute
	// freshFor is the age at which keys are fetched again without being asked for, so that withdrawn keys leave.
	freshFor = time.Hour
	// staleFor is how long keys outlive the last successful fetch while the pool cannot be reached.
	staleFor = 24 * time.Hour
)

// keySet caches a JWKS (RFC 7517). One fetch runs at a time; those who need it wait, those whose key is known do not. If a
// fetch fails the old keys stay.
type keySet struct {
	url    string
	client *http.Client
	now    func() time.Time

	current atomic.Pointer[keys]

	mu       sync.Mutex // guards what follows
	fetching chan struct{}
	lastErr  error
	next     time.Time // no fetch before
	failures int
}

// keys is one state of the set; never changed once shared.
type keys struct {
	byID    map[string]*rsa.PublicKey
	fetched time.Time
}

func newKeySet(url string, client *http.Client, now func() time.Time) *keySet {
	own := http.Client{Timeout: fetchTimeout}
	if client != nil {
		own.Transport = client.Transport
	}
	// A redirect could lead to a key server that nobody configured.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &keySet{url: url, client: &own, now: now}
}

// find returns the key of an ID. Unknown IDs are [ErrUnknownKey], after a fetch if one is due.
func (k *keySet) find(ctx context.Context, id string) (*rsa.PublicKey, error) {
	set := k.current.Load()
	if set != nil {
		age := k.now().Sub(set.fetched)
		if key := set.byID[id]; key != nil && age < staleFor {
			if age >= freshFor {
				k.start() // in the background: this key will do meanwhile
			}
			return key, nil
		}
	}
	if done := k.start(); done != nil {
		patience := time.NewTimer(answerWithin)
		defer patience.Stop()
		select {
		case <-done:
		case <-patience.C:
			return nil, fmt.Errorf("%w: their fetch takes longer than %s", ErrUnavailable, answerWithin)
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		}
	}
	set = k.current.Load()
	if set == nil || k.now().Sub(set.fetched) >= staleFor {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.lastErr != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, k.lastErr)
		}
		return nil, ErrUnavailable
	}
	if key := set.byID[id]; key != nil {
		return key, nil
	}
	return nil, ErrUnknownKey
}

// start begins a fetch, or joins the one that runs. It returns nil if none is allowed yet. The fetch does not end with the
// request that caused it: others wait for it.
func (k *keySet) start() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fetching != nil {
		return k.fetching
	}
	if k.now().Before(k.next) {
		return nil
	}
	done := make(chan struct{})
	k.fetching = done
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
		defer cancel()
		byID, err := k.fetch(ctx)
		k.finish(byID, err)
		close(done)
	}()
	return done
}

func (k *keySet) finish(byID map[string]*rsa.PublicKey, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	k.fetching, k.lastErr = nil, err
	if err == nil {
		k.current.Store(&keys{byID: byID, fetched: now})
		k.failures, k.next = 0, now.Add(refetchAfter)
		return
	}
	wait := refetchAfter
	if k.current.Load() == nil {
		wait = firstBackoff
	}
	k.next = now.Add(min(wait<<min(k.failures, 10), maxBackoff))
	k.failures++
}

func (k *keySet) fetch(ctx context.Context) (map[string]*rsa.PublicKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetching the JWKS: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetching the JWKS: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching the JWKS: status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKS+1))
	if err != nil {
		return nil, fmt.Errorf("fetching the JWKS: %w", err)
	}
	if len(body) > maxJWKS {
		return nil, fmt.Errorf("fetching the JWKS: over %d bytes", maxJWKS)
	}
	return parseKeys(body)
}

// parseKeys takes the usable keys out of a JWKS: RSA of 2048 to 8192 bits, for signatures, with an ID. Others are passed over,
// as RFC 7517, section 5, asks.
func parseKeys(body []byte) (map[string]*rsa.PublicKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("reading the JWKS: not a JWK set")
	}
	byID := make(map[string]*rsa.PublicKey)
	for _, data := range set.Keys[:min(len(set.Keys), maxKeys)] {
		id, key := parseKey(data)
		if key == nil {
			continue
		}
		if _, twice := byID[id]; twice {
			return nil, errors.New("reading the JWKS: two keys share an ID")
		}
		byID[id] = key
	}
	if len(byID) == 0 {
		return nil, errors.New("reading the JWKS: no RS256 key in it")
	}
	return byID, nil
}

// parseKey returns nil for a key that is not for us.
func parseKey(data []byte) (string, *rsa.PublicKey) {
	key, err := jwk.ParseKey(data)
	if err != nil || key.KeyType() != jwa.RSA() {
		return "", nil
	}
	id, ok := key.KeyID()
	if !ok || id == "" || len(id) > maxKeyID {
		return "", nil
	}
	if use, ok := key.KeyUsage(); ok && use != "sig" {
		return "", nil
	}
	if alg, ok := key.Algorithm(); ok && alg.String() != "RS256" {
		return "", nil
	}
	var raw rsa.PublicKey
	if err := jwk.Export(key, &raw); err != nil || raw.N.BitLen() < minRSABits || raw.N.BitLen() > maxRSABits || raw.E < 3 {
		return "", nil
	}
	return id, &raw
}
