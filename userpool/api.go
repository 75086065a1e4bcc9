package userpool

import (
	"context"

	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
)

// call is one operation of the service.
type call[I, O any] func(context.Context, *I, ...func(*cognito.Options)) (*O, error)

// api is what the client calls. The SDK's own client has more than a hundred, and where it is kept in a structure that reflection
// may see, the linker has to keep them all: they weigh 4 MB in Caddy.
type api struct {
	InitiateAuth                     call[cognito.InitiateAuthInput, cognito.InitiateAuthOutput]
	RespondToAuthChallenge           call[cognito.RespondToAuthChallengeInput, cognito.RespondToAuthChallengeOutput]
	ConfirmDevice                    call[cognito.ConfirmDeviceInput, cognito.ConfirmDeviceOutput]
	GetTokensFromRefreshToken        call[cognito.GetTokensFromRefreshTokenInput, cognito.GetTokensFromRefreshTokenOutput]
	SignUp                           call[cognito.SignUpInput, cognito.SignUpOutput]
	RevokeToken                      call[cognito.RevokeTokenInput, cognito.RevokeTokenOutput]
	GlobalSignOut                    call[cognito.GlobalSignOutInput, cognito.GlobalSignOutOutput]
	GetUser                          call[cognito.GetUserInput, cognito.GetUserOutput]
	UpdateUserAttributes             call[cognito.UpdateUserAttributesInput, cognito.UpdateUserAttributesOutput]
	DeleteUserAttributes             call[cognito.DeleteUserAttributesInput, cognito.DeleteUserAttributesOutput]
	GetUserAttributeVerificationCode call[cognito.GetUserAttributeVerificationCodeInput, cognito.GetUserAttributeVerificationCodeOutput]
	VerifyUserAttribute              call[cognito.VerifyUserAttributeInput, cognito.VerifyUserAttributeOutput]
}

func apiOf(c *cognito.Client) api {
	return api{
		InitiateAuth: c.InitiateAuth, RespondToAuthChallenge: c.RespondToAuthChallenge, GetTokensFromRefreshToken: c.GetTokensFromRefreshToken,
		ConfirmDevice: c.ConfirmDevice, SignUp: c.SignUp, RevokeToken: c.RevokeToken, GlobalSignOut: c.GlobalSignOut, GetUser: c.GetUser,
		UpdateUserAttributes: c.UpdateUserAttributes, DeleteUserAttributes: c.DeleteUserAttributes,
		GetUserAttributeVerificationCode: c.GetUserAttributeVerificationCode, VerifyUserAttribute: c.VerifyUserAttribute,
	}
}
