package token_test

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/token"
)

const (
	issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E"
	client = "1example23456789"
	sub    = "7c1e0a52-9f1b-4f55-8d36-0f6b1f5c2a11"
)

var poolKey, otherKey = newKey(), newKey()

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// pool is a JWKS endpoint and a clock.
type pool struct {
	testing.TB
	server *httptest.Server
	client *http.Client
	mu     sync.Mutex
	now    time.Time
	answer http.HandlerFunc
	count  atomic.Int32
}

func newPool(tb testing.TB) *pool {
	p := &pool{TB: tb, now: time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)}
	p.answer = serveKeys(map[string]*rsa.PrivateKey{"kid-1": poolKey})
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.count.Add(1)
		p.mu.Lock()
		answer := p.answer
		p.mu.Unlock()
		answer(w, r)
	}))
	tb.Cleanup(p.server.Close)
	return p
}

func (p *pool) set(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *pool) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *pool) advance(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
}

func (p *pool) verifier() *token.Verifier {
	p.Helper()
	v, err := token.NewVerifier(token.Options{
		Issuer: issuer, JWKSURL: p.server.URL + "/jwks.json", ClientIDs: []string{"other", client}, Now: p.clock, HTTPClient: p.client,
	})
	if err != nil {
		p.Fatal(err)
	}
	return v
}

