package userpool

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

var kinds = map[string]error{
	"ErrNotAuthorized": ErrNotAuthorized, "ErrDoubtful": ErrDoubtful, "ErrSessionExpired": ErrSessionExpired, "ErrUserExists": ErrUserExists,
	"ErrSignUpRefused": ErrSignUpRefused, "ErrThrottled": ErrThrottled, "ErrUnavailable": ErrUnavailable, "ErrNotConfigured": ErrNotConfigured,
	"ErrAttributeInvalid": ErrAttributeInvalid, "ErrCodeWrong": ErrCodeWrong, "ErrCodeExpired": ErrCodeExpired,
}

// kindName is the one kind an error matches.
func kindName(err error) string {
	var names []string
	for name, kind := range kinds {
		if errors.Is(err, kind) {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}

func operations(c *Client) map[string]func() error {
	ctx := context.Background()
	return map[string]func() error{
		operationSignUp:   func() error { return c.SignUp(ctx, SignUp{Username: "anna@example.com"}) },
		operationInitiate: func() error { _, err := c.Initiate(ctx, "anna@example.com"); return err },
		operationRespond: func() error {
			_, err := c.Respond(ctx, Response{Session: "s", Username: "anna@example.com", Answer: "x"})
			return err
		},
		operationRefresh:       func() error { _, err := c.Refresh(ctx, "refresh-token", ""); return err },
		operationConfirmDevice: func() error { return c.ConfirmDevice(ctx, "access-token", Device{Key: "k", GroupKey: "g"}) },
		operationRevoke:        func() error { return c.Revoke(ctx, "refresh-token") },
		operationGlobalSignOut: func() error { return c.GlobalSignOut(ctx, "access-token") },
		operationUser:          func() error { _, err := c.User(ctx, "access-token"); return err },
		operationUpdateAttributes: func() error {
			_, err := c.UpdateAttributes(ctx, "access-token", map[string]string{"phone_number": "+4915112345678"})
			return err
		},
		operationDeleteAttributes: func() error { return c.DeleteAttributes(ctx, "access-token", "phone_number") },
		operationAttributeCode:    func() error { return c.SendAttributeCode(ctx, "access-token", "phone_number") },
		operationVerifyAttribute:  func() error { return c.VerifyAttribute(ctx, "access-token", "phone_number", "123456") },
	}
}

func TestErrors(t *testing.T) {
	cases := []struct {
		operation, code, message, want string
		status                         int
	}{
		{operationRespond, "NotAuthorizedException", "Incorrect username or password.", "ErrNotAuthorized", 400},
		{operationRespond, "NotAuthorizedException", "Invalid session for the user, session is expired.", "ErrSessionExpired", 400},
		{operationRespond, "NotAuthorizedException", "Invalid session for the user, session can only be used once.", "ErrSessionExpired", 400},
		{operationRespond, "CodeMismatchException", "Invalid session for the user.", "ErrSessionExpired", 400},
		{operationRespond, "UserLambdaValidationException", "VerifyAuthChallengeResponse failed with error boom.", "ErrNotAuthorized", 400},
		{operationRespond, "InvalidParameterException", "1 validation error detected", "ErrNotAuthorized", 400},
		{operationInitiate, "UserNotFoundException", "User does not exist.", "ErrNotAuthorized", 400},
		{operationInitiate, "UserNotConfirmedException", "User is not confirmed.", "ErrNotAuthorized", 400},
		{operationInitiate, "PasswordResetRequiredException", "Password reset required for the user", "ErrNotAuthorized", 400},
		{operationInitiate, "NotAuthorizedException", "User is disabled.", "ErrNotAuthorized", 400},
		{operationInitiate, "ResourceNotFoundException", "User pool client 1 does not exist.", "ErrNotConfigured", 400},
		{operationInitiate, "NotAuthorizedException", "Unable to verify secret hash for client 1", "ErrNotConfigured", 400},
		{operationInitiate, "NotAuthorizedException", "Client 1 is configured with secret but SECRET_HASH was not received", "ErrNotConfigured", 400},
		{operationInitiate, "InvalidParameterException", "CUSTOM_AUTH flow not enabled for this client", "ErrNotConfigured", 400},
		{operationInitiate, "InvalidParameterException", "Custom auth lambda trigger is not configured for the user pool.", "ErrNotConfigured", 400},
		{operationInitiate, "InvalidLambdaResponseException", "Unrecognizable lambda output", "ErrNotConfigured", 400},
		{operationInitiate, "UnexpectedLambdaException", "DefineAuthChallenge invocation failed due to error", "ErrUnavailable", 400},
		{operationInitiate, "InternalErrorException", "", "ErrUnavailable", 500},
		{operationInitiate, "ForbiddenException", "Request not allowed due to WAF block.", "ErrUnavailable", 403},
		{operationInitiate, "TooManyRequestsException", "Rate exceeded", "ErrThrottled", 400},
		{operationInitiate, "ThrottlingException", "Rate exceeded", "ErrThrottled", 400},
		{operationInitiate, "SomethingNew", "", "ErrThrottled", 429},
		{operationSignUp, "UsernameExistsException", "An account with the given email already exists.", "ErrUserExists", 400},
		{operationSignUp, "AliasExistsException", "", "ErrUserExists", 400},
		{operationSignUp, "UserLambdaValidationException", "PreSignUp failed with error domain not allowed.", "ErrSignUpRefused", 400},
		{operationSignUp, "NotAuthorizedException", "SignUp is not permitted for this user pool", "ErrSignUpRefused", 400},
		{operationSignUp, "InvalidParameterException", "Invalid email address format.", "ErrSignUpRefused", 400},
		{operationSignUp, "InvalidPasswordException", "Password did not conform with policy", "ErrNotConfigured", 400},
		{operationSignUp, "CodeDeliveryFailureException", "", "ErrUnavailable", 400},
		{operationSignUp, "LimitExceededException", "Attempt limit exceeded, please try after some time.", "ErrThrottled", 400},
		{operationRefresh, "NotAuthorizedException", "Refresh Token has been revoked", "ErrNotAuthorized", 400},
		{operationRefresh, "NotAuthorizedException", "Refresh Token has expired", "ErrNotAuthorized", 400},
		{operationRefresh, "RefreshTokenReuseException", "Refresh token already used", "ErrNotAuthorized", 400},
		{operationRefresh, "UserNotFoundException", "User does not exist.", "ErrNotAuthorized", 400},
		{operationRefresh, "NotAuthorizedException", "User is disabled.", "ErrNotAuthorized", 400},
		{operationRefresh, "NotAuthorizedException", "User does not exist.", "ErrNotAuthorized", 400},
		{operationRefresh, "NotAuthorizedException", "The user has been deleted", "ErrNotAuthorized", 400},
		{operationRefresh, "NotAuthorizedException", "refresh token has expired.", "ErrNotAuthorized", 400},
		{operationRefresh, "NotAuthorizedException", "Invalid Refresh Token.", "ErrDoubtful", 400},
		{operationRefresh, "NotAuthorizedException", "Invalid Refresh Token", "ErrDoubtful", 400},
		{operationRefresh, "NotAuthorizedException", "Something Cognito never said before", "ErrDoubtful", 400},
		{operationRefresh, "NotAuthorizedException", "", "ErrDoubtful", 400},
		{operationRefresh, "NotAuthorizedException", "Unable to verify secret hash for client 1", "ErrNotConfigured", 400},
		{operationRefresh, "UnauthorizedException", "", "ErrDoubtful", 401},
		{operationRefresh, "UserNotConfirmedException", "User is not confirmed.", "ErrNotAuthorized", 400},
		{operationRefresh, "PasswordResetRequiredException", "Password reset required for the user", "ErrNotAuthorized", 400},
		{operationRefresh, "UnexpectedLambdaException", "PreTokenGeneration invocation failed", "ErrUnavailable", 400},
		{operationRefresh, "ForbiddenException", "Request not allowed due to WAF block.", "ErrUnavailable", 403},
		{operationRefresh, "AccessDeniedException", "", "ErrUnavailable", 403},
		{operationRefresh, "TooManyRequestsException", "Rate exceeded", "ErrThrottled", 400},
		{operationRefresh, "LimitExceededException", "", "ErrThrottled", 400},
		{operationRefresh, "ResourceNotFoundException", "User pool client 1 does not exist.", "ErrNotConfigured", 400},
		{operationConfirmDevice, "NotAuthorizedException", "Access Token has been revoked", "ErrNotAuthorized", 400},
		{operationConfirmDevice, "InvalidParameterException", "Invalid device key given.", "ErrNotConfigured", 400},
		{operationRefresh, "UserLambdaValidationException", "PreTokenGeneration failed with error boom.", "ErrUnavailable", 400},
		{operationRefresh, "InvalidParameterException", "", "ErrNotConfigured", 400},
		{operationRevoke, "UnsupportedOperationException", "Revoke is not enabled", "ErrNotConfigured", 400},
		{operationRevoke, "UnsupportedTokenTypeException", "", "ErrNotConfigured", 400},
		{operationRevoke, "UnauthorizedException", "", "ErrNotAuthorized", 401},
		{operationUser, "NotAuthorizedException", "Access Token has been revoked", "ErrNotAuthorized", 400},
		{operationGlobalSignOut, "NotAuthorizedException", "Access Token has expired", "ErrNotAuthorized", 400},
		{operationUpdateAttributes, "InvalidParameterException", "Invalid phone number format.", "ErrAttributeInvalid", 400},
		{operationUpdateAttributes, "NotAuthorizedException", "A client attempted to write unauthorized attribute", "ErrNotConfigured", 400},
		{operationUpdateAttributes, "AliasExistsException", "An account with the given phone_number already exists.", "ErrUserExists", 400},
		{operationUpdateAttributes, "InvalidSmsRoleAccessPolicyException", "", "ErrNotConfigured", 400},
		{operationDeleteAttributes, "NotAuthorizedException", "Access Token has been revoked", "ErrNotAuthorized", 400},
		{operationAttributeCode, "LimitExceededException", "Attempt limit exceeded, please try after some time.", "ErrThrottled", 400},
		{operationAttributeCode, "CodeDeliveryFailureException", "", "ErrUnavailable", 400},
		{operationVerifyAttribute, "CodeMismatchException", "Invalid verification code provided, please try again.", "ErrCodeWrong", 400},
		{operationVerifyAttribute, "ExpiredCodeException", "Invalid code provided, please request a code again.", "ErrCodeExpired", 400},
		{operationVerifyAttribute, "LimitExceededException", "Attempt limit exceeded, please try after some time.", "ErrThrottled", 400},
		{operationVerifyAttribute, "NotAuthorizedException", "Access Token has expired", "ErrNotAuthorized", 400},
	}
	for _, tc := range cases {
		t.Run(tc.operation+" "+tc.code+" "+tc.message, func(t *testing.T) {
			_, c := serve(t, "", exception(tc.status, tc.code, tc.message))
			err := operations(c)[tc.operation]()
			if got := kindName(err); got != tc.want {
				t.Errorf("%q is %s, want %s", err, got, tc.want)
			}
			var e *Error
			if !errors.As(err, &e) || e.Code != tc.code || e.Operation != tc.operation || !strings.HasPrefix(e.RequestID, "11111111-") {
				t.Fatalf("error %#v lacks operation, code or request id", err)
			}
			for _, secret := range []string{"anna@example.com", "refresh-token", "access-token"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q shows %s", err, secret)
				}
			}
			if len(tc.message) > 0 && strings.Contains(err.Error(), tc.message) {
				t.Errorf("%q repeats the service's message", err)
			}
		})
	}
}

func TestErrorsWrapTheSDKs(t *testing.T) {
	_, c := serve(t, "", exception(400, "NotAuthorizedException", "Incorrect username or password."))
	_, err := c.Initiate(context.Background(), "anna")
	var sdk *types.NotAuthorizedException
	if !errors.As(err, &sdk) {
		t.Errorf("%v does not wrap the SDK's NotAuthorizedException", err)
	}
}

// Every operation: the pool is gone, the caller left, or what answers is not a pool.
func TestUnreachable(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c, err := New(Config{UserPoolID: "eu-west-1_Ab12Cd34E", ClientID: "1", Endpoint: gone.URL})
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range operations(c) {
		if err := call(); kindName(err) != "ErrUnavailable" {
			t.Errorf("%s: %v", name, err)
		}
	}

	_, c = serve(t, "", answer{http.StatusOK, tokensAnswer})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Refresh(ctx, "r", ""); kindName(err) != "ErrUnavailable" || !errors.Is(err, context.Canceled) {
		t.Errorf("after cancellation: %v", err)
	}

	_, c = serve(t, "", answer{http.StatusBadGateway, "<html>bad gateway</html>"})
	if _, err := c.Refresh(context.Background(), "r", ""); kindName(err) != "ErrUnavailable" {
		t.Errorf("gateway: %v", err)
	}
}
