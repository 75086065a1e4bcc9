package userpool

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// SignUp is the public SignUp operation: no AWS credentials, the pool's own policy and PreSignUp trigger decide.
func (c *Client) SignUp(ctx context.Context, in SignUp) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	password, err := randomPassword(c.rand)
	if err != nil {
		return err
	}
	input := &cognito.SignUpInput{
		ClientId:       aws.String(c.config.ClientID),
		Username:       aws.String(in.Username),
		Password:       aws.String(password),
		ClientMetadata: in.ClientMetadata,
	}
	for _, name := range slices.Sorted(maps.Keys(in.Attributes)) {
		input.UserAttributes = append(input.UserAttributes, types.AttributeType{
			Name: aws.String(name), Value: aws.String(in.Attributes[name]),
		})
	}
	if c.config.ClientSecret != "" {
		input.SecretHash = aws.String(challenge.SecretHash(c.config.ClientSecret, in.Username, c.config.ClientID))
	}
	if _, err := c.api.SignUp(ctx, input); err != nil {
		return failed(operationSignUp, err)
	}
	return nil
}

// Revoke is RevokeToken, which takes the client secret itself.
func (c *Client) Revoke(ctx context.Context, refreshToken string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := c.api.RevokeToken(ctx, &cognito.RevokeTokenInput{
		ClientId:     aws.String(c.config.ClientID),
		ClientSecret: c.secret(),
		Token:        aws.String(refreshToken),
	})
	if err != nil {
		return failed(operationRevoke, err)
	}
	return nil
}

// GlobalSignOut is the operation of that name.
func (c *Client) GlobalSignOut(ctx context.Context, accessToken string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := c.api.GlobalSignOut(ctx, &cognito.GlobalSignOutInput{AccessToken: aws.String(accessToken)})
	if err != nil {
		return failed(operationGlobalSignOut, err)
	}
	return nil
}

// User is GetUser.
func (c *Client) User(ctx context.Context, accessToken string) (User, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	out, err := c.api.GetUser(ctx, &cognito.GetUserInput{AccessToken: aws.String(accessToken)})
	if err != nil {
		return User{}, failed(operationUser, err)
	}
	user := User{Username: aws.ToString(out.Username), Attributes: make(map[string]string, len(out.UserAttributes))}
	for _, a := range out.UserAttributes {
		user.Attributes[aws.ToString(a.Name)] = aws.ToString(a.Value)
	}
	return user, nil
}

// randomPassword is 100 characters long, of every class, with 576 random bits: it satisfies every policy a pool can have
// (minimum length 6 to 99; upper, lower, digit, symbol) and stays below Cognito's limit of 256.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_PasswordPolicyType.html
func randomPassword(random io.Reader) (string, error) {
	b := make([]byte, 72)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("making a random password: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b) + "aA1!", nil
}
