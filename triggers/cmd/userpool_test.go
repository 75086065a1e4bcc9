package cmd_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// userPool is a fake of Amazon Cognito with one user: the administrator's API that the programs call, and the keys of access tokens.
type userPool struct {
	*httptest.Server
	key *rsa.PrivateKey

	mu         sync.Mutex
	attributes map[string]string
	signedOut  int
}

// The user of the recorded events.
const (
	poolID   = "eu-west-1_AbCdEfGhI"
	clientID = "1example23456789"
	alice    = "6a0f2f5e-1111-4222-8333-444455556666"
)

func startUserPool(t *testing.T) *userPool {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &userPool{key: key, attributes: map[string]string{"sub": alice, "email": "alice@example.com", "email_verified": "false", "locale": "en"}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// ServeHTTP answers what a program asks about alice.
func (p *userPool) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/.well-known/jwks.json" {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one",
			"n": encode(p.key.N.Bytes()), "e": encode(big.NewInt(int64(p.key.E)).Bytes()),
		}}})
		return
	}
	type attribute struct{ Name, Value string }
	var in struct {
		UserPoolID     string `json:"UserPoolId"`
		Username       string
		UserAttributes []attribute
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.UserPoolID != poolID || in.Username != alice {
		refuse(w, "UserNotFoundException")
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[string]any)
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch operation {
	case "AdminGetUser":
		var list []attribute
		for name, value := range p.attributes {
			list = append(list, attribute{name, value})
		}
		out["Username"], out["UserAttributes"], out["Enabled"], out["UserStatus"] = alice, list, true, "CONFIRMED"
	case "AdminUpdateUserAttributes":
		for _, a := range in.UserAttributes {
			p.attributes[a.Name] = a.Value
		}
	case "AdminUserGlobalSignOut":
		p.signedOut++
	default:
		refuse(w, "InvalidAction")
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(out)
}

// user is what the pool has of alice by now.
func (p *userPool) user() (attributes map[string]string, signedOut int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.attributes), p.signedOut
}

// accessToken is alice's, with some claims replaced.
func (p *userPool) accessToken(t *testing.T, claims map[string]any) string {
	t.Helper()
	now := time.Now().Unix()
	all := map[string]any{
		"iss": p.URL, "sub": alice, "username": alice, "client_id": clientID, "token_use": "access",
		"iat": now, "auth_time": now, "exp": now + 3600, "jti": "j", "origin_jti": "o",
	}
	maps.Copy(all, claims)
	payload, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	text := encode([]byte(`{"alg":"RS256","kid":"one"}`)) + "." + encode(payload)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(signature)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