// A pool that was renamed: tokens of its former name are good, those of names that only resemble it are not.
func TestFormerIssuers(t *testing.T) {
	p := newPool(t)
	const former = "http://passwordless.internal/local_Ab12Cd34E"
	options := token.Options{
		Issuer: issuer, FormerIssuers: []string{former}, JWKSURL: p.server.URL + "/jwks.json", ClientIDs: []string{client}, Now: p.clock,
	}
	v, err := token.NewVerifier(options)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(iss any) error {
		claims := with(p.idToken(), fields{"iss": iss})
		_, err := v.Verify(t.Context(), sign(header, claims, poolKey), token.ID)
		return err
	}
	for _, good := range []string{issuer, former} {
		if err := verify(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []any{former + "/", former + "x", former[:len(former)-1], "https" + former[4:], strings.ToUpper(former), former + "," + issuer, "", []string{former}} {
		if err := verify(bad); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := v.Verify(t.Context(), sign(header, with(p.idToken(), fields{"iss": former}), otherKey), token.ID); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("another key: %v", err)
	}
	options.FormerIssuers = []string{""}
	if _, err := token.NewVerifier(options); err == nil {
		t.Error("an empty former issuer would accept tokens without one")
	}
}

func serveKeys(keys map[string]*rsa.PrivateKey) http.HandlerFunc {
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	for kid, key := range keys {
		set.Keys = append(set.Keys, map[string]string{
			"kid": kid, "kty": "RSA", "alg": "RS256", "use": "sig",
			"n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes()),
		})
	}
	return func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(set) }
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

type fields = map[string]any

func (p *pool) idToken() fields {
	now := p.clock().Unix()
	return fields{
		"sub": sub, "iss": issuer, "aud": client, "token_use": "id", "cognito:username": "alice", "email": "alice@example.com",
		"email_verified": true, "cognito:groups": []string{"admins", "staff"}, "auth_time": now, "iat": now, "exp": now + 3600,
		"jti": "j", "origin_jti": "o", "custom:tenant": "acme",
	}
}

func (p *pool) accessToken() fields {
	now := p.clock().Unix()
	return fields{
		"sub": sub, "iss": issuer, "client_id": client, "token_use": "access", "username": "alice", "auth_time": now, "iat": now,
		"exp": now + 3600, "jti": "j2", "origin_jti": "o", "scope": "aws.cognito.signin.user.admin",
	}
}

// with returns claims changed; a nil value removes.
func with(claims, changes fields) fields {
	for name, value := range changes {
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
	}
	return claims
}

func sign(header, claims any, key *rsa.PrivateKey) string {
	input := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(signature)
}

// part encodes JSON text as it is and marshals anything else.
func part(v any) string {
	if text, ok := v.(string); ok {
		return b64([]byte(text))
	}
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b64(data)
}

var header = fields{"alg": "RS256", "kid": "kid-1"}

func (p *pool) refused(v *token.Verifier, raw string, use token.Use, want error) {
	p.Helper()
	c, err := v.Verify(context.Background(), raw, use)
	if !errors.Is(err, want) {
		p.Errorf("Verify: %v, want %v", err, want)
	}
	if !reflect.DeepEqual(c, token.Claims{}) {
		p.Errorf("claims beside the error: %+v", c)
	}
}

func TestGenuineTokens(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	c, err := v.Verify(t.Context(), sign(header, p.idToken(), poolKey), token.ID)
	if err != nil {
		t.Fatal(err)
	}
	if c.Subject != sub || c.Username != "alice" || c.ClientID != client || c.Email != "alice@example.com" || !c.EmailVerified ||
		!reflect.DeepEqual(c.Groups, []string{"admins", "staff"}) || !c.AuthTime.Equal(p.now) || !c.IssuedAt.Equal(p.now) ||
		!c.Expires.Equal(p.now.Add(time.Hour)) || c.Use != token.ID || c.JTI != "j" || c.OriginJTI != "o" || c.All["custom:tenant"] != "acme" {
		t.Errorf("ID token: %+v", c)
	}
	c, err = v.Verify(t.Context(), sign(header, p.accessToken(), poolKey), token.Access)
	if err != nil || c.Username != "alice" || c.ClientID != client || c.Use != token.Access || c.Groups != nil {
		t.Errorf("access token: %+v, %v", c, err)
	}
	if n := p.count.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestEmailVerifiedMustBeTrue(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	for _, test := range []struct {
		value any
		want  bool
	}{{true, true}, {"true", true}, {false, false}, {"false", false}, {"TRUE", false}, {1, false}, {nil, false}} {
		c, err := v.Verify(t.Context(), sign(header, with(p.idToken(), fields{"email_verified": test.value}), poolKey), token.ID)
		if err != nil || c.EmailVerified != test.want {
			t.Errorf("%v: %v, %v", test.value, c.EmailVerified, err)
		}
	}
}

func TestAttackAlgorithms(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	claims := p.idToken()
	for _, alg := range []any{"none", "None", "", nil, "HS256", "RS384", "PS256", "ES256", "rs256", 256, []string{"RS256"}} {
		raw := sign(fields{"alg": alg, "kid": "kid-1"}, claims, poolKey)
		p.refused(v, raw, token.ID, token.ErrInvalid)
		p.refused(v, raw[:strings.LastIndexByte(raw, '.')+1], token.ID, token.ErrInvalid)
	}
	// HS256 with the public key as the secret, in every form a verifier might feed to HMAC.
	der, err := x509.MarshalPKIXPublicKey(&poolKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range [][]byte{
		der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), x509.MarshalPKCS1PublicKey(&poolKey.PublicKey), poolKey.N.Bytes(), nil,
	} {
		for _, alg := range []string{"HS256", "RS256"} {
			input := part(fields{"alg": alg, "kid": "kid-1"}) + "." + part(claims)
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			p.refused(v, input+"."+b64(mac.Sum(nil)), token.ID, token.ErrInvalid)
		}
	}
	// No signature under the right algorithm.
	p.refused(v, part(header)+"."+part(claims)+".", token.ID, token.ErrInvalid)
	p.refused(v, part(header)+"."+part(claims)+".AA", token.ID, token.ErrInvalid)
}

// The header must not choose where the key comes from.
func TestAttackHeaderBringsItsOwnKey(t *testing.T) {
	p := newPool(t)
	var stolen atomic.Int32
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stolen.Add(1)
		serveKeys(map[string]*rsa.PrivateKey{"kid-1": otherKey, "evil": otherKey})(w, r)
	}))
	defer evil.Close()
	v := p.verifier()
	der := b64(x509.MarshalPKCS1PublicKey(&otherKey.PublicKey))
	jwk := fields{"kty": "RSA", "kid": "kid-1", "n": b64(otherKey.N.Bytes()), "e": "AQAB"}
	for _, kid := range []string{"kid-1", "evil", evil.URL, evil.URL + "/jwks.json", "../../../../dev/null", "kid-1\x00", "/jwks.json", " kid-1"} {
		p.refused(v, sign(fields{
			"alg": "RS256", "kid": kid, "jku": evil.URL, "x5u": evil.URL, "jwk": jwk, "x5c": []string{der},
		}, p.idToken(), otherKey), token.ID, token.ErrInvalid)
	}
	for _, kid := range []any{nil, "", 1, []string{"kid-1"}, strings.Repeat("k", 129)} {
		p.refused(v, sign(fields{"alg": "RS256", "kid": kid}, p.idToken(), poolKey), token.ID, token.ErrInvalid)
	}
	if n := stolen.Load(); n != 0 {
		t.Errorf("the attacker's server was asked %d times", n)
	}
	// Genuine tokens that happen to carry such members are judged by our keys alone.
	if _, err := v.Verify(t.Context(), sign(fields{"alg": "RS256", "kid": "kid-1", "jku": evil.URL}, p.idToken(), poolKey), token.ID); err != nil {
		t.Error(err)
	}
}

