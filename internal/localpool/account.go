package localpool

import (
	"context"

	"go.etcd.io/bbolt"
)

type accessTokenInput struct {
	AccessToken string `json:"AccessToken"`
}

type getUserOutput struct {
	Username       string      `json:"Username"`
	UserAttributes []attribute `json:"UserAttributes"`
}

// getUser answers with the account of an access token.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_GetUser.html
func (p *Pool) getUser(_ context.Context, in accessTokenInput) (*getUserOutput, error) {
	u, _, err := p.signedIn(p.current.Load(), in.AccessToken)
	if err != nil {
		return nil, err
	}
	return &getUserOutput{Username: u.Username, UserAttributes: u.attributeList()}, nil
}

// globalSignOut revokes every token of an access token's user.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_GlobalSignOut.html
func (p *Pool) globalSignOut(ctx context.Context, in accessTokenInput) (*empty, error) {
	s := p.current.Load()
	u, _, err := p.signedIn(s, in.AccessToken)
	if err != nil {
		return nil, err
	}
	err = p.db.update(ctx, func(tx *bbolt.Tx) error { return revokeFamilies(tx, u.Username, s.Now()) })
	if err != nil {
		return nil, err
	}
	return &empty{}, nil
}
