package caddyauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/userpool"
)

// acceptedProof is a proof that the user pool has accepted.
type acceptedProof struct {
	flow   Flow
	tokens userpool.Tokens
	factor session.Factor
	owner  func(session.Identity) bool // whether the tokens are whose the flow wants
	// elsewhere says that the flow began in another browser, which alone has the nonce that a handoff needs.
	elsewhere bool
}

// respond gives the final answer of a flow. Anything but tokens is a refusal.
func (v *portalVisit) respond(ctx context.Context, in userpool.Response) (userpool.Tokens, error) {
	result, err := v.attempt(ctx, in)
	if err != nil {
		return userpool.Tokens{}, err
	}
	if result.Tokens == nil {
		return userpool.Tokens{}, fmt.Errorf("%w: the pool asks for more", userpool.ErrNotAuthorized)
	}
	return *result.Tokens, nil
}

// attempt gives an answer under a name of its own, to which the triggers bind their proof of the method.
func (v *portalVisit) attempt(ctx context.Context, in userpool.Response) (userpool.Result, error) {
	in.ClientMetadata = maps.Clone(in.ClientMetadata)
	in.ClientMetadata[challenge.KeyAttemptID] = rand.Text()
	return v.rt.pool.Respond(ctx, in)
}

// signIn turns tokens into this browser's session, and says where to go. The session is always a new one; whatever session this
// browser had before is ended, so that nothing that somebody planted lives on. If any step fails nobody is signed in.
func (v *portalVisit) signIn(ctx context.Context, in acceptedProof) (location string, err error) {
	fresh, err := v.rt.freshFrom(ctx, in.tokens)
	if err != nil {
		v.discard(ctx, in.tokens)
		return "", err
	}
	if !in.owner(fresh.Identity) {
		v.discard(ctx, in.tokens)
		return "", failure{status: http.StatusForbidden, code: "wrong_account", cause: errors.New("the tokens are another account's than the flow's")}
	}
	before, had, err := v.peek()
	if err != nil {
		v.discard(ctx, in.tokens)
		return "", err
	}
	s, err := v.rt.sessions.Start(ctx, fresh, in.factor, session.Device{Address: v.address(), UserAgent: v.r.UserAgent()})
	if err != nil {
		v.discard(ctx, in.tokens)
		return "", err
	}
	defer func() {
		if err == nil {
			return
		}
		if endErr := v.rt.sessions.End(ctx, s); endErr != nil {
			v.rt.logger.Error("ending a session that could not be handed out", zap.Error(endErr))
		}
	}()
	if had {
		if err := v.rt.sessions.End(ctx, before); err != nil {
			return "", fmt.Errorf("%w: %w", session.ErrUnavailable, err)
		}
	}
	if location, err = v.next(in, s); err != nil {
		return "", err
	}
	if err := v.setSession(s); err != nil {
		return "", err
	}
	if err := v.rememberPerson(s, in.factor); err != nil {
		return "", err
	}
	v.audit(happenedSignIn, "", append(whoIs(s), zap.String("factor", string(in.factor)), zap.String("application", in.flow.Host))...)
	return location, nil
}

// next is where the browser goes. One that did not begin the flow opens the application, which begins a flow of its own and finds
// the new session here.
func (v *portalVisit) next(in acceptedProof, s session.Session) (string, error) {
	if target, err := v.rt.allowedReturn(in.flow.Return); in.elsewhere && in.flow.Host != "" && err == nil {
		if o, err := originOf(target); err == nil && o.String() == in.flow.Host {
			return in.flow.Host + relativeReturn(target, in.flow.Fragment), nil
		}
	}
	return v.rt.finish(v.r.Context(), in.flow, s)
}

// discard revokes tokens that nobody gets.
func (v *portalVisit) discard(ctx context.Context, tokens userpool.Tokens) {
	if tokens.Refresh == "" {
		return
	}
	if err := v.rt.pool.Revoke(context.WithoutCancel(ctx), tokens.Refresh); err != nil {
		v.rt.logger.Warn("revoking tokens that nobody gets", zap.Error(err))
	}
}
