package localpool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-cognito/passwordless/internal/token"
	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

// createSMS sends the codes of step-up.
func (p *Pool) createSMS(s *settings, store *triggerStore) *create.SMS {
	sms := &create.SMS{
		Texter: createTexter{p.texter(s)}, Leases: store, Limiter: store, Salt: triggerSalt, Product: s.Product, Origins: s.codeOrigins(),
		CallingCodes: s.SMSCallingCodes,
	}
	if s.SMSFirstFactor {
		sms.FirstFactor = firstFactor{p, s}
	}
	return sms
}

// codeOrigins are those of the pages that take codes: where links point, or where passkeys are used.
func (c Config) codeOrigins() []string {
	candidates := c.RedirectURIs
	if len(candidates) == 0 {
		for _, rp := range c.Passkeys.RelyingParties {
			candidates = append(candidates, rp.Origins...)
		}
	}
	var origins []string
	for _, candidate := range candidates {
		u, err := url.Parse(candidate)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" {
			continue // an app's origin, which reads no SMS for a browser
		}
		if origin := u.Scheme + "://" + strings.ToLower(u.Host); !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return origins
}

// codeHost is the domain whose pages take codes, "" where there are several: browsers offer a code on that domain alone.
func (c Config) codeHost() string {
	origins := c.codeOrigins()
	if len(origins) != 1 {
		return ""
	}
	u, err := url.Parse(origins[0])
	if err != nil || net.ParseIP(u.Hostname()) != nil {
		return ""
	}
	return u.Hostname()
}

// verifySMS checks the codes of step-up.
func (p *Pool) verifySMS(s *settings, store *triggerStore) (*verify.SMS, error) {
	tokens, err := token.NewVerifier(token.Options{
		Issuer: p.issuer(s), FormerIssuers: p.formerIssuers(s), JWKSURL: endpoint + "/" + s.UserPoolID + "/.well-known/jwks.json", ClientIDs: []string{s.ClientID}, HTTPClient: p.Client(), Now: s.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("verifying tokens for step-up: %w", err)
	}
	return &verify.SMS{Tokens: liveTokens{tokens, p, s}, Limiter: store, Salt: triggerSalt}, nil
}

// liveTokens refuses what a verifier of signatures cannot know of: tokens that were revoked, and those of disabled users.
type liveTokens struct {
	*token.Verifier
	pool     *Pool
	settings *settings
}

// Verify implements [verify.Tokens].
func (t liveTokens) Verify(ctx context.Context, raw string, use token.Use) (token.Claims, error) {
	claims, err := t.Verifier.Verify(ctx, raw, use)
	if err != nil {
		return claims, err
	}
	if _, _, err := t.pool.signedIn(t.settings, raw); err != nil {
		return token.Claims{}, notLive(err)
	}
	return claims, nil
}

// notLive tells a token that is refused from one that could not be looked up.
func notLive(err error) error {
	var refused *failure
	if errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", token.ErrInvalid, err)
	}
	return err
}

// firstFactor takes the pool's own access tokens as the proof of a first factor.
type firstFactor struct {
	pool     *Pool
	settings *settings
}

// Proves implements [create.FirstFactor].
func (f firstFactor) Proves(_ context.Context, raw, userName, clientID string) (bool, error) {
	u, family, err := f.pool.signedIn(f.settings, raw)
	if err != nil {
		if err = notLive(err); errors.Is(err, token.ErrInvalid) {
			err = nil
		}
		return false, err
	}
	return u.Username == userName && family.ClientID == clientID, nil
}

// Interface guards
var (
	_ create.FirstFactor = firstFactor{}
	_ verify.Tokens      = liveTokens{}
)