func TestAttackClaims(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	now := p.clock().Unix()
	for name, test := range map[string]struct {
		change fields
		want   error
	}{
		"wrong issuer":             {fields{"iss": issuer + "x"}, token.ErrInvalid},
		"issuer with a slash":      {fields{"iss": issuer + "/"}, token.ErrInvalid},
		"another pool":             {fields{"iss": strings.Replace(issuer, "Ab12", "Ev11", 1)}, token.ErrInvalid},
		"no issuer":                {fields{"iss": nil}, token.ErrInvalid},
		"wrong client":             {fields{"aud": "evil"}, token.ErrInvalid},
		"no client":                {fields{"aud": nil}, token.ErrInvalid},
		"empty client":             {fields{"aud": ""}, token.ErrInvalid},
		"client in client_id":      {fields{"aud": "evil", "client_id": client}, token.ErrInvalid},
		"list of clients":          {fields{"aud": []string{client, "evil"}}, token.ErrInvalid},
		"wrong use":                {fields{"token_use": "refresh"}, token.ErrInvalid},
		"no use":                   {fields{"token_use": nil}, token.ErrInvalid},
		"expired":                  {fields{"exp": now - 30}, token.ErrExpired},
		"no expiry":                {fields{"exp": nil}, token.ErrInvalid},
		"expiry as text":           {fields{"exp": "99999999999"}, token.ErrInvalid},
		"expiry beyond all times":  {fields{"exp": 1e300}, token.ErrInvalid},
		"expiry before all times":  {fields{"exp": -1}, token.ErrInvalid},
		"issued in the future":     {fields{"iat": now + 31}, token.ErrInvalid},
		"not valid yet":            {fields{"nbf": now + 31}, token.ErrInvalid},
		"authenticated in future":  {fields{"auth_time": now + 31}, token.ErrInvalid},
		"no subject":               {fields{"sub": nil}, token.ErrInvalid},
		"subject is a number":      {fields{"sub": 1}, token.ErrInvalid},
		"groups are one text":      {fields{"cognito:groups": "admins"}, token.ErrInvalid},
		"groups of something else": {fields{"cognito:groups": []any{"a", 1}}, token.ErrInvalid},
		"username is an object":    {fields{"cognito:username": fields{}}, token.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			raw := sign(header, with(p.idToken(), test.change), poolKey)
			p.refused(v, raw, token.ID, test.want)
		})
	}
	for name, change := range map[string]fields{
		"a slow clock":         {"exp": now - 29},
		"a fast clock":         {"iat": now + 30, "nbf": now + 30, "auth_time": now + 30},
		"no groups":            {"cognito:groups": nil},
		"fraction of a second": {"exp": float64(now) + 0.5},
	} {
		if _, err := v.Verify(t.Context(), sign(header, with(p.idToken(), change), poolKey), token.ID); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAttackIDTokenForAccessTokenAndBack(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	p.refused(v, sign(header, p.idToken(), poolKey), token.Access, token.ErrInvalid)
	p.refused(v, sign(header, p.accessToken(), poolKey), token.ID, token.ErrInvalid)
	p.refused(v, sign(header, p.idToken(), poolKey), "", token.ErrInvalid)
	p.refused(v, sign(header, with(p.idToken(), fields{"token_use": ""}), poolKey), "", token.ErrInvalid)
}

// Every pool signs with keys of its own: the name of ours does not help.
func TestAttackAnotherPoolsToken(t *testing.T) {
	p := newPool(t)
	p.refused(p.verifier(), sign(header, p.idToken(), otherKey), token.ID, token.ErrInvalid)
}

func TestAttackMalformedTokens(t *testing.T) {
	p := newPool(t)
	v := p.verifier()
	raw := sign(header, p.idToken(), poolKey)
	parts := strings.Split(raw, ".")
	h, c, s := parts[0], parts[1], parts[2]
	for name, raw := range map[string]string{
		"empty":              "",
		"dots":               "..",
		"two parts":          h + "." + c,
		"four parts":         raw + "." + s,
		"duplicated payload": h + "." + c + "." + c + "." + s,
		"doubled token":      raw + raw,
		"leading space":      " " + raw,
		"line end":           raw + "\n",
		"line end inside":    h + ".\n" + c + "." + s,
		"padding":            raw + "=",
		"Bearer":             "Bearer " + raw,
		"JSON serialization": `{"protected":"` + h + `","payload":"` + c + `","signature":"` + s + `"}`,
		"header twice":       h + "." + h + "." + s,
		"other signature":    h + "." + c + "." + s[:len(s)-8] + "AAAAAAAA",
		"huge":               strings.Repeat("A", 1<<20),
		"huge payload":       h + "." + strings.Repeat("A", 1<<20) + "." + s,
		"critical extension": sign(fields{"alg": "RS256", "kid": "kid-1", "crit": []string{"exp"}}, p.idToken(), poolKey),
		"unencoded payload":  sign(fields{"alg": "RS256", "kid": "kid-1", "b64": false}, p.idToken(), poolKey),
		"other type":         sign(fields{"alg": "RS256", "kid": "kid-1", "typ": "secevent+jwt"}, p.idToken(), poolKey),
		"algorithm twice":    sign(`{"alg":"none","kid":"kid-1","alg":"RS256"}`, p.idToken(), poolKey),
		"subject twice":      sign(header, strings.Replace(text(p.idToken()), `"sub"`, `"sub":"mallory","sub"`, 1), poolKey),
		"deeply nested":      sign(header, strings.Replace(text(p.idToken()), `"sub"`, `"x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`,"sub"`, 1), poolKey),
		"something after":    sign(header, text(p.idToken())+"{}", poolKey),
		"payload is a list":  sign(header, "[]", poolKey),
		"payload is null":    sign(header, "null", poolKey),
	} {
		t.Run(name, func(t *testing.T) { p.refused(v, raw, token.ID, token.ErrInvalid) })
	}
}

func text(claims fields) string {
	data, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func TestNewVerifierSaysWhatIsWrong(t *testing.T) {
	good := token.Options{Issuer: issuer, JWKSURL: "https://example.com/jwks.json", ClientIDs: []string{client}}
	for want, change := range map[string]func(*token.Options){
		"issuer":     func(o *token.Options) { o.Issuer = "" },
		"JWKS URL":   func(o *token.Options) { o.JWKSURL = "file:///etc/passwd" },
		"client IDs": func(o *token.Options) { o.ClientIDs = []string{""} },
		"leeway":     func(o *token.Options) { o.Leeway = 6 * time.Minute },
	} {
		o := good
		change(&o)
		if v, err := token.NewVerifier(o); err == nil || v != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	p := newPool(f)
	v := p.verifier()
	raw := sign(header, p.idToken(), poolKey)
	f.Add(raw)
	f.Add("")
	f.Add("..")
	f.Add(part(fields{"alg": "none"}) + "." + part(p.idToken()) + ".")
	f.Add(fmt.Sprintf("%s.%s.%s", part(header), part("{\"a\":[{}]}"), "AA"))
	f.Fuzz(func(t *testing.T, candidate string) {
		c, err := v.Verify(context.Background(), candidate, token.ID)
		if err != nil && !reflect.DeepEqual(c, token.Claims{}) {
			t.Errorf("claims beside an error: %+v", c)
		}
		if err == nil && candidate != raw {
			t.Errorf("a forged token passes: %q", candidate)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	p := newPool(b)
	v := p.verifier()
	raw := sign(header, p.idToken(), poolKey)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), raw, token.ID); err != nil {
			b.Fatal(err)
		}
	}
}
