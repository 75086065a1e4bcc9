package caddyauth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/token"
	"github.com/caddy-cognito/passwordless/userpool"
)

// errOtherTokens says that an ID token and an access token do not belong together.
var errOtherTokens = errors.New("ID token and access token are for different users")

// freshFrom verifies the tokens a user pool has just issued and says who they are for. Nothing of an unverified token is used.
func (rt *realm) freshFrom(ctx context.Context, t userpool.Tokens) (session.Fresh, error) {
	tokens := sessionTokens(t)
	id, err := rt.identify(ctx, tokens)
	if err != nil {
		return session.Fresh{}, err
	}
	rt.confirmDevice(ctx, t)
	return session.Fresh{Tokens: tokens, Identity: id}, nil
}

func sessionTokens(t userpool.Tokens) session.Tokens {
	tokens := session.Tokens{ID: t.ID, Access: t.Access, Refresh: t.Refresh}
	if t.Device != nil {
		tokens.DeviceKey = t.Device.Key
	}
	return tokens
}

// confirmDeviceWithin bounds what a pool that tracks devices adds to a sign-in.
const confirmDeviceWithin = 2500 * time.Millisecond

// confirmDevice confirms the device of new tokens, in pools that track devices: their refresh token does not work before. A failure
// ends no sign-in, which is good until its access token ends.
func (rt *realm) confirmDevice(ctx context.Context, t userpool.Tokens) {
	if t.Device == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), confirmDeviceWithin)
	defer cancel()
	if err := rt.pool.ConfirmDevice(ctx, t.Access, *t.Device); err != nil {
		rt.logger.Error("could not confirm the device of a sign-in: the session cannot be refreshed and ends with its access token; "+
			"see \"device tracking\" in the documentation of user_pool cognito", zap.Error(err))
	}
}

// identify says who verified tokens are for.
func (rt *realm) identify(ctx context.Context, t session.Tokens) (_ session.Identity, err error) {
	ctx, end := probe{&rt.metrics, backendKeys}.call(ctx, "Verify")
	defer func() { end(err) }()
	id, err := rt.verifier.Verify(ctx, t.ID, token.ID)
	if errors.Is(err, token.ErrIssuer) {
		rt.logger.Error("the user pool's tokens name another issuer; set the option issuer of the user pool", zap.Error(err))
	}
	if err != nil {
		return session.Identity{}, fmt.Errorf("verifying the ID token: %w", err)
	}
	access, err := rt.verifier.Verify(ctx, t.Access, token.Access)
	if err != nil {
		return session.Identity{}, fmt.Errorf("verifying the access token: %w", err)
	}
	if id.Subject == "" || id.Subject != access.Subject {
		return session.Identity{}, errOtherTokens
	}
	claims := make(map[string]any)
	for _, name := range rt.config.Session.Claims {
		if value, ok := id.All[name]; ok {
			claims[name] = value
		}
	}
	return session.Identity{
		Subject:       id.Subject,
		Username:      id.Username,
		Email:         id.Email,
		EmailVerified: id.EmailVerified,
		Groups:        id.Groups,
		Claims:        claims,
		AuthTime:      access.AuthTime,
		AccessExpires: access.Expires,
		OriginJTI:     access.OriginJTI,
	}, nil
}

// poolRefresher lets sessions refresh and revoke their tokens at the realm's user pool.
type poolRefresher struct{ rt *realm }

// Refresh implements [session.Refresher].
func (p poolRefresher) Refresh(ctx context.Context, old session.Tokens) (session.Tokens, error) {
	answer, err := p.rt.pool.Refresh(ctx, old.Refresh, old.DeviceKey)
	if err != nil {
		return session.Tokens{}, refusedByPool(err)
	}
	p.rt.confirmDevice(ctx, answer)
	tokens := sessionTokens(answer)
	if answer.Device == nil {
		tokens.DeviceKey = old.DeviceKey
	}
	return tokens, nil
}

// Verify implements [session.Refresher].
func (p poolRefresher) Verify(ctx context.Context, t session.Tokens) (session.Identity, error) {
	id, err := p.rt.identify(ctx, t)
	switch {
	case err == nil:
		return id, nil
	case errors.Is(err, token.ErrExpired):
		return session.Identity{}, fmt.Errorf("%w: %w", session.ErrStale, err)
	case errors.Is(err, token.ErrUnknownKey), errors.Is(err, token.ErrNotYet):
		return session.Identity{}, err // a later look may find the key, or a clock that was set
	case errors.Is(err, token.ErrInvalid), errors.Is(err, errOtherTokens):
		return session.Identity{}, fmt.Errorf("%w: its tokens are not valid: %w", session.ErrRefused, err)
	}
	return session.Identity{}, err
}

// traded records what came of an attempt to get new tokens for a session.
func (rt *realm) traded(s session.Session, err error) {
	failed := ""
	switch {
	case errors.Is(err, session.ErrUnverified):
		failed = "unverified"
	case errors.Is(err, session.ErrDoubtful) && !errors.Is(err, session.ErrRefused):
		failed = "doubtful"
	case err != nil:
		failed = "refused"
	}
	rt.record(happenedRefresh, failed, whoIs(s)...)
}

// Revoke implements [session.Refresher].
func (p poolRefresher) Revoke(ctx context.Context, refreshToken string) error {
	return refusedByPool(p.rt.pool.Revoke(ctx, refreshToken))
}

// RevokeAll implements [session.Refresher].
func (p poolRefresher) RevokeAll(ctx context.Context, accessToken string) error {
	return refusedByPool(p.rt.pool.GlobalSignOut(ctx, accessToken))
}

// refusedByPool is an error of the pool as sessions know it: a refusal is [session.ErrRefused] or [session.ErrDoubtful].
func refusedByPool(err error) error {
	if errors.Is(err, userpool.ErrDoubtful) {
		return fmt.Errorf("%w: %w", session.ErrDoubtful, err)
	}
	if errors.Is(err, userpool.ErrNotAuthorized) {
		return fmt.Errorf("%w: %w", session.ErrRefused, err)
	}
	return err
}
