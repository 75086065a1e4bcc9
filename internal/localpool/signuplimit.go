package localpool

import (
	"context"
	"time"
)

type signUpLimit struct{}

// LimitSignUps returns a context for requests of strangers. Each SignUp in it asks wait, after the checks that cost nothing and before
// anything depends on whether there is an account, how long it has to wait; zero means go on.
func LimitSignUps(ctx context.Context, wait func() time.Duration) context.Context {
	return context.WithValue(ctx, signUpLimit{}, wait)
}

// limitSignUp refuses a SignUp that has to wait.
func limitSignUp(ctx context.Context) error {
	wait, limited := ctx.Value(signUpLimit{}).(func() time.Duration)
	if !limited {
		return nil
	}
	if after := wait(); after > 0 {
		return &failure{Type: typeTooManyRequests, Message: "Rate exceeded", retryAfter: after}
	}
	return nil
}
