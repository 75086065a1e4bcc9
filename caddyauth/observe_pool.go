package caddyauth

import (
	"context"

	"github.com/caddy-cognito/passwordless/userpool"
)

// observedPool is a user pool whose calls are measured and traced, under the names of Cognito's operations.
type observedPool struct {
	pool userpool.Pool
	probe
}

func (p observedPool) SignUp(ctx context.Context, in userpool.SignUp) (err error) {
	ctx, end := p.call(ctx, "SignUp")
	defer func() { end(err) }()
	return p.pool.SignUp(ctx, in)
}

func (p observedPool) Initiate(ctx context.Context, username string) (_ userpool.Challenge, err error) {
	ctx, end := p.call(ctx, "InitiateAuth")
	defer func() { end(err) }()
	return p.pool.Initiate(ctx, username)
}

func (p observedPool) Respond(ctx context.Context, in userpool.Response) (_ userpool.Result, err error) {
	ctx, end := p.call(ctx, "RespondToAuthChallenge")
	defer func() { end(err) }()
	return p.pool.Respond(ctx, in)
}

func (p observedPool) ConfirmDevice(ctx context.Context, accessToken string, d userpool.Device) (err error) {
	ctx, end := p.call(ctx, "ConfirmDevice")
	defer func() { end(err) }()
	return p.pool.ConfirmDevice(ctx, accessToken, d)
}

func (p observedPool) Refresh(ctx context.Context, refreshToken, deviceKey string) (_ userpool.Tokens, err error) {
	ctx, end := p.call(ctx, "GetTokensFromRefreshToken")
	defer func() { end(err) }()
	return p.pool.Refresh(ctx, refreshToken, deviceKey)
}

func (p observedPool) Revoke(ctx context.Context, refreshToken string) (err error) {
	ctx, end := p.call(ctx, "RevokeToken")
	defer func() { end(err) }()
	return p.pool.Revoke(ctx, refreshToken)
}

func (p observedPool) GlobalSignOut(ctx context.Context, accessToken string) (err error) {
	ctx, end := p.call(ctx, "GlobalSignOut")
	defer func() { end(err) }()
	return p.pool.GlobalSignOut(ctx, accessToken)
}

func (p observedPool) User(ctx context.Context, accessToken string) (_ userpool.User, err error) {
	ctx, end := p.call(ctx, "GetUser")
	defer func() { end(err) }()
	return p.pool.User(ctx, accessToken)
}

func (p observedPool) UpdateAttributes(ctx context.Context, accessToken string, attributes map[string]string) (_ []string, err error) {
	ctx, end := p.call(ctx, "UpdateUserAttributes")
	defer func() { end(err) }()
	return p.pool.UpdateAttributes(ctx, accessToken, attributes)
}

func (p observedPool) DeleteAttributes(ctx context.Context, accessToken string, names ...string) (err error) {
	ctx, end := p.call(ctx, "DeleteUserAttributes")
	defer func() { end(err) }()
	return p.pool.DeleteAttributes(ctx, accessToken, names...)
}

func (p observedPool) SendAttributeCode(ctx context.Context, accessToken, attribute string) (err error) {
	ctx, end := p.call(ctx, "GetUserAttributeVerificationCode")
	defer func() { end(err) }()
	return p.pool.SendAttributeCode(ctx, accessToken, attribute)
}

func (p observedPool) VerifyAttribute(ctx context.Context, accessToken, attribute, code string) (err error) {
	ctx, end := p.call(ctx, "VerifyUserAttribute")
	defer func() { end(err) }()
	return p.pool.VerifyAttribute(ctx, accessToken, attribute, code)
}

var _ userpool.Pool = observedPool{}
