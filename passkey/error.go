package passkey

import "errors"

// What stores answer. They are compared with errors.Is.
var (
	ErrChallengeNotFound = errors.New("challenge not found")
	ErrCredentialExists  = errors.New("credential already registered")
	ErrUnknownCredential = errors.New("unknown credential")
	ErrCounter           = errors.New("signature counter did not increase")
)

// Codes of [Error].
const (
	CodeMissingRPID       = "missing_rp_id"
	CodeUnrecognizedRPID  = "unrecognized_rp_id"
	CodeChallengeNotFound = "challenge_not_found"
	CodeInvalidOrigin     = "invalid_origin"
	CodeUserNotVerified   = "user_not_verified"
	CodeAlreadyRegistered = "already_registered"
	CodeUnknownCredential = "unknown_credential"
	CodeInvalid           = "invalid"

	// CodeBackupEligibilityChanged says that an assertion is right in all else, but the provider has begun or stopped to sync
	// the passkey (WebAuthn Level 3, section 7.2, step 21). Its owner has to remove the passkey and add it again.
	CodeBackupEligibilityChanged = "backup_eligibility_changed"
)

// Error is an error that the caller of the FIDO2 API can mend and may see: Message is the text that existing browser clients
// know. Every other error of this package is internal. The cause, which only a log should see, is wrapped.
type Error struct {
	Code    string
	Message string
	cause   error
}

// Error is the message and, for the log, what led to it.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.cause.Error()
}

// Unwrap gives the cause, such as [ErrCounter].
func (e *Error) Unwrap() error { return e.cause }

// Is matches errors of the same code, so that a caller can write errors.Is(err, &Error{Code: CodeInvalid}).
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && (t.Message == "" || t.Message == e.Message)
}

func invalid(cause error) *Error {
	return &Error{Code: CodeInvalid, Message: "Invalid body", cause: cause}
}
