package localpool

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
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

// storedKey is a private key in the file. The newest of its use signs; older ones still verify.
type storedKey struct {
	ID      string    `json:"kid"`
	Use     string    `json:"use"`
	PKCS8   []byte    `json:"pkcs8"`
	Created time.Time `json:"created"`
}

// keySet is the keys in memory.
type keySet struct {
	mu      sync.RWMutex
	private map[string]*rsa.PrivateKey
	use     map[string]string
	signing map[string]string // use → kid of the newest
}

// loadKeys reads the keys, and makes those that are missing.
func (p *Pool) loadKeys(ctx context.Context) error {
	var stored []storedKey
	err := p.db.view(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucketKeys)).ForEach(func(k, _ []byte) error {
			var key storedKey
			if _, err := getItem(tx, bucketKeys, k, p.now(), &key); err != nil {
				return err
			}
			stored = append(stored, key)
			return nil
		})
	})
	if err != nil {
		return err
	}
	var missing []storedKey
	for _, use := range []string{useTokens, useLinks} {
		if !slices.ContainsFunc(stored, func(k storedKey) bool { return k.Use == use }) {
			key, err := p.newKey(use)
			if err != nil {
				return err
			}
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		err := p.db.update(ctx, func(tx *bbolt.Tx) error {
			for _, key := range missing {
				if err := putItem(tx, bucketKeys, []byte(key.ID), time.Time{}, key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return p.keys.set(append(stored, missing...))
}

func (p *Pool) newKey(use string) (storedKey, error) {
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
	return storedKey{ID: base64.StdEncoding.EncodeToString(sum[:]), Use: use, PKCS8: der, Created: p.now().UTC()}, nil
}

func (s *keySet) set(stored []storedKey) error {
	slices.SortFunc(stored, func(a, b storedKey) int { return a.Created.Compare(b.Created) })
	private, use, signing := map[string]*rsa.PrivateKey{}, map[string]string{}, map[string]string{}
	for _, k := range stored {
		parsed, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
		key, ok := parsed.(*rsa.PrivateKey)
		if err != nil || !ok {
			return fmt.Errorf("signing key %s in the data file is no RSA key", k.ID)
		}
		private[k.ID], use[k.ID], signing[k.Use] = key, k.Use, k.ID
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.private, s.use, s.signing = private, use, signing
	return nil
}

func (s *keySet) signer(use string) (string, *rsa.PrivateKey) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	kid := s.signing[use]
	return kid, s.private[kid]
}

func (s *keySet) find(use, kid string) *rsa.PublicKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.use[kid] != use {
		return nil
	}
	return &s.private[kid].PublicKey
}

// jwk is one entry of the JWKS, with the members Cognito sends (RFC 7517, RFC 7518 section 6.3).
type jwk struct {
	Alg string `json:"alg"`
	E   string `json:"e"`
	Kid string `json:"kid"`
	Kty string `json:"kty"`
	N   string `json:"n"`
	Use string `json:"use"`
}

type jwks struct {
	Keys []jwk `json:"keys"`
}

// public is the JWKS: every token key, those that no longer sign too.
func (s *keySet) public() jwks {
	s.mu.RLock()
	defer s.mu.RUnlock()
	set := jwks{Keys: []jwk{}}
	for _, kid := range slices.Sorted(maps.Keys(s.private)) {
		if s.use[kid] != useTokens {
			continue
		}
		public := s.private[kid].PublicKey
		set.Keys = append(set.Keys, jwk{
			Alg: "RS256", Kid: kid, Kty: "RSA", Use: "sig",
			N: challenge.EncodeBase64(public.N.Bytes()),
			E: challenge.EncodeBase64(big.NewInt(int64(public.E)).Bytes()),
		})
	}
	return set
}

// signToken makes a JWT (RFC 7519) with RS256.
func (s *keySet) signToken(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	kid, key := s.signer(useTokens)
	headers := jws.NewHeaders()
	if err := headers.Set(jws.KeyIDKey, kid); err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	signed, err := jws.Sign(payload, jws.WithKey(jwa.RS256(), key, jws.WithProtectedHeaders(headers)))
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return string(signed), nil
}

// maxToken bounds a JWT in bytes before anything parses it.
const maxToken = 32 << 10

var errTokenSignature = errors.New("not a token of this pool")

// verifyToken returns the claims of a JWT that this pool signed. It checks nothing but the signature: RS256 under a token key
// named by its ID.
func (s *keySet) verifyToken(raw string) (map[string]any, error) {
	if len(raw) > maxToken || strings.Count(raw, ".") != 2 {
		return nil, errTokenSignature
	}
	message, err := jws.Parse([]byte(raw), jws.WithCompact())
	if err != nil || len(message.Signatures()) != 1 {
		return nil, errTokenSignature
	}
	headers := message.Signatures()[0].ProtectedHeaders()
	alg, _ := headers.Algorithm()
	kid, _ := headers.KeyID()
	key := s.find(useTokens, kid)
	if alg != jwa.RS256() || key == nil {
		return nil, errTokenSignature
	}
	payload, err := jws.Verify([]byte(raw), jws.WithKey(jwa.RS256(), key), jws.WithCompact())
	if err != nil {
		return nil, errTokenSignature
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, errTokenSignature
	}
	return claims, nil
}

// signLink signs a magic link's digest as KMS does with RSASSA_PSS_SHA_512: the salt is as long as the digest.
func (s *keySet) signLink(digest []byte) (signature []byte, kid string, err error) {
	kid, key := s.signer(useLinks)
	signature, err = rsa.SignPSS(rand.Reader, key, crypto.SHA512, digest, &rsa.PSSOptions{SaltLength: challenge.LinkSaltLength, Hash: crypto.SHA512})
	return signature, kid, err
}
