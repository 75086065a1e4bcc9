package account

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Deliver makes one call that hands a message over. Where an error leaves open whether the message was accepted (the request went out and
// no answer came, or one of the server's own failures), it returns only once the context is over, so that nobody sends a second message
// at once. An error before that means: not accepted.
func Deliver(ctx context.Context, call func(context.Context) error) error {
	var wrote atomic.Bool
	err := call(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }}))
	if err == nil || !wrote.Load() || refused(err) {
		return err
	}
	if _, limited := ctx.Deadline(); limited {
		<-ctx.Done()
	}
	return err
}

func refused(err error) bool {
	var answer *smithyhttp.ResponseError
	return errors.As(err, &answer) && answer.HTTPStatusCode() >= http.StatusBadRequest && answer.HTTPStatusCode() < http.StatusInternalServerError
}
