// Package directory reads users of a user pool for the notify Lambda. It needs the permission cognito-idp:AdminGetUser on the pool.
package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/caddy-cognito/passwordless/triggers/notify"
)

// Client is what [Users] calls.
type Client interface {
	AdminGetUser(ctx context.Context, in *cognito.AdminGetUserInput, options ...func(*cognito.Options)) (*cognito.AdminGetUserOutput, error)
}

// Users implements Users of package notify.
type Users struct {
	Client     Client
	UserPoolID string
}

// User implements [notify.Users]. A disabled user is told like any other.
func (u *Users) User(ctx context.Context, username string) (notify.User, error) {
	out, err := u.Client.AdminGetUser(ctx, &cognito.AdminGetUserInput{UserPoolId: aws.String(u.UserPoolID), Username: aws.String(username)})
	if gone := (*types.UserNotFoundException)(nil); errors.As(err, &gone) {
		return notify.User{}, notify.ErrUserNotFound
	}
	if err != nil {
		return notify.User{}, fmt.Errorf("reading a user: %w", err)
	}
	var found notify.User
	for _, one := range out.UserAttributes {
		switch aws.ToString(one.Name) {
		case "email":
			found.Email = aws.ToString(one.Value)
		case "email_verified":
			found.EmailVerified = aws.ToString(one.Value)
		case "locale":
			found.Locale = aws.ToString(one.Value)
		}
	}
	return found, nil
}

var _ notify.Users = (*Users)(nil)
