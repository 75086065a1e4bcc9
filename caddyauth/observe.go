package caddyauth

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-cognito/passwordless/internal/token"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/userpool"
)

// The backends that are measured and traced.
const (
	backendPool        = "user_pool"
	backendCredentials = "credential_store"
	backendSessions    = "session_store"
	backendKeys        = "signing_keys"
)

// callTimeout bounds one call: the SDK's client waits for DynamoDB without end. The session store bounds its calls itself, by less.
const callTimeout = 20 * time.Second

// probe measures, bounds and traces the calls to one backend.
type probe struct {
	metrics *metrics
	backend string
}

// call begins an operation; the caller ends it with its error. Spans go where the request's own span goes, which is nowhere unless
// Caddy's `tracing` directive handles the request.
func (o probe) call(ctx context.Context, operation string) (context.Context, func(error)) {
	ctx, span := startSpan(ctx, "passwordless."+o.backend+" "+operation, trace.SpanKindClient)
	cancel := func() {}
	if o.backend != backendSessions {
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
	}
	began := time.Now()
	return ctx, func(err error) {
		cancel()
		outcome := outcomeOf(err)
		o.metrics.called(o.backend, operation, outcome, time.Since(began))
		span.SetAttributes(attribute.String("passwordless.outcome", outcome))
		if outcome == "throttled" || outcome == "error" {
			span.SetStatus(codes.Error, outcome) // not the error's text, which is for the log
		}
		span.End()
	}
}

// outcomeOf tells an answer that is a refusal from a backend that cannot be asked.
func outcomeOf(err error) string {
	var answered interface{ ErrorCode() string } // by DynamoDB
	throttled := errors.As(err, &answered)
	if throttled {
		_, throttled = retry.DefaultThrottleErrorCodes[answered.ErrorCode()]
	}
	switch {
	case err == nil:
		return "success"
	case throttled, errors.Is(err, userpool.ErrThrottled):
		return "throttled"
	case errors.Is(err, userpool.ErrNotAuthorized), errors.Is(err, userpool.ErrDoubtful), errors.Is(err, userpool.ErrSessionExpired), errors.Is(err, userpool.ErrUserExists),
		errors.Is(err, userpool.ErrSignUpRefused), errors.Is(err, userpool.ErrAttributeInvalid), errors.Is(err, userpool.ErrCodeWrong),
		errors.Is(err, userpool.ErrCodeExpired),
		errors.Is(err, passkey.ErrUnknownCredential), errors.Is(err, passkey.ErrChallengeNotFound), errors.Is(err, passkey.ErrCredentialExists),
		errors.Is(err, passkey.ErrCounter), errors.Is(err, fs.ErrNotExist), errors.Is(err, errOtherTokens),
		errors.Is(err, token.ErrInvalid) && !errors.Is(err, token.ErrUnknownKey) && !errors.Is(err, token.ErrNotYet):
		return "refused"
	}
	return "error"
}

// startSpan is a span below the request's.
func startSpan(ctx context.Context, name string, kind trace.SpanKind) (context.Context, trace.Span) {
	return trace.SpanFromContext(ctx).TracerProvider().Tracer("github.com/caddy-cognito/passwordless").
		Start(ctx, name, trace.WithSpanKind(kind))
}
