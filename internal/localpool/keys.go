package localpool

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// keyBits is the size of every RSA key, as in Cognito and in KMS's RSA_2048.
const keyBits = 2048

// What a key is for.
const (
	useTokens = "tokens"
	useLinks  = "links"
)

var keyUses = []string{useTokens, useLinks}

// storedKey is a private key in the file.
type storedKey struct {
	ID      string    `json:"kid"`
	Use     string    `json:"use"`
	PKCS8   []byte    `json:"pkcs8"`
	Created time.Time `json:"created"`
	// From is when it begins to sign, until the next key of its use does. Zero: when it was made.
	From time.Time `json:"from,omitzero"`
}

// poolKey is a key in memory.
type poolKey struct {
	storedKey
	private *rsa.PrivateKey
	ends    time.Time // when the last thing it may have signed ends; zero: it is the newest
}

// keySet is the keys in memory, each use's in the order in which they sign.
type keySet struct {
	now   func() time.Time
	mu    sync.RWMutex
	byUse map[string][]poolKey
}

// loadKeys reads the keys, and makes those that are missing.
func (p *Pool) loadKeys(ctx context.Context) error {
	stored, err := p.storedKeys()
	if err != nil {
		return err
	}
	var missing []storedKey
	for _, use := range keyUses {
		if !slices.ContainsFunc(stored, func(k storedKey) bool { return k.Use == use }) {
			key, err := newKey(use, p.now(), p.now())
			if err != nil {
				return err
			}
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		if err := p.db.update(ctx, func(tx *bbolt.Tx) error { return putKeys(tx, missing) }); err != nil {
			return err
		}
	}
	return p.keys.set(append(stored, missing...))
}

func (p *Pool) storedKeys() (stored []storedKey, err error) {
	err = p.db.view(func(tx *bbolt.Tx) error {
		stored = nil
		return tx.Bucket([]byte(bucketKeys)).ForEach(func(k, _ []byte) error {
			var key storedKey
			if _, err := getItem(tx, bucketKeys, k, p.now(), &key); err != nil {
				return err
			}
			stored = append(stored, key)
			return nil
		})
	})
	return stored, err
}

func putKeys(tx *bbolt.Tx, keys []storedKey) error {
	for _, key := range keys {
		if err := putItem(tx, bucketKeys, []byte(key.ID), time.Time{}, key); err != nil {
			return err
		}
	}
	return nil
}

func newKey(use string, now, from time.Time) (storedKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return storedKey{}, fmt.Errorf("making a signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return storedKey{}, fmt.Errorf("encoding a signing key: %w", err)
	}
	// The key ID is made like Cognito's: base64 of 32 bytes. A digest of the public key cannot name two keys.
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(&private.PublicKey))
	return storedKey{ID: base64.StdEncoding.EncodeToString(sum[:]), Use: use, PKCS8: der, Created: now.UTC(), From: from.UTC()}, nil
}

func (s *keySet) set(stored []storedKey) error {
	byUse := make(map[string][]poolKey)
	for _, k := range stored {
		parsed, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
		private, ok := parsed.(*rsa.PrivateKey)
		if err != nil || !ok {
			return fmt.Errorf("signing key %s in the data file is no RSA key", k.ID)
		}
		if k.From.IsZero() {
			k.From = k.Created
		}
		byUse[k.Use] = append(byUse[k.Use], poolKey{storedKey: k, private: private})
	}
	for use, keys := range byUse {
		slices.SortFunc(keys, func(a, b poolKey) int { return a.From.Compare(b.From) })
		for i := range keys[1:] {
			keys[i].ends = keys[i+1].From.Add(longestUse[use])
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byUse = byUse
	return nil
}

// live are the keys of a use that verify now, oldest first.
func (s *keySet) live(use string) []poolKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.now()
	return slices.DeleteFunc(slices.Clone(s.byUse[use]), func(k poolKey) bool { return k.over(now) })
}

// over reports whether nothing that the key signed can be valid any more.
func (k *poolKey) over(now time.Time) bool { return !k.ends.IsZero() && now.After(k.ends) }

// signer is the newest key whose time has come.
func (s *keySet) signer(use string) (kid string, private *rsa.PrivateKey, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	keys, now := s.byUse[use], s.now()
	for i := len(keys) - 1; i >= 0; i-- {
		// The first key signs whatever the clock says: it may have been set back.
		if i == 0 || !keys[i].From.After(now) {
			return keys[i].ID, keys[i].private, nil
		}
	}
	return "", nil, errors.New("the user pool has no signing key")
}

func (s *keySet) find(use, kid string) *rsa.PublicKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := range s.byUse[use] {
		if k := &s.byUse[use][i]; k.ID == kid && !k.over(s.now()) {
			return &k.private.PublicKey
		}
	}
	return nil
}

// signLink signs a magic link's digest as KMS does with RSASSA_PSS_SHA_512: the salt is as long as the digest.
func (s *keySet) signLink(digest []byte) (signature []byte, kid string, err error) {
	kid, key, err := s.signer(useLinks)
	if err != nil {
		return nil, "", err
	}
	signature, err = rsa.SignPSS(rand.Reader, key, crypto.SHA512, digest, &rsa.PSSOptions{SaltLength: challenge.LinkSaltLength, Hash: crypto.SHA512})
	return signature, kid, err
}
