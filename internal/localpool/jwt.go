package localpool

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

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

// public is the JWKS: every token key, those that do not sign yet and those that no longer sign too.
func (s *keySet) public() jwks {
	set := jwks{Keys: []jwk{}}
	for _, k := range s.live(useTokens) {
		public := k.private.PublicKey
		set.Keys = append(set.Keys, jwk{
			Alg: "RS256", Kid: k.ID, Kty: "RSA", Use: "sig",
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
	kid, key, err := s.signer(useTokens)
	if err != nil {
		return "", err
	}
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
