package localpool

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
)

// failure is an error of Cognito's form: its type and text are what the caller reads.
type failure struct {
	Type    string
	Message string
	status  int // 0: 400

	retryAfter time.Duration // 0: no such header
}

func (f *failure) Error() string { return f.Type + ": " + f.Message }

// Error types, as the AWS SDKs name them.
const (
	typeNotAuthorized     = "NotAuthorizedException"
	typeInvalidParameter  = "InvalidParameterException"
	typeResourceNotFound  = "ResourceNotFoundException"
	typeUserNotConfirmed  = "UserNotConfirmedException"
	typeUserNotFound      = "UserNotFoundException"
	typeUsernameExists    = "UsernameExistsException"
	typeUserLambda        = "UserLambdaValidationException"
	typeUnexpectedLambda  = "UnexpectedLambdaException"
	typeInvalidLambda     = "InvalidLambdaResponseException"
	typeInternal          = "InternalErrorException"
	typeTooManyRequests   = "TooManyRequestsException"
	typeUnknownOperation  = "UnknownOperationException"
	typeSerialization     = "SerializationException"
	typeRefreshTokenReuse = "RefreshTokenReuseException"
	typeUnsupportedTokens = "UnsupportedTokenTypeException"
	typeAliasExists       = "AliasExistsException"
	typeCodeMismatch      = "CodeMismatchException"
	typeExpiredCode       = "ExpiredCodeException"
	typeLimitExceeded     = "LimitExceededException"
	typeCodeDelivery      = "CodeDeliveryFailureException"
)

func notAuthorized(message string) *failure {
	return &failure{Type: typeNotAuthorized, Message: message}
}

func invalidParameter(message string) *failure {
	return &failure{Type: typeInvalidParameter, Message: message}
}

// Texts that clients compare.
var (
	errInvalidSession = notAuthorized("Invalid session for the user.")
	errSessionExpired = notAuthorized("Invalid session for the user, session is expired.")
	errDenied         = notAuthorized("Incorrect username or password.")
	errUserDisabled   = notAuthorized("User is disabled.")
	errNotConfirmed   = &failure{Type: typeUserNotConfirmed, Message: "User is not confirmed."}
)

func (f *failure) write(w http.ResponseWriter) {
	status := f.status
	if status == 0 {
		status = http.StatusBadRequest
	}
	body, err := json.Marshal(struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{f.Type, f.Message})
	if err != nil {
		panic("localpool: strings always marshal: " + err.Error())
	}
	w.Header().Set("X-Amzn-Errortype", f.Type+":")
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.retryAfter.Seconds()))))
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller has gone
}
