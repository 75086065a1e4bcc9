// Package pooltoken verifies access tokens of whichever user pool called a Lambda. Nothing of it is configured: pool and app client are in
// every event, written by Cognito.
package pooltoken

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddy-cognito/passwordless/internal/token"
)

// most bounds for how many app clients a Lambda keeps keys.
const most = 32

// fetchTime bounds fetching a pool's keys, within the five seconds that Cognito gives a trigger.
const fetchTime = 2 * time.Second

type audience struct{ pool, client string }

type audienceKey struct{}

// WithAudience notes whose event is being answered: tokens must be for this pool and app client.
func WithAudience(ctx context.Context, poolID, clientID string) context.Context {
	return context.WithValue(ctx, audienceKey{}, audience{poolID, clientID})
}

// Verifiers verify tokens for the audience that the context carries. They implement Tokens of package verify and FirstFactor of package
// create.
type Verifiers struct {
	issuer string
	client *http.Client

	mu   sync.Mutex
	each map[audience]*token.Verifier
}

// New makes verifiers. The issuer is that of every pool; "": Amazon's, by the pool's ID.
func New(issuer string) *Verifiers {
	return &Verifiers{issuer: strings.TrimSuffix(issuer, "/"), client: &http.Client{Timeout: fetchTime}, each: map[audience]*token.Verifier{}}
}

// Verify checks a token as [token.Verifier.Verify] does.
func (v *Verifiers) Verify(ctx context.Context, raw string, use token.Use) (token.Claims, error) {
	a, ok := ctx.Value(audienceKey{}).(audience)
	if !ok {
		return token.Claims{}, errors.New("no event to verify a token for")
	}
	one, err := v.of(a)
	if err != nil {
		return token.Claims{}, err
	}
	return one.Verify(ctx, raw, use)
}

// Proves reports whether raw is an access token of this user and client, valid now.
func (v *Verifiers) Proves(ctx context.Context, raw, userName, clientID string) (bool, error) {
	claims, err := v.Verify(ctx, raw, token.Access)
	switch {
	case errors.Is(err, token.ErrInvalid):
		return false, nil
	case err != nil:
		return false, err
	}
	return userName != "" && claims.Username == userName && claims.ClientID == clientID, nil
}

// of returns the verifier of an audience, with the keys it has fetched.
func (v *Verifiers) of(a audience) (*token.Verifier, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if one, ok := v.each[a]; ok {
		return one, nil
	}
	issuer := v.issuer
	if issuer == "" {
		var err error
		if issuer, err = amazonIssuer(a.pool); err != nil {
			return nil, err
		}
	}
	one, err := token.NewVerifier(token.Options{
		Issuer: issuer, JWKSURL: issuer + "/.well-known/jwks.json", ClientIDs: []string{a.client}, HTTPClient: v.client,
	})
	if err != nil {
		return nil, fmt.Errorf("verifying tokens of the pool: %w", err)
	}
	if len(v.each) >= most {
		clear(v.each)
	}
	v.each[a] = one
	return one, nil
}

// amazonIssuer is the iss of a pool's tokens.
// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html
func amazonIssuer(pool string) (string, error) {
	region, _, ok := strings.Cut(pool, "_")
	if !ok || region == "" || strings.ContainsFunc(pool, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) {
		return "", errors.New("the event's user pool ID is not like eu-west-1_Ab12Cd34E")
	}
	suffix := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		suffix += ".cn"
	}
	return "https://cognito-idp." + region + "." + suffix + "/" + pool, nil
}
