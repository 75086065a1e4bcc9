package caddyauth

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/token"
	"github.com/caddy-cognito/passwordless/userpool"
)

// freshFrom verifies the tokens a user pool has just issued and says who they are for. Nothing of an unverified token is used.
func (rt *realm) freshFrom(ctx context.Context, t userpool.Tokens) (session.Fresh, error) {
	id, err := rt.verifier.Verify(ctx, t.ID, token.ID)
	if err != nil {
		return session.Fresh{}, fmt.Errorf("verifying the ID token: %w", err)
	}
	access, err := rt.verifier.Verify(ctx, t.Access, token.Access)
	if err != nil {
		return session.Fresh{}, fmt.Errorf("verifying the access token: %w", err)
	}
	if id.Subject == "" || id.Subject != access.Subject {
		return session.Fresh{}, errors.New("ID token and access token are for different users")
	}
	claims := make(map[string]any)
	for _, name := range rt.config.Session.Claims {
		if value, ok := id.All[name]; ok {
			claims[name] = value
		}
	}
	return session.Fresh{
		Tokens: session.Tokens{ID: t.ID, Access: t.Access, Refresh: t.Refresh},
		Identity: session.Identity{
			Subject:       id.Subject,
			Username:      id.Username,
			Email:         id.Email,
			EmailVerified: id.EmailVerified,
			Groups:        id.Groups,
			Claims:        claims,
			AuthTime:      access.AuthTime,
			AccessExpires: access.Expires,
			OriginJTI:     access.OriginJTI,
		},
	}, nil
}

// poolRefresher lets sessions refresh and revoke their tokens at the realm's user pool.
type poolRefresher struct{ rt *realm }

// Refresh implements [session.Refresher].
func (p poolRefresher) Refresh(ctx context.Context, refreshToken string) (session.Fresh, error) {
	tokens, err := p.rt.pool.Refresh(ctx, refreshToken)
	if err != nil {
		return session.Fresh{}, refusedByPool(err)
	}
	fresh, err := p.rt.freshFrom(ctx, tokens)
	if err == nil {
		id := fresh.Identity
		p.rt.record(happenedRefresh, "", zap.String("user", id.Username), zap.String("subject", id.Subject), zap.String("email", id.Email))
	}
	return fresh, err
}

// Revoke implements [session.Refresher].
func (p poolRefresher) Revoke(ctx context.Context, refreshToken string) error {
	return refusedByPool(p.rt.pool.Revoke(ctx, refreshToken))
}

// RevokeAll implements [session.Refresher].
func (p poolRefresher) RevokeAll(ctx context.Context, accessToken string) error {
	return refusedByPool(p.rt.pool.GlobalSignOut(ctx, accessToken))
}

// refusedByPool is an error of the pool as sessions know it: a refusal is [session.ErrRefused].
func refusedByPool(err error) error {
	if errors.Is(err, userpool.ErrNotAuthorized) {
		return fmt.Errorf("%w: %w", session.ErrRefused, err)
	}
	return err
}
