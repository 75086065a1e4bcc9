package main

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// provider is an OpenID provider that signs in whoever comes, as anna: what a proxy needs that keeps its own sessions.
type provider struct {
	http.Server
	address string
	key     *rsa.PrivateKey
	mu      sync.Mutex
	nonces  map[string]string // by code
}

func newProvider() (*provider, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &provider{address: "http://" + l.Addr().String(), key: key, nonces: make(map[string]string)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /jwks", p.jwks)
	p.Handler = mux
	go func() { _ = p.Serve(l) }()
	return p, nil
}

func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	code := rand.Text()
	p.mu.Lock()
	p.nonces[code] = r.FormValue("nonce")
	p.mu.Unlock()
	http.Redirect(w, r, r.FormValue("redirect_uri")+"?"+url.Values{"code": {code}, "state": {r.FormValue("state")}}.Encode(), http.StatusFound)
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	nonce := p.nonces[r.FormValue("code")]
	p.mu.Unlock()
	token, err := p.idToken(nonce)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 3600, "id_token": token})
}

func (p *provider) jwks(w http.ResponseWriter, _ *http.Request) {
	encode := base64.RawURLEncoding.EncodeToString
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"RSA","alg":"RS256","use":"sig","kid":"k","n":%q,"e":%q}]}`,
		encode(p.key.N.Bytes()), encode(big.NewInt(int64(p.key.E)).Bytes()))
}

// claims are anna's.
func claims(issuer string, more map[string]any) map[string]any {
	now := time.Now().Unix()
	all := map[string]any{"iss": issuer, "aud": "bench", "sub": "anna", "email": "anna@example.com", "email_verified": true, "iat": now, "exp": now + 3600}
	for name, value := range more {
		all[name] = value
	}
	return all
}

func (p *provider) idToken(nonce string) (string, error) {
	return jwt(map[string]string{"alg": "RS256", "kid": "k"}, claims(p.address, map[string]any{"nonce": nonce}), func(text []byte) ([]byte, error) {
		sum := sha256.Sum256(text)
		return rsa.SignPKCS1v15(nil, p.key, crypto.SHA256, sum[:])
	})
}

// sharedSecretToken is a token that is signed with a key of both sides.
func sharedSecretToken(secret string) (string, error) {
	return jwt(map[string]string{"alg": "HS512"}, claims("bench", map[string]any{"roles": []string{"authp/user"}}), func(text []byte) ([]byte, error) {
		mac := hmac.New(sha512.New, []byte(secret))
		mac.Write(text)
		return mac.Sum(nil), nil
	})
}

func jwt(header map[string]string, claims map[string]any, sign func([]byte) ([]byte, error)) (string, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode(h) + "." + encode(c)
	signature, err := sign([]byte(text))
	return text + "." + encode(signature), err
}
