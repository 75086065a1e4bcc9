package userpool

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// fake answers like Cognito's endpoint and keeps what it was asked.
type fake struct {
	mu       sync.Mutex
	requests []request
	answers  []answer // used up one by one; the last one stays
}

type request struct {
	target        string
	authorization []string
	contentType   string
	body          map[string]any
}

type answer struct {
	status int
	body   string
}

func exception(status int, code, message string) answer {
	return answer{status, fmt.Sprintf(`{"__type":%q,"message":%q}`, code, message)}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	got := request{
		target:        r.Header.Get("X-Amz-Target"),
		authorization: r.Header.Values("Authorization"),
		contentType:   r.Header.Get("Content-Type"),
	}
	raw, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(raw, &got.body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.requests = append(f.requests, got)
	next := f.answers[0]
	if len(f.answers) > 1 {
		f.answers = f.answers[1:]
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", "11111111-2222-3333-4444-555555555555")
	w.WriteHeader(next.status)
	_, _ = io.WriteString(w, next.body)
}

// only returns the one request that came.
func (f *fake) only(t *testing.T) request {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.requests) != 1 {
		t.Fatalf("%d requests, want 1", len(f.requests))
	}
	return f.requests[0]
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.requests)
}

// serve starts a fake and a client of it that does not wait between attempts.
func serve(t *testing.T, secret string, answers ...answer) (*fake, *Client) {
	t.Helper()
	f := &fake{answers: answers}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	client, err := newClient(Config{
		UserPoolID:   "eu-west-1_Ab12Cd34E",
		ClientID:     "1example23456789",
		ClientSecret: secret,
		Endpoint:     server.URL,
		Rand:         zeroes{},
	}, retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil }))
	if err != nil {
		t.Fatal(err)
	}
	return f, client
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
