package userpool

import (
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

const (
	maxAttempts    = 3
	maxBackoff     = time.Second
	attemptTimeout = 20 * time.Second
	connectTimeout = 5 * time.Second
	maxAnswer      = 1 << 20
)

// throttleCodes are the answers that say: refused before any trigger ran, ask again. LimitExceededException is not one of
// them: it counts tries of a user and asking again makes it worse.
var throttleCodes = map[string]struct{}{
	"TooManyRequestsException": {},
	"ThrottlingException":      {},
	"Throttling":               {},
	"RequestLimitExceeded":     {},
}

// onlyThrottling is a retryer that repeats nothing but throttled requests. The SDK's default also repeats after status
// 500 and a connection reset; a repeated RespondToAuthChallenge would then burn the Session that the first one used.
func onlyThrottling(backoff retry.BackoffDelayer) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.Backoff = backoff
		o.Retryables = []retry.IsErrorRetryable{
			retry.NoRetryCanceledError{},
			retry.RetryableErrorCode{Codes: throttleCodes},
		}
		o.Throttles = []retry.IsErrorThrottle{retry.ThrottleErrorCode{Codes: throttleCodes}}
	})
}

// boundedClient copies a client, or makes one, that follows no redirect and reads no endless answer.
func boundedClient(given *http.Client) *http.Client {
	client := &http.Client{Timeout: attemptTimeout}
	if given != nil {
		*client = *given
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	transport := client.Transport
	if transport == nil {
		transport = defaultTransport()
	}
	client.Transport = boundedTransport{transport}
	return client
}

func defaultTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   connectTimeout,
		ResponseHeaderTimeout: attemptTimeout,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   32,
	}
}

// boundedTransport fails an answer that is longer than maxAnswer.
type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{body: resp.Body, left: maxAnswer}
	return resp, nil
}

var errAnswerTooLong = errors.New("answer of the user pool is longer than 1 MiB")

type boundedBody struct {
	body io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// The answer may end exactly at the limit: only a further byte is too many.
		var one [1]byte
		n, err := b.body.Read(one[:])
		if n > 0 {
			return 0, errAnswerTooLong
		}
		return 0, err
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.body.Read(p)
	b.left -= int64(n)
	return n, err
}

func (b *boundedBody) Close() error { return b.body.Close() }
