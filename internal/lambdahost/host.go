// Package lambdahost is a small host of the Lambda Runtime API: it starts a function's program as Lambda does, hands it events one after
// the other, and returns answers and function errors. Tests and measurements run what is shipped under it.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
package lambdahost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const prefix = "/2018-06-01/runtime/"

// maxBody is the most that Lambda takes as an answer, in bytes.
const maxBody = 6 << 20

// ErrExited says that the program ended instead of answering.
var ErrExited = errors.New("the function's program ended")

// FunctionError is what a program reports instead of an answer; Cognito shows its Message to the caller.
type FunctionError struct {
	Message string `json:"errorMessage"`
	Type    string `json:"errorType"`
	Raw     []byte `json:"-"`
}

func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

// Event is one call.
type Event struct {
	RequestID string
	Payload   []byte
	Deadline  time.Time // zero: in an hour
}

type result struct {
	payload []byte
	err     error
}

type call struct {
	Event
	done chan result
}

// server answers one program, which asks for one event at a time.
type server struct {
	http    *http.Server
	address string
	events  chan call
	ready   chan struct{} // closed when the first event was asked for
	current chan call     // holds the call that is being answered
	ended   chan struct{}
}

func listen() (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{
		address: listener.Addr().String(), events: make(chan call), ready: make(chan struct{}),
		current: make(chan call, 1), ended: make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+prefix+"invocation/next", s.next)
	mux.HandleFunc("POST "+prefix+"invocation/{id}/response", s.response)
	mux.HandleFunc("POST "+prefix+"invocation/{id}/error", s.response)
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.http.Serve(listener) }()
	return s, nil
}

func (s *server) next(w http.ResponseWriter, r *http.Request) {
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
	select {
	case c := <-s.events:
		s.current <- c
		deadline := c.Deadline
		if deadline.IsZero() {
			deadline = time.Now().Add(time.Hour)
		}
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", c.RequestID)
		w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline.UnixMilli(), 10))
		w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:test")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(c.Payload)
	case <-r.Context().Done():
	}
}

func (s *server) response(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	var c call
	select {
	case c = <-s.current:
	default:
		http.Error(w, "no call is open", http.StatusBadRequest)
		return
	}
	if c.RequestID != r.PathValue("id") {
		c.done <- result{err: fmt.Errorf("the program answered call %q, not %q", r.PathValue("id"), c.RequestID)}
		http.Error(w, "another call is open", http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	if !strings.HasSuffix(r.URL.Path, "/error") {
		c.done <- result{payload: body}
		return
	}
	failure := &FunctionError{Raw: body}
	if err := json.Unmarshal(body, failure); err != nil {
		c.done <- result{err: fmt.Errorf("the program reported an error that is no function error: %w", err)}
		return
	}
	c.done <- result{err: failure}
}

func (s *server) invoke(ctx context.Context, e Event) ([]byte, error) {
	c := call{Event: e, done: make(chan result, 1)}
	select {
	case s.events <- c:
	case <-s.ended:
		return nil, ErrExited
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case r := <-c.done:
		return r.payload, r.err
	case <-s.ended:
		return nil, ErrExited
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
