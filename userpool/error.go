package userpool

import (
	"errors"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// Kinds of failure. Every error of a [Pool]'s calls matches exactly one of them by errors.Is.
var (
	// ErrNotAuthorized: the pool refused the answer, the token or the user. Unknown users are not told apart.
	ErrNotAuthorized = errors.New("not authorized")

	// ErrDoubtful: the pool refused a refresh token, for a reason that this package does not know or that may lie with the
	// configuration. The token may be good.
	ErrDoubtful = errors.New("refresh refused for a reason that is not known")

	// ErrSessionExpired: the flow's Session is over or was used. Start afresh.
	ErrSessionExpired = errors.New("session of the sign-in flow expired")

	// ErrUserExists: a user with this name or alias exists.
	ErrUserExists = errors.New("user exists")

	// ErrSignUpRefused: the pool, its policy or its PreSignUp trigger does not let this user sign up.
	ErrSignUpRefused = errors.New("sign-up refused")

	// ErrAttributeInvalid: the pool does not take the value of an attribute.
	ErrAttributeInvalid = errors.New("attribute refused")

	// ErrCodeWrong: this is not the code that was sent.
	ErrCodeWrong = errors.New("wrong verification code")

	// ErrCodeExpired: the code is over or was used, or the value has changed since. Send another one.
	ErrCodeExpired = errors.New("verification code expired")

	// ErrThrottled: too many requests, or too many tries for one user. Wait.
	ErrThrottled = errors.New("too many requests")

	// ErrUnavailable: the pool could not be reached, or it or one of its triggers failed.
	ErrUnavailable = errors.New("user pool unavailable")

	// ErrNotConfigured: pool and app client are not set up for this operation; only an operator can mend it.
	ErrNotConfigured = errors.New("user pool not configured for this operation")
)

// Error is a failed call. Its text is safe to log: it has no message of the service, which may quote what the user sent.
// Unwrap leads to the kind and to the SDK's error.
type Error struct {
	Operation string // the API operation, such as "InitiateAuth"
	Kind      error  // one of the Err values of this package
	Code      string // the service's error code, empty when there was no answer
	RequestID string // the service's request id, empty when there was no answer
	Hint      string // for ErrNotConfigured and ErrDoubtful: what to mend, or where to look; else empty
	cause     error
}

// Error names the operation, the kind, and the service's code and request id.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Operation + ": " + e.Kind.Error())
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	if e.Code != "" {
		b.WriteString(": " + e.Code)
	}
	if e.RequestID != "" {
		b.WriteString(", request " + e.RequestID)
	}
	return b.String()
}

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.cause} }

const (
	operationSignUp           = "SignUp"
	operationInitiate         = "InitiateAuth"
	operationRespond          = "RespondToAuthChallenge"
	operationRefresh          = "GetTokensFromRefreshToken"
	operationConfirmDevice    = "ConfirmDevice"
	operationRevoke           = "RevokeToken"
	operationGlobalSignOut    = "GlobalSignOut"
	operationUser             = "GetUser"
	operationUpdateAttributes = "UpdateUserAttributes"
	operationDeleteAttributes = "DeleteUserAttributes"
	operationAttributeCode    = "GetUserAttributeVerificationCode"
	operationVerifyAttribute  = "VerifyUserAttribute"
)

// failed sorts an error of the SDK.
func failed(operation string, err error) error {
	e := &Error{Operation: operation, Kind: ErrUnavailable, cause: err}
	var response *awshttp.ResponseError
	status := 0
	if errors.As(err, &response) {
		e.RequestID = response.ServiceRequestID()
		status = response.HTTPStatusCode()
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Code = api.ErrorCode()
		e.Hint, e.Kind = kindOf(operation, api.ErrorCode(), api.ErrorMessage(), status)
	}
	return e
}

// unexpected is an answer that the API permits and this product cannot use.
func unexpected(operation string, err error) error {
	return &Error{Operation: operation, Kind: ErrNotConfigured, Hint: err.Error(), cause: err}
}

