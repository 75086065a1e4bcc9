package caddyauth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

// hangingList is a session storage whose listings wait for the test.
type hangingList struct {
	*sessiontest.Storage
	asked, answer chan struct{}
}

func (h hangingList) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	h.asked <- struct{}{}
	<-h.answer
	return h.Storage.List(ctx, path, recursive)
}

// The deny list is out of date and the storage takes its time. The look at who may stay must not make everybody else wait.
func TestRequestsPassWhileStreamsAreLookedAt(t *testing.T) {
	g := newGuarded(t)
	who, _ := g.signIn("alice", appOrigin)
	enter := func() *stream {
		s := new(stream)
		g.rt.streams.enter(s, &who, httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, appOrigin+"/", nil))
		return s
	}
	watched := enter()
	hanging := hangingList{g.storage, make(chan struct{}), make(chan struct{})}
	g.rt.sessions.Storage = hanging
	g.clock.Advance(2 * time.Minute)
	swept, passed := make(chan struct{}), make(chan struct{})
	go func() {
		g.rt.streams.sweep(g.rt.sessions)
		close(swept)
	}()
	<-hanging.asked
	go func() {
		g.rt.streams.leave(enter(), who.ID)
		close(passed)
	}()
	select {
	case <-passed:
	case <-time.After(30 * time.Second):
		t.Error("a request waits for the storage")
	}
	close(hanging.answer)
	<-swept
	if watched.over.Load() {
		t.Error("a living session's stream was ended")
	}
	g.rt.streams.leave(watched, who.ID)
}

// Each guard that lets a request through would watch it: entered twice, the list of requests would run in a circle, and every look at it with it.
func TestRequestOfTwoGuardsIsWatchedOnce(t *testing.T) {
	g := newGuarded(t)
	_, cookie := g.signIn("alice", appOrigin)
	watched := 0
	count := func(s *stream) bool {
		if watched++; watched > 1 {
			s.next = nil // out of the circle
		}
		return false
	}
	g.upstream = func(http.ResponseWriter, *http.Request) { g.rt.streams.find(count) }
	if w := g.serve(script(appOrigin+"/", cookie), g.guard(Guard{}), g.guard(Guard{}), g.guard(Guard{})); w.Code != http.StatusOK || watched != 1 {
		t.Errorf("%d, watched %d times", w.Code, watched)
	}
	watched = 0
	if g.rt.streams.find(count); watched != 0 {
		t.Error("watched when it is over")
	}
}
