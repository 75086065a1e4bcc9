package token_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/token"
)

func (p *pool) accepted(v *token.Verifier, kid string, key *rsa.PrivateKey) {
	p.Helper()
	if _, err := v.Verify(context.Background(), sign(fields{"alg": "RS256", "kid": kid}, p.idToken(), key), token.ID); err != nil {
		p.Errorf("Verify: %v", err)
	}
}

// Thousands of made-up key IDs, at once and over time, must not become a storm on the pool's JWKS.
func TestAttackThousandsOfUnknownKeyIDs(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	p.accepted(v, "kid-1", poolKey)
	flood := func() {
		t.Helper()
		var wg sync.WaitGroup
		for worker := range 10 {
			wg.Go(func() {
				for i := range 100 {
					p.refused(v, sign(fields{"alg": "RS256", "kid": fmt.Sprintf("evil-%d-%d", worker, i)}, p.idToken(), otherKey), token.ID, token.ErrInvalid)
				}
			})
		}
		wg.Wait()
	}
	flood()
	if n := p.count.Load(); n != 1 {
		t.Errorf("%d fetches within 30 seconds of the first", n)
	}
	p.advance(30 * time.Second)
	flood()
	if n := p.count.Load(); n != 2 {
		t.Errorf("%d fetches after 30 seconds", n)
	}
	p.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	for range 60 { // half an hour of it, while the pool is down
		p.advance(30 * time.Second)
		p.refused(v, sign(fields{"alg": "RS256", "kid": "evil"}, p.idToken(), otherKey), token.ID, token.ErrInvalid)
		p.accepted(v, "kid-1", poolKey) // the known key stays
	}
	if n := p.count.Load() - 2; n > 12 {
		t.Errorf("%d fetches of a pool that is down", n)
	}
}

// Tokens that could not be valid under any key cause no fetch at all.
func TestAttackNonsenseCausesNoFetch(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	p.refused(v, sign(header, with(p.idToken(), fields{"iss": "https://evil.example.com"}), otherKey), token.ID, token.ErrInvalid)
	p.refused(v, sign(header, with(p.idToken(), fields{"aud": "evil"}), otherKey), token.ID, token.ErrInvalid)
	p.refused(v, "nonsense", token.ID, token.ErrInvalid)
	if n := p.count.Load(); n != 0 {
		t.Errorf("%d fetches", n)
	}
}

func TestFirstRequestsShareOneFetch(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	raw := sign(header, p.idToken(), poolKey)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := v.Verify(t.Context(), raw, token.ID); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := p.count.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestRotatedKeyIsFetched(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	p.accepted(v, "kid-1", poolKey)
	p.set(serveKeys(map[string]*rsa.PrivateKey{"kid-2": otherKey}))
	p.advance(time.Minute)
	p.accepted(v, "kid-2", otherKey)
	p.refused(v, sign(header, p.idToken(), poolKey), token.ID, token.ErrInvalid) // withdrawn
}

func TestOldKeysOutliveAnOutageForADay(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	p.accepted(v, "kid-1", poolKey)
	p.server.Close()
	p.advance(23 * time.Hour)
	p.accepted(v, "kid-1", poolKey)
	p.advance(2 * time.Hour)
	p.refused(v, sign(header, p.idToken(), poolKey), token.ID, token.ErrUnavailable)
}

func TestPoolThatIsDownAtFirst(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	p.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	for range 100 {
		p.refused(v, sign(header, p.idToken(), poolKey), token.ID, token.ErrUnavailable)
	}
	if n := p.count.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
	p.set(serveKeys(map[string]*rsa.PrivateKey{"kid-1": poolKey}))
	p.advance(time.Second)
	p.accepted(v, "kid-1", poolKey)
}

func TestImpatientClientDoesNotAbortTheFetchOfOthers(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	release := make(chan struct{})
	serve := serveKeys(map[string]*rsa.PrivateKey{"kid-1": poolKey})
	p.set(func(w http.ResponseWriter, r *http.Request) { <-release; serve(w, r) })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Verify(gone, sign(header, p.idToken(), poolKey), token.ID); err == nil {
		t.Error("verified without keys")
	}
	close(release)
	p.accepted(v, "kid-1", poolKey)
	if n := p.count.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestAttackHostileKeySets(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := jwks(t, poolKey)
	for name, body := range map[string]string{
		"empty":           "",
		"no keys":         `{"keys":[]}`,
		"not JSON":        "<html>",
		"endless":         strings.Repeat(" ", 64<<10) + good,
		"symmetric key":   `{"keys":[{"kty":"oct","kid":"kid-1","alg":"HS256","k":"AAAA"}]}`,
		"weak key":        jwks(t, weak),
		"for encryption":  strings.Replace(good, `"use":"sig"`, `"use":"enc"`, 1),
		"other algorithm": strings.Replace(good, `"alg":"RS256"`, `"alg":"PS256"`, 1),
		"one ID twice":    strings.Replace(good, `{"keys":[`, `{"keys":[`+key(t, otherKey)+",", 1),
		"exponent of one": strings.Replace(good, `"e":"AQAB"`, `"e":"AQ"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t)
			p.set(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
			signer := poolKey
			if name == "weak key" {
				signer = weak
			}
			p.refused(p.verifier(), sign(header, p.idToken(), signer), token.ID, token.ErrUnavailable)
		})
	}
}

// Keys of kinds we do not use stand beside ours, as RFC 7517 allows.
func TestUnusableKeysArePassedOver(t *testing.T) {
	p := newPool(t)
	body := strings.Replace(jwks(t, poolKey), `{"keys":[`, `{"keys":[{"kty":"oct","kid":"x","k":"AAAA"},{"kty":"new","kid":"y"},`, 1)
	p.set(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	p.accepted(p.verifier(), "kid-1", poolKey)
}

// An open redirect on the way must not lead to somebody else's keys.
func TestAttackRedirectToOtherKeys(t *testing.T) {
	p := newPool(t)
	var asked atomic.Int32
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		serveKeys(map[string]*rsa.PrivateKey{"kid-1": otherKey})(w, r)
	}))
	defer evil.Close()
	p.client = &http.Client{} // it would follow
	p.set(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, evil.URL, http.StatusFound) })
	p.refused(p.verifier(), sign(header, p.idToken(), otherKey), token.ID, token.ErrUnavailable)
	if asked.Load() != 0 {
		t.Error("the redirect was followed")
	}
}

func FuzzParseKeys(f *testing.F) {
	p := newPool(f)
	recorder := httptest.NewRecorder()
	p.answer(recorder, nil)
	f.Add(recorder.Body.Bytes())
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"a","n":"AQ","e":"AQ"}]}`))
	f.Add([]byte(`{"keys":[null,1,{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		ids, err := token.ParseKeys(body)
		if (err == nil) == (len(ids) == 0) {
			t.Errorf("%d keys, %v", len(ids), err)
		}
	})
}

func jwks(t *testing.T, k *rsa.PrivateKey) string {
	t.Helper()
	return `{"keys":[` + key(t, k) + `]}`
}

func key(t *testing.T, k *rsa.PrivateKey) string {
	t.Helper()
	data, err := json.Marshal(map[string]string{"kid": "kid-1", "kty": "RSA", "alg": "RS256", "use": "sig", "n": b64(k.N.Bytes()), "e": "AQAB"})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
