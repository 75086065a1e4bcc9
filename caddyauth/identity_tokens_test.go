package caddyauth

import (
	"context"
	"errors"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/userpool"
)

// refusing is a pool that answers whatever is asked about tokens with an error.
type refusing struct {
	userpool.Pool
	err error
}

func (r refusing) Refresh(context.Context, string, string) (userpool.Tokens, error) {
	return userpool.Tokens{}, r.err
}
func (r refusing) Revoke(context.Context, string) error        { return r.err }
func (r refusing) GlobalSignOut(context.Context, string) error { return r.err }

// A pool that refuses has decided; one that cannot be reached has not, and is asked again. Sessions must be able to tell which.
func TestRefusalsOfThePoolAreKnownToSessions(t *testing.T) {
	for cause, refused := range map[error]bool{userpool.ErrNotAuthorized: true, userpool.ErrUnavailable: false} {
		p := poolRefresher{&realm{pool: refusing{err: cause}}}
		_, refresh := p.Refresh(t.Context(), session.Tokens{Refresh: "a refresh token"})
		for name, err := range map[string]error{
			"Refresh": refresh, "Revoke": p.Revoke(t.Context(), "a refresh token"), "RevokeAll": p.RevokeAll(t.Context(), "an access token"),
		} {
			if !errors.Is(err, cause) || errors.Is(err, session.ErrRefused) != refused {
				t.Errorf("%s: %v for %v", name, err, cause)
			}
		}
	}
}
