// Package define answers Cognito's DefineAuthChallenge trigger: it decides whether a custom-auth session goes on, gets tokens or
// fails. It is a pure function of the event.
package define

import (
	"context"

	"github.com/aws/aws-lambda-go/events"
	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// codeTries is how often a code, by SMS or beside a link, may be answered in one session.
const codeTries = 3

type event = events.CognitoEventUserPoolsDefineAuthChallenge

// Handle decides on one event. It never returns an error: what it does not understand fails the authentication.
func Handle(_ context.Context, e event) (event, error) {
	e.Response = decide(e)
	return e, nil
}

var (
	ask   = events.CognitoEventUserPoolsDefineAuthChallengeResponse{ChallengeName: challenge.CustomChallenge}
	issue = events.CognitoEventUserPoolsDefineAuthChallengeResponse{IssueTokens: true}
	deny  = events.CognitoEventUserPoolsDefineAuthChallengeResponse{FailAuthentication: true}
)

func decide(e event) events.CognitoEventUserPoolsDefineAuthChallengeResponse {
	session := e.Request.Session
	if len(session) == 0 {
		return ask
	}
	tries, codes := 0, 0
	for _, round := range session {
		if round == nil || round.ChallengeName != challenge.CustomChallenge {
			return deny
		}
		if _, ok := challenge.ParseAuthParametersMetadata(round.ChallengeMetadata); !ok {
			tries++
		}
		if round.ChallengeMetadata == challenge.MetadataMagicLinkCode {
			codes++
		}
	}
	passed := session[len(session)-1].ChallengeResult
	metadata := e.Request.ClientMetadata
	again := false
	switch challenge.SignInMethod(metadata[challenge.KeySignInMethod]) {
	case challenge.MagicLink:
		// A link can be answered once. A short code may be mistyped; its rounds count only among themselves, so that rounds of another
		// method give no further tries.
		again = metadata[challenge.KeyAlreadyHaveMagicLink] != "yes" && tries == codes && tries < codeTries
	case challenge.SMSStepUp:
		again = tries < codeTries
	case challenge.FIDO2:
	default:
		return deny
	}
	switch {
	case passed && e.Request.UserNotFound:
		// Verify never passes an answer for nobody; tokens must not hang on that alone.
		return deny
	case passed:
		return issue
	case again:
		return ask
	default:
		return deny
	}
}
