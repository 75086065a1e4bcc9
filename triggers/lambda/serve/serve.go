// Package serve runs a trigger as a Lambda: it reads events, answers them in time, keeps to itself what callers must not learn, and
// writes one line of log and metrics for each call.
package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"runtime"
	"time"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
	"github.com/caddy-cognito/passwordless/triggers/lambda/telemetry"
)

// CognitoLimit is how long Cognito waits for a trigger; then it calls again.
// https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pools-working-with-lambda-triggers.html
const CognitoLimit = 5 * time.Second

// margin is what is left of the time for the answer to travel.
const margin = 150 * time.Millisecond

// Texts that callers see of what is none of their business. Cognito puts "<Trigger> failed with error" in front of them.
const (
	textInternal = "sign-in is not available at the moment"
	textEvent    = "not an event of this trigger"
	textLate     = "sign-in took too long: try again"
)

// The type of a function error.
const (
	typeRefused  = "Refused"  // the caller can do something about it
	typeInternal = "Internal" // the operator can: the log says what
)

// Outcomes that say why there is no answer.
const (
	OutcomeRefused = "refused"
	OutcomeFailed  = "failed"
	OutcomeLate    = "late"
	OutcomePanic   = "panic"
)

// Trigger is one Lambda: E is its event, A its answer.
type Trigger[E, A any] struct {
	Name   string // in logs and metrics
	Handle func(ctx context.Context, event E) (A, error)
	// Method and Outcome describe a call for logs and metrics; neither may return what a caller wrote. Method may be nil.
	Method  func(event E) string
	Outcome func(event E, answer A) string
	// Limit ends a call that takes longer. 0: the Lambda's own timeout alone.
	Limit time.Duration
}

// Main is all that a Lambda's main function does. Build makes the trigger from the environment; what it cannot work with ends the process
// at start, with one line that names each variable and says what to mend.
func Main[E, A any](name string, build func(env *environment.Reader, logger *slog.Logger) (Trigger[E, A], error)) {
	env := environment.New(os.Getenv)
	level, ok := telemetry.Level(env.Text("LOG_LEVEL", ""))
	if !ok {
		env.Complain("LOG_LEVEL", "is none of DEBUG, INFO, WARN, ERROR, NONE")
	}
	namespace := env.Text("METRICS_NAMESPACE", "Passwordless")
	if namespace == "none" {
		namespace = ""
	}
	out := telemetry.New(os.Stdout, level, namespace, name)
	// The runtime's own lines go the same way, so that every line is JSON.
	log.SetFlags(0)
	log.SetOutput(lines{out.Logger})
	trigger, err := build(env, out.Logger)
	if err := errors.Join(env.Err(), err); err != nil {
		// Without regard to LOG_LEVEL: nobody would see why the function does not start.
		telemetry.New(os.Stderr, slog.LevelError, "", name).Error("cannot start", slog.String(telemetry.FieldTrigger, name), slog.Any("error", err))
		os.Exit(1)
	}
	trigger.Name = name
	awslambda.Start(Handler(trigger, out))
}

// Handler is the trigger in the form of the Lambda runtime.
func Handler[E, A any](t Trigger[E, A], out *telemetry.Log) awslambda.Handler {
	return handler[E, A]{t, out}
}

type handler[E, A any] struct {
	trigger Trigger[E, A]
	out     *telemetry.Log
}

// Invoke answers one event. Its errors are [messages.InvokeResponse_Error], whose text may reach whoever signs in.
func (h handler[E, A]) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	began := time.Now()
	call := telemetry.Invocation{}
	if c, ok := lambdacontext.FromContext(ctx); ok {
		call.RequestID = c.AwsRequestID
	}
	answer, err := h.answer(ctx, payload, &call)
	call.Duration, call.Err = time.Since(began), err
	h.out.Done(ctx, call)
	if err != nil {
		return nil, public(err)
	}
	return answer, nil
}

var (
	errEvent = errors.New("reading the event")
	errLate  = errors.New("the time for this call was over before it began")
)

// answer recovers: a process that dies with one event would take others' time for its restart.
func (h handler[E, A]) answer(ctx context.Context, payload []byte, call *telemetry.Invocation) (out []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			call.Outcome = OutcomePanic
			out, err = nil, fmt.Errorf("panic: %v at %s", v, callers())
		}
	}()
	ctx, cancel := h.inTime(ctx)
	defer cancel()
	var event E
	if err := json.Unmarshal(payload, &event); err != nil {
		call.Outcome = OutcomeFailed
		return nil, errEvent // the decoder's text quotes the event
	}
	if h.trigger.Method != nil {
		call.Method = h.trigger.Method(event)
	}
	if ctx.Err() != nil {
		call.Outcome = OutcomeLate
		return nil, errLate
	}
	answer, err := h.trigger.Handle(ctx, event)
	if err != nil {
		call.Outcome = outcomeOf(ctx, err)
		return nil, err
	}
	call.Outcome = h.trigger.Outcome(event, answer)
	out, err = json.Marshal(answer)
	if err != nil {
		call.Outcome = OutcomeFailed
		return nil, fmt.Errorf("writing the answer: %w", err)
	}
	return out, nil
}

// inTime leaves time to say that there was too little of it.
func (h handler[E, A]) inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if limit := time.Now().Add(h.trigger.Limit); h.trigger.Limit > 0 && (!ok || limit.Before(end)) {
		end, ok = limit, true
	}
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, end.Add(-margin))
}

func outcomeOf(ctx context.Context, err error) string {
	var failure *challenge.Failure
	switch {
	case ctx.Err() != nil:
		return OutcomeLate
	case errors.As(err, &failure) && failure.Cause == nil:
		return OutcomeRefused
	default:
		return OutcomeFailed
	}
}

// public is what the caller may see of an error.
func public(err error) error {
	var failure *challenge.Failure
	switch {
	case errors.As(err, &failure) && failure.Cause == nil:
		return messages.InvokeResponse_Error{Message: failure.Text, Type: typeRefused}
	case errors.Is(err, errLate), errors.Is(err, context.DeadlineExceeded):
		return messages.InvokeResponse_Error{Message: textLate, Type: typeInternal}
	case failure != nil:
		return messages.InvokeResponse_Error{Message: failure.Text, Type: typeInternal}
	case errors.Is(err, errEvent):
		return messages.InvokeResponse_Error{Message: textEvent, Type: typeInternal}
	default:
		return messages.InvokeResponse_Error{Message: textInternal, Type: typeInternal}
	}
}

// callers are the functions below a panic, innermost first.
func callers() string {
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs)])
	text := ""
	for {
		f, more := frames.Next()
		text += fmt.Sprintf(" %s:%d", f.Function, f.Line)
		if !more {
			return text
		}
	}
}

// lines turns what the Lambda runtime prints into log lines: function errors, of which [telemetry.Log.Done] has told already, and why it
// ends the process.
type lines struct{ logger *slog.Logger }

var _ io.Writer = lines{}

func (l lines) Write(p []byte) (int, error) {
	level := slog.LevelError
	if json.Valid(p) {
		level = slog.LevelDebug
	}
	l.logger.Log(context.Background(), level, "Lambda runtime", slog.String("text", string(p)))
	return len(p), nil
}
