package localpool

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Trigger is one Lambda trigger: it gets Cognito's event as JSON and returns the event with its response filled in. An error that
// is a [*FunctionError] is the function's own answer, and its text reaches the caller; any other error means that the function could
// not be reached.
type Trigger func(ctx context.Context, event []byte) ([]byte, error)

// FunctionError is what a trigger threw.
type FunctionError struct {
	Text string
}

func (e *FunctionError) Error() string { return e.Text }

// Triggers of a pool. A nil one is that of this module, in process.
type Triggers struct {
	PreSignUp           Trigger
	DefineAuthChallenge Trigger
	CreateAuthChallenge Trigger
	VerifyAuthChallenge Trigger
	PreTokenGeneration  Trigger // its event is of Config.PreTokenVersion
}

// How Cognito calls a trigger: it waits 5 seconds and calls up to three times with the same event.
// https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-working-with-lambda-triggers.html#important-lambda-considerations
const (
	triggerTimeout = 5 * time.Second
	triggerCalls   = 3
)

// event is what every trigger gets.
type event struct {
	Version       string        `json:"version"`
	Region        string        `json:"region"`
	UserPoolID    string        `json:"userPoolId"`
	UserName      string        `json:"userName"`
	CallerContext callerContext `json:"callerContext"`
	TriggerSource string        `json:"triggerSource"`
	Request       any           `json:"request"`
	Response      any           `json:"response"`
}

type callerContext struct {
	AWSSDKVersion string `json:"awsSdkVersion"`
	ClientID      string `json:"clientId"`
}

// The requests and responses of each trigger. Absent client metadata is left out, as Cognito does.

type preSignUpRequest struct {
	UserAttributes map[string]string `json:"userAttributes"`
	ValidationData map[string]string `json:"validationData"`
	ClientMetadata map[string]string `json:"clientMetadata,omitempty"`
}

type preSignUpResponse struct {
	AutoConfirmUser bool `json:"autoConfirmUser"`
	AutoVerifyEmail bool `json:"autoVerifyEmail"`
	AutoVerifyPhone bool `json:"autoVerifyPhone"`
}

type challengeRequest struct {
	UserAttributes map[string]string `json:"userAttributes"`
	ChallengeName  string            `json:"challengeName,omitempty"` // CreateAuthChallenge only
	Session        []round           `json:"session"`
	ClientMetadata map[string]string `json:"clientMetadata,omitempty"`
	UserNotFound   bool              `json:"userNotFound"`
}

type defineResponse struct {
	ChallengeName      string `json:"challengeName"`
	IssueTokens        bool   `json:"issueTokens"`
	FailAuthentication bool   `json:"failAuthentication"`
}

type createResponse struct {
	PublicChallengeParameters  map[string]string `json:"publicChallengeParameters"`
	PrivateChallengeParameters map[string]string `json:"privateChallengeParameters"`
	ChallengeMetadata          string            `json:"challengeMetadata"`
}

type verifyRequest struct {
	UserAttributes             map[string]string `json:"userAttributes"`
	PrivateChallengeParameters map[string]string `json:"privateChallengeParameters"`
	ChallengeAnswer            string            `json:"challengeAnswer"`
	ClientMetadata             map[string]string `json:"clientMetadata,omitempty"`
	UserNotFound               bool              `json:"userNotFound"`
}

type verifyResponse struct {
	AnswerCorrect bool `json:"answerCorrect"`
}

// occasion is one call of a trigger.
type occasion struct {
	name     string // of the trigger, in Cognito's error texts
	trigger  Trigger
	source   string
	username string
	version  string // of the event; "": "1"
}

// invoke calls a trigger as Cognito does and returns its response.
func invoke[Response any](ctx context.Context, s *settings, o occasion, request any) (Response, error) {
	var none Response
	payload, err := json.Marshal(event{
		Version: cmp.Or(o.version, "1"), Region: s.Region, UserPoolID: s.UserPoolID, UserName: o.username, TriggerSource: o.source,
		CallerContext: callerContext{AWSSDKVersion: "aws-sdk-unknown-unknown", ClientID: s.ClientID},
		Request:       request, Response: unanswered(none),
	})
	if err != nil {
		return none, fmt.Errorf("encoding the %s event: %w", o.name, err)
	}
	answer, err := call(ctx, o.trigger, payload)
	var thrown *FunctionError
	switch {
	case errors.As(err, &thrown):
		return none, &failure{Type: typeUserLambda, Message: o.name + " failed with error " + thrown.Text + "."}
	case err != nil && ctx.Err() != nil:
		return none, ctx.Err()
	case err != nil:
		s.Logger.LogAttrs(ctx, slog.LevelError, "trigger failed", slog.String("trigger", o.name), slog.Any("error", err))
		return none, &failure{Type: typeUnexpectedLambda, Message: o.name + " invocation failed due to error " + reason(err) + "."}
	}
	var out struct {
		Response *Response `json:"response"`
	}
	if err := json.Unmarshal(answer, &out); err != nil || out.Response == nil {
		return none, &failure{Type: typeInvalidLambda, Message: "Unrecognizable lambda output from " + o.name + "."}
	}
	return *out.Response, nil
}

// unanswered is the response as Cognito sends it: null members, but for PreSignUp, whose members are false.
func unanswered(response any) any {
	switch response.(type) {
	case defineResponse:
		return map[string]any{"challengeName": nil, "issueTokens": nil, "failAuthentication": nil}
	case createResponse:
		return map[string]any{"publicChallengeParameters": nil, "privateChallengeParameters": nil, "challengeMetadata": nil}
	case verifyResponse:
		return map[string]any{"answerCorrect": nil}
	}
	return response
}

func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "Socket timeout while invoking Lambda function"
	}
	return "Lambda function could not be invoked"
}

// call makes up to three calls with the same bytes, 5 seconds each. A call that ran out of time may still be at work while
// the next begins, as in Lambda.
func call(ctx context.Context, t Trigger, payload []byte) ([]byte, error) {
	type outcome struct {
		answer []byte
		err    error
	}
	var last error
	for range triggerCalls {
		attempt, cancel := context.WithTimeout(ctx, triggerTimeout)
		done := make(chan outcome, 1)
		go func() {
			var o outcome
			defer func() {
				if r := recover(); r != nil {
					o = outcome{err: fmt.Errorf("the trigger panicked: %v", r)}
				}
				done <- o
			}()
			o.answer, o.err = t(attempt, append([]byte(nil), payload...))
		}()
		select {
		case o := <-done:
			last = o.err
			if o.err == nil {
				cancel()
				return o.answer, nil
			}
		case <-attempt.Done():
			last = attempt.Err()
		}
		cancel()
		var thrown *FunctionError
		if ctx.Err() != nil || errors.As(last, &thrown) {
			break
		}
	}
	return nil, last
}
