package directory_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/caddy-cognito/passwordless/triggers/aws/cognito/directory"
	"github.com/caddy-cognito/passwordless/triggers/notify"
)

type client struct{ err error }

func (c client) AdminGetUser(_ context.Context, in *cognito.AdminGetUserInput, _ ...func(*cognito.Options)) (*cognito.AdminGetUserOutput, error) {
	if c.err != nil {
		return nil, c.err
	}
	attribute := func(name, value string) types.AttributeType {
		return types.AttributeType{Name: aws.String(name), Value: aws.String(value)}
	}
	return &cognito.AdminGetUserOutput{Username: in.Username, UserAttributes: []types.AttributeType{
		attribute("sub", "1"), attribute("email", aws.ToString(in.Username)+"@example.com"), attribute("email_verified", "true"), attribute("locale", "de"),
	}}, nil
}

func TestUser(t *testing.T) {
	u, err := (&directory.Users{Client: client{}, UserPoolID: "p"}).User(t.Context(), "alice")
	if want := (notify.User{Email: "alice@example.com", EmailVerified: "true", Locale: "de"}); err != nil || u != want {
		t.Errorf("%+v, %v; want %+v", u, err, want)
	}
}

func TestNoUser(t *testing.T) {
	if _, err := (&directory.Users{Client: client{&types.UserNotFoundException{}}}).User(t.Context(), "gone"); !errors.Is(err, notify.ErrUserNotFound) {
		t.Errorf("a user who is gone: %v", err)
	}
	if _, err := (&directory.Users{Client: client{&types.TooManyRequestsException{}}}).User(t.Context(), "alice"); err == nil || errors.Is(err, notify.ErrUserNotFound) {
		t.Errorf("a pool that is busy: %v", err)
	}
}
