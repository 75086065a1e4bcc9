package directory

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
)

// adminGetUser is the one call of the SDK's client that is needed. The client itself would bring all its calls: see package tables.
type adminGetUser func(context.Context, *cognito.AdminGetUserInput, ...func(*cognito.Options)) (*cognito.AdminGetUserOutput, error)

// AdminGetUser implements [Client].
func (call adminGetUser) AdminGetUser(ctx context.Context, in *cognito.AdminGetUserInput, options ...func(*cognito.Options)) (*cognito.AdminGetUserOutput, error) {
	return call(ctx, in, options...)
}

// NewClient makes a client of the service.
func NewClient(config aws.Config) Client {
	return adminGetUser(cognito.NewFromConfig(config).AdminGetUser)
}