func kindOf(operation, code, message string, status int) (hint string, kind error) {
	if hint := misconfiguration(code, message); hint != "" {
		return hint, ErrNotConfigured
	}
	if kind := attributeKind(operation, code); kind != nil {
		return "", kind
	}
	if operation == operationRefresh {
		if hint, kind := refreshRefusal(code, message); kind != nil {
			return hint, kind
		}
	}
	switch code {
	case "NotAuthorizedException", "CodeMismatchException", "ExpiredCodeException":
		// Clients know an expired Session by this text; there is no code of its own.
		if strings.HasPrefix(message, "Invalid session for the user") {
			return "", ErrSessionExpired
		}
		return "", refusal(operation)
	case "UsernameExistsException", "AliasExistsException":
		return "", ErrUserExists
	case "UserNotFoundException", "UserNotConfirmedException", "PasswordResetRequiredException",
		"RefreshTokenReuseException", "UnauthorizedException":
		return "", refusal(operation)
	case "UserLambdaValidationException":
		return "", refusal(operation)
	case "InvalidParameterException":
		// What a browser sent ends up in these three operations; everything else was chosen by the operator.
		if operation == operationSignUp || operation == operationRespond || operation == operationInitiate {
			return "", refusal(operation)
		}
		return "the pool does not accept the parameters of this operation", ErrNotConfigured
	case "LimitExceededException", "TooManyFailedAttemptsException":
		return "", ErrThrottled
	}
	if _, throttled := throttleCodes[code]; throttled || status == http.StatusTooManyRequests {
		return "", ErrThrottled
	}
	return "", ErrUnavailable
}

// attributeKind sorts what only the operations on attributes fail with.
func attributeKind(operation, code string) error {
	switch {
	case operation == operationUpdateAttributes && code == "InvalidParameterException":
		return ErrAttributeInvalid
	case operation != operationVerifyAttribute:
		return nil
	case code == "CodeMismatchException", code == "InvalidParameterException":
		return ErrCodeWrong
	case code == "ExpiredCodeException":
		return ErrCodeExpired
	}
	return nil
}

func refusal(operation string) error {
	if operation == operationSignUp {
		return ErrSignUpRefused
	}
	return ErrNotAuthorized
}

// misconfigurations are Cognito's answers to a pool or an app client that is set up otherwise. An empty text matches every
// message of the code.
var misconfigurations = []struct{ code, text, hint string }{
	{"ResourceNotFoundException", "", "no such user pool or app client in this region"},
	{"InvalidUserPoolConfigurationException", "", "the user pool's configuration is invalid"},
	{"InvalidLambdaResponseException", "", "a trigger of the pool answered something Cognito does not understand"},
	{"InvalidPasswordException", "", "the password policy refuses a random password of 100 characters"},
	{"UnsupportedOperationException", "", "the app client does not allow this operation: enable token revocation"},
	{"UnsupportedTokenTypeException", "", "the app client does not revoke tokens of this type"},
	{"FeatureUnavailableInTierException", "", "the pool's feature plan lacks this operation"},
	{"InvalidSmsRoleAccessPolicyException", "", "the user pool's role may not send SMS"},
	{"InvalidSmsRoleTrustRelationshipException", "", "the user pool's SMS role does not trust Cognito"},
	{"NotAuthorizedException", "unauthorized attribute", "let the app client read and write the attribute phone_number"},
	{"NotAuthorizedException", "secret hash", "the client secret is wrong"},
	{"NotAuthorizedException", "SECRET_HASH was not received", "the app client has a secret: configure client_secret"},
	{"NotAuthorizedException", "client secret", "the client secret is wrong or missing"},
	{"InvalidParameterException", "SECRET_HASH", "the client secret does not fit the app client"},
	{"InvalidParameterException", "flow not enabled", "enable ALLOW_CUSTOM_AUTH for the app client"},
	{"InvalidParameterException", "Initiate Auth method not supported", "enable ALLOW_CUSTOM_AUTH for the app client"},
	{"InvalidParameterException", "lambda trigger is not configured", "attach the define, create and verify triggers to the pool"},
}

func misconfiguration(code, message string) (hint string) {
	for _, m := range misconfigurations {
		if code == m.code && strings.Contains(strings.ToLower(message), strings.ToLower(m.text)) {
			return m.hint
		}
	}
	return ""
}
