package localpool

import (
	"context"
	"errors"

	"go.etcd.io/bbolt"
)

type refreshInput struct {
	ClientID       string            `json:"ClientId"`
	ClientSecret   string            `json:"ClientSecret"`
	RefreshToken   string            `json:"RefreshToken"`
	ClientMetadata map[string]string `json:"ClientMetadata"`
}

type revokeInput struct {
	ClientID     string `json:"ClientId"`
	ClientSecret string `json:"ClientSecret"`
	Token        string `json:"Token"`
}

type empty struct{}

type refreshOutput struct {
	AuthenticationResult *authenticationResult `json:"AuthenticationResult"`
}

// getTokensFromRefreshToken refreshes, with rotation where it is on.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_GetTokensFromRefreshToken.html
func (p *Pool) getTokensFromRefreshToken(ctx context.Context, in refreshInput) (*refreshOutput, error) {
	s := p.current.Load()
	if err := s.checkClient(in.ClientID); err != nil {
		return nil, err
	}
	if err := s.checkSecret(in.ClientSecret); err != nil {
		return nil, err
	}
	if err := checkMetadata(in.ClientMetadata); err != nil {
		return nil, err
	}
	result, err := p.refresh(ctx, s, in.RefreshToken, in.ClientMetadata)
	if err != nil {
		return nil, err
	}
	if s.RotateRefresh {
		// Stored last: a refresh that failed leaves the old token usable.
		if result.RefreshToken, err = p.newRefreshToken(); err != nil {
			return nil, err
		}
		if err := p.rotate(ctx, s, in.RefreshToken, result.RefreshToken); err != nil {
			return nil, err
		}
	}
	return &refreshOutput{AuthenticationResult: result}, nil
}

// refreshTokenAuth is InitiateAuth's older form, which Cognito closes to clients with rotation.
func (p *Pool) refreshTokenAuth(ctx context.Context, s *settings, in initiateAuthInput) (*authOutput, error) {
	if s.RotateRefresh {
		return nil, invalidParameter("REFRESH_TOKEN_AUTH is not available with refresh token rotation: use GetTokensFromRefreshToken")
	}
	token := in.AuthParameters["REFRESH_TOKEN"]
	// SECRET_HASH is made over the user name, which this flow does not send: the token tells it. The bare client secret is taken too, for there are clients that send it.
	if hash := in.AuthParameters["SECRET_HASH"]; s.ClientSecret == "" || !sameSecret(hash, s.ClientSecret) {
		var f tokenFamily
		err := p.db.view(func(tx *bbolt.Tx) (err error) {
			_, f, err = familyOf(tx, token, s.Now())
			return err
		})
		if err != nil {
			return nil, err
		}
		if err := s.checkSecretHash(hash, f.Username); err != nil {
			return nil, err
		}
	}
	result, err := p.refresh(ctx, s, token, nil)
	if err != nil {
		return nil, err
	}
	return &authOutput{AuthenticationResult: result, ChallengeParameters: map[string]string{}}, nil
}

func (p *Pool) refresh(ctx context.Context, s *settings, token string, metadata map[string]string) (*authenticationResult, error) {
	if token == "" {
		return nil, invalidParameter("Missing required parameter REFRESH_TOKEN")
	}
	var f tokenFamily
	var u user
	var found bool
	err := p.db.view(func(tx *bbolt.Tx) (err error) {
		grace := s.RotationGrace
		if _, f, err = usableFamily(tx, token, s.ClientID, grace, s.Now()); err != nil {
			return err
		}
		u, found, err = findUser(tx, f.Username, s.Now())
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, errRefreshInvalid
	case u.Disabled:
		return nil, errUserDisabled
	}
	return p.mint(ctx, s, u, f, "TokenGeneration_RefreshTokens", metadata)
}

// revokeToken revokes a refresh token with all tokens of its sign-in. An unknown token is no error (RFC 7009, section 2.2).
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_RevokeToken.html
func (p *Pool) revokeToken(ctx context.Context, in revokeInput) (*empty, error) {
	s := p.current.Load()
	if err := s.checkClient(in.ClientID); err != nil {
		return nil, err
	}
	if err := s.checkSecret(in.ClientSecret); err != nil {
		return nil, err
	}
	if in.Token == "" {
		return nil, invalidParameter("Missing required parameter Token")
	}
	if _, err := p.keys.verifyToken(in.Token); err == nil {
		return nil, &failure{Type: typeUnsupportedTokens, Message: "Only refresh tokens can be revoked."}
	}
	err := p.db.update(ctx, func(tx *bbolt.Tx) error {
		_, f, err := familyOf(tx, in.Token, s.Now())
		switch {
		case errors.Is(err, errRefreshInvalid), err == nil && f.Revoked:
			return nil
		case err != nil:
			return err
		case f.ClientID != s.ClientID:
			return notAuthorized("The token was issued to another client.")
		}
		return revokeFamily(tx, f)
	})
	if err != nil {
		return nil, err
	}
	return &empty{}, nil
}
