// Package token verifies the JSON Web Tokens of an Amazon Cognito user pool, or of the embedded pool that speaks its protocol
// ("Verifying JSON web tokens", Amazon Cognito Developer Guide).
//
// Only RS256 is accepted and only keys from the pool's own JWKS, found by key ID; nothing in a token's header can name another
// key or another place to get one.
package token

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
)

// Errors of this package. Their texts quote nothing of a token but, for a log, an issuer that does not match.
var (
	// ErrInvalid says that a token is malformed, forged, or for somebody else.
	ErrInvalid = errors.New("invalid token")
	// ErrIssuer says that a token is from another issuer. It is an ErrInvalid too, and names both issuers.
	ErrIssuer = fmt.Errorf("%w: another issuer", ErrInvalid)
	// ErrExpired says that a token is genuine but its time is over. It is an ErrInvalid too.
	ErrExpired = fmt.Errorf("%w: it has expired", ErrInvalid)
	// ErrNotYet says that a token is genuine but its time has not come: clocks differ. It is an ErrInvalid too.
	ErrNotYet = fmt.Errorf("%w: it is not valid yet", ErrInvalid)
	// ErrUnknownKey says that a token names a key that the pool does not publish, or had not published when its keys were last
	// fetched, which unknown keys cause twice a minute at most. It is an ErrInvalid too.
	ErrUnknownKey = fmt.Errorf("%w: its key is unknown", ErrInvalid)
	// ErrUnavailable says that the pool's keys could not be fetched, so that nothing can be said about the token.
	ErrUnavailable = errors.New("signing keys are unavailable")
)

// maxToken bounds a token in bytes. Cognito's ID tokens with hundreds of groups stay below it.
const maxToken = 32 << 10

const (
	defaultLeeway = 30 * time.Second
	maxLeeway     = 5 * time.Minute
)

// Use is a token's purpose, its claim token_use.
type Use string

// The two uses.
const (
	ID     Use = "id"
	Access Use = "access"
)

// Options configure a [Verifier].
type Options struct {
	Issuer string // exact value of iss
	// FormerIssuers are further exact values of iss, under which the same pool signed tokens before it was renamed. Default: none.
	FormerIssuers []string
	JWKSURL       string       // http or https
	ClientIDs     []string     // app clients whose tokens are accepted; at least one
	HTTPClient    *http.Client // nil: a client of its own; every fetch is limited to 10 seconds
	Now           func() time.Time
	// Leeway is how far our clock and the pool's may differ: zero means 30 seconds, at most 5 minutes.
	Leeway time.Duration
}

// Verifier checks tokens against one user pool. It is safe for concurrent use.
type Verifier struct {
	issuer  string
	former  []string
	clients []string
	now     func() time.Time
	leeway  time.Duration
	keys    *keySet
	cache   cache
}

// NewVerifier checks the options. It does not touch the network: keys are fetched when the first token comes.
func NewVerifier(o Options) (*Verifier, error) {
	if o.Issuer == "" {
		return nil, errors.New("token verifier: issuer is missing")
	}
	if slices.Contains(o.FormerIssuers, "") {
		return nil, errors.New("token verifier: a former issuer is empty")
	}
	u, err := url.Parse(o.JWKSURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("token verifier: JWKS URL %q is not an absolute http or https URL", o.JWKSURL)
	}
	if len(o.ClientIDs) == 0 || slices.Contains(o.ClientIDs, "") {
		return nil, errors.New("token verifier: client IDs are missing")
	}
	if o.Leeway < 0 || o.Leeway > maxLeeway {
		return nil, fmt.Errorf("token verifier: leeway %s is not between 0 and %s", o.Leeway, maxLeeway)
	}
	v := &Verifier{issuer: o.Issuer, former: slices.Clone(o.FormerIssuers), clients: slices.Clone(o.ClientIDs), now: o.Now, leeway: o.Leeway}
	if v.now == nil {
		v.now = time.Now
	}
	if v.leeway == 0 {
		v.leeway = defaultLeeway
	}
	v.keys = newKeySet(o.JWKSURL, o.HTTPClient, v.now)
	return v, nil
}

// Verify checks signature, issuer, client, use and times of a compact JWS and returns what it says. Errors are [ErrInvalid] or
// [ErrUnavailable]; [ErrExpired], [ErrNotYet] and [ErrUnknownKey] say more. Beside one the Claims are zero.
// also are app clients that are accepted this time beside those of the options.
func (v *Verifier) Verify(ctx context.Context, raw string, use Use, also ...string) (Claims, error) {
	if len(raw) > maxToken {
		return Claims{}, fmt.Errorf("%w: over %d bytes", ErrInvalid, maxToken)
	}
	header, payload, err := split(raw)
	if err != nil {
		return Claims{}, err
	}
	kid, err := keyID(header)
	if err != nil {
		return Claims{}, err
	}
	// What cannot be valid whoever signed it is refused before a key is looked for: such tokens never cause a fetch.
	claims, err := parseClaims(payload)
	if err != nil {
		return Claims{}, err
	}
	if err := v.checkParties(claims, use, also); err != nil {
		return Claims{}, err
	}
	key, err := v.keys.find(ctx, kid)
	if err != nil {
		return Claims{}, err
	}
	if _, err := jws.VerifyCompactFast(key, []byte(raw), jwa.RS256()); err != nil {
		return Claims{}, fmt.Errorf("%w: the signature is wrong", ErrInvalid)
	}
	if err := v.checkTimes(claims); err != nil {
		return Claims{}, err
	}
	return claims, nil
}

// Accepts reports whether the client of a genuine token is one of the options or of also.
func (v *Verifier) Accepts(c Claims, also ...string) bool {
	return slices.Contains(v.clients, c.ClientID) || slices.Contains(also, c.ClientID)
}

func (v *Verifier) checkClient(c Claims, also []string) error {
	if !v.Accepts(c, also...) {
		return fmt.Errorf("%w: it is for another client", ErrInvalid)
	}
	return nil
}

func (v *Verifier) checkParties(c Claims, use Use, also []string) error {
	if c.issuer != v.issuer && !slices.Contains(v.former, c.issuer) {
		return fmt.Errorf("%w: it is from %.200q, this configuration expects %q", ErrIssuer, c.issuer, v.issuer)
	}
	if use != ID && use != Access || c.Use != use {
		return fmt.Errorf("%w: it is not an %s token", ErrInvalid, use)
	}
	return v.checkClient(c, also)
}

func (v *Verifier) checkTimes(c Claims) error {
	now := v.now()
	if !now.Before(c.Expires.Add(v.leeway)) {
		return ErrExpired
	}
	latest := now.Add(v.leeway)
	if c.IssuedAt.After(latest) || c.notBefore.After(latest) || c.AuthTime.After(latest) {
		return ErrNotYet
	}
	return nil
}

// base64url decodes without padding and without spare bits: one text per value.
var base64url = base64.RawURLEncoding.Strict()

// split takes a compact JWS (RFC 7515, section 7.1) apart: exactly three parts.
func split(raw string) (header, payload []byte, err error) {
	h, rest, ok1 := strings.Cut(raw, ".")
	p, signature, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 || h == "" || p == "" || signature == "" || strings.ContainsAny(raw, "\r\n") || strings.Contains(signature, ".") {
		return nil, nil, fmt.Errorf("%w: not three parts", ErrInvalid)
	}
	if header, err = base64url.DecodeString(h); err == nil {
		if payload, err = base64url.DecodeString(p); err == nil {
			_, err = base64url.DecodeString(signature)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: not base64url", ErrInvalid)
	}
	return header, payload, nil
}
