// Package proof tells the user pool that somebody owns a mail address. It needs the permissions cognito-idp:AdminGetUser,
// cognito-idp:AdminUserGlobalSignOut and cognito-idp:AdminUpdateUserAttributes on the user pool, and dynamodb:Query and
// dynamodb:DeleteItem on the table of passkeys.
package proof

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

// Client is what [Addresses] calls.
type Client interface {
	AdminGetUser(ctx context.Context, in *cognito.AdminGetUserInput, options ...func(*cognito.Options)) (*cognito.AdminGetUserOutput, error)
	AdminUpdateUserAttributes(ctx context.Context, in *cognito.AdminUpdateUserAttributesInput, options ...func(*cognito.Options)) (*cognito.AdminUpdateUserAttributesOutput, error)
	AdminUserGlobalSignOut(ctx context.Context, in *cognito.AdminUserGlobalSignOutInput, options ...func(*cognito.Options)) (*cognito.AdminUserGlobalSignOutOutput, error)
}

// Credentials are the passkeys of users. [passkey.Store] satisfies it.
type Credentials interface {
	List(ctx context.Context, userHandle, relyingPartyID string) ([]passkey.Credential, error)
	Delete(ctx context.Context, userHandle string, id []byte) error
}

// Addresses implements Addresses of package verify.
type Addresses struct {
	Client      Client
	Credentials Credentials // nil: the deployment has no passkeys
}

// AddressVerified implements [verify.Addresses]. Whoever registered the account before its address was proven loses sessions and passkeys
// first; the mark comes last, so that an error before it leaves everything to the next try. The address is read again once the sessions are
// over: until then one of them could put somebody else's address in the place of the proven one.
func (a *Addresses) AddressVerified(ctx context.Context, v verify.Address) error {
	if _, unproven, err := a.unproven(ctx, v); err != nil || !unproven {
		return err
	}
	_, err := a.Client.AdminUserGlobalSignOut(ctx, &cognito.AdminUserGlobalSignOutInput{UserPoolId: aws.String(v.UserPoolID), Username: aws.String(v.UserName)})
	if err != nil {
		return fmt.Errorf("ending sessions from before the address was proven: %w", err)
	}
	sub, unproven, err := a.unproven(ctx, v)
	if err != nil || !unproven {
		return err
	}
	if err := a.deletePasskeys(ctx, v, sub); err != nil {
		return err
	}
	_, err = a.Client.AdminUpdateUserAttributes(ctx, &cognito.AdminUpdateUserAttributesInput{
		UserPoolId: aws.String(v.UserPoolID), Username: aws.String(v.UserName),
		UserAttributes: []types.AttributeType{{Name: aws.String("email_verified"), Value: aws.String("true")}},
	})
	if err != nil {
		return fmt.Errorf("marking an address as verified: %w", err)
	}
	return nil
}

// unproven reports whether the address that was proven is the user's and not yet marked.
func (a *Addresses) unproven(ctx context.Context, v verify.Address) (sub string, unproven bool, err error) {
	user, err := a.Client.AdminGetUser(ctx, &cognito.AdminGetUserInput{UserPoolId: aws.String(v.UserPoolID), Username: aws.String(v.UserName)})
	if err != nil {
		return "", false, fmt.Errorf("reading the user whose address is proven: %w", err)
	}
	attributes := make(map[string]string, len(user.UserAttributes))
	for _, one := range user.UserAttributes {
		attributes[aws.ToString(one.Name)] = aws.ToString(one.Value)
	}
	sub = attributes["sub"]
	if v.Sub != "" && sub != v.Sub {
		return "", false, errors.New("the user was replaced by another of the same name")
	}
	return sub, attributes["email"] == v.Email && attributes["email_verified"] != "true", nil
}

func (a *Addresses) deletePasskeys(ctx context.Context, v verify.Address, sub string) error {
	if a.Credentials == nil {
		return nil
	}
	handle := challenge.UserHandle(v.UserName, sub)
	list, err := a.Credentials.List(ctx, handle, "")
	if err != nil {
		return fmt.Errorf("listing passkeys from before the address was proven: %w", err)
	}
	for _, one := range list {
		if err := a.Credentials.Delete(ctx, handle, one.ID); err != nil {
			return fmt.Errorf("deleting a passkey from before the address was proven: %w", err)
		}
	}
	return nil
}

var _ verify.Addresses = (*Addresses)(nil)
