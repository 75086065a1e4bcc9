package userpool

import "strings"

// refreshRefusals are the messages by which Cognito says that a refresh token is worth nothing any more. It has one exception for
// all of them, and for refusals that have other causes, so that clients can only go by the text
// (https://github.com/aws-amplify/amplify-android/pull/3390 lists them). Spelling and capitals have changed over the years.
var refreshRefusals = []string{
	"token has expired",
	"token has been revoked",
	"user is disabled",
	"user does not exist",
	"user has been deleted",
	"user is not confirmed",
	"password reset required",
}

// Hints for refusals that need not end a session.
const (
	hintInvalidRefresh = "the refresh token is of another app client, or the pool tracks devices and this one was not confirmed or is forgotten"
	hintUnknownRefusal = "the message is not one that is known to end sessions; look the request up in CloudTrail"
)

// refreshRefusal sorts what GetTokensFromRefreshToken is refused with. The kind is nil for what is sorted as for every operation.
// Only what is known to be the end of a token or its user is [ErrNotAuthorized], since a session ends by it.
func refreshRefusal(code, message string) (hint string, kind error) {
	switch code {
	case "UserNotFoundException", "UserNotConfirmedException", "PasswordResetRequiredException", "RefreshTokenReuseException":
		return "", ErrNotAuthorized
	case "UserLambdaValidationException": // the trigger PreTokenGeneration failed
		return "", ErrUnavailable
	case "NotAuthorizedException", "UnauthorizedException", "CodeMismatchException", "ExpiredCodeException":
	default:
		return "", nil
	}
	message = strings.ToLower(message)
	for _, known := range refreshRefusals {
		if strings.Contains(message, known) {
			return "", ErrNotAuthorized
		}
	}
	if strings.Contains(message, "invalid refresh token") {
		return hintInvalidRefresh, ErrDoubtful
	}
	return hintUnknownRefusal, ErrDoubtful
}
