package caddyauth

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

// Whatever ends a session ends its WebSockets, and nobody else's. (A session that was ended on another node is known here after
// the next reading of the deny list, which is every 5 seconds.)
func TestWebSocketEndsWithItsSession(t *testing.T) {
	for name, end := range map[string]func(*streaming, session.Session) error{
		"signed out":            func(s *streaming, who session.Session) error { return s.rt.sessions.End(t.Context(), who) },
		"signed out everywhere": func(s *streaming, _ session.Session) error { return s.rt.sessions.EndAll(t.Context(), "alice") },
		"signed out from the list of sessions": func(s *streaming, who session.Session) error {
			return s.rt.sessions.EndByID(t.Context(), "alice", session.PublicID(who))
		},
		"signed out on another node": func(s *streaming, who session.Session) error {
			return errors.Join(s.node().End(t.Context(), who), s.rt.sessions.Poll(t.Context()))
		},
		"signed out everywhere on another node": func(s *streaming, _ session.Session) error {
			return errors.Join(s.node().EndAll(t.Context(), "alice"), s.rt.sessions.Poll(t.Context()))
		},
		"refused by the pool": func(s *streaming, who session.Session) error {
			s.clock.Advance(59 * time.Minute)
			s.pool.SignOut("alice")
			_, err := s.rt.sessions.Refresh(t.Context(), who) // in the background
			s.rt.sessions.Wait()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStreaming(t, false)
			who, cookie := s.signIn("alice", appOrigin)
			_, others := s.signIn("bob", appOrigin)
			conn, other := s.socket(t, cookie), s.socket(t, others)
			if err := end(s, who); err != nil {
				t.Fatal(err)
			}
			s.wantGone(t, "socket")
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("the client still reads")
			}
			s.echo(t, other)
		})
	}
}

// Nobody's requests may go on when time is over, or when nobody can tell who has signed out.
func TestWebSocketEndsWithTime(t *testing.T) {
	for name, pass := range map[string]func(*streaming){
		"idle": func(s *streaming) { s.clock.Advance(8 * time.Hour) },
		"lifetime over": func(s *streaming) {
			for range 6 { // somebody is there all the time
				s.clock.Advance(4 * time.Hour)
				for _, one := range s.rt.streams.find(anyStream) {
					s.rt.streams.touched(one.current().ID, s.clock.Now())
				}
			}
		},
		"deny list unreadable for a minute": func(s *streaming) {
			s.storage.Fail(func(string, string) error { return errors.New("i/o timeout") })
			s.clock.Advance(time.Minute + time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStreaming(t, false)
			_, cookie := s.signIn("alice", appOrigin)
			s.socket(t, cookie)
			pass(s)
			_ = s.rt.sessions.Poll(t.Context())
			s.wantGone(t, "socket")
		})
	}
}

// A person who works in one tab does not lose the socket of another as idle.
func TestSocketOfSomebodyWhoIsThere(t *testing.T) {
	s := newStreaming(t, false)
	who, cookie := s.signIn("alice", appOrigin)
	conn := s.socket(t, cookie)
	for range 3 {
		s.clock.Advance(4 * time.Hour)
		if w := s.serve(script(appOrigin+"/", s.cookie(who, appOrigin)), s.guard(Guard{})); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		fresh, err := s.rt.sessions.Refresh(t.Context(), who)
		if err != nil {
			t.Fatal(err)
		}
		who = fresh
		s.poll(t)
	}
	s.echo(t, conn)
	s.clock.Advance(8 * time.Hour)
	s.poll(t)
	s.wantGone(t, "socket")
}

// Event streams and downloads end too, over HTTP/1.1 and HTTP/2, even when nothing is being sent.
func TestStreamsEndAtSignOut(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		for what, accept := range map[string]string{"events": "text/event-stream", "download": "*/*"} {
			t.Run(what, func(t *testing.T) {
				s := newStreaming(t, http2)
				who, cookie := s.signIn("alice", appOrigin)
				body := s.get(t, "/"+what, accept, cookie)
				if _, err := io.ReadFull(body, make([]byte, 4)); err != nil {
					t.Fatal(err)
				}
				if err := s.rt.sessions.End(t.Context(), who); err != nil {
					t.Fatal(err)
				}
				s.wantGone(t, what)
				if n, err := io.Copy(io.Discard, body); err == nil {
					t.Errorf("%s looks complete after %d bytes", what, n)
				}
				s.wantNoneLeft(t)
			})
		}
	}
}

// An event stream that did not announce itself as one.
func TestSilentStreamEndsAtSignOut(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		s := newStreaming(t, http2)
		who, cookie := s.signIn("alice", appOrigin)
		s.get(t, "/events", "*/*", cookie)
		if err := s.rt.sessions.End(t.Context(), who); err != nil {
			t.Fatal(err)
		}
		s.wantGone(t, "events")
	}
}

// A guard that leaves the path open, before the one that asked for the session, must not hide the stream from that one.
func TestAttackStreamBehindAnotherGuardsBypass(t *testing.T) {
	s := newStreaming(t, false, Guard{Bypass: []string{"/socket", "/events", "/download"}})
	who, cookie := s.signIn("alice", appOrigin)
	s.socket(t, cookie)
	s.get(t, "/events", "text/event-stream", cookie)
	if err := s.rt.sessions.End(t.Context(), who); err != nil {
		t.Fatal(err)
	}
	for gone := map[string]bool{}; len(gone) < 2; {
		select {
		case what := <-s.gone:
			gone[what] = true
		case <-time.After(20 * time.Second):
			t.Fatalf("after the sign-out only these ended: %v", gone)
		}
	}
	s.wantNoneLeft(t)
}

// A user whom the pool disables keeps no socket for longer than an access token lasts: open streams are refreshed like requests.
func TestSocketIsRefreshed(t *testing.T) {
	s := newStreaming(t, false)
	_, cookie := s.signIn("alice", appOrigin)
	conn := s.socket(t, cookie)
	asked := make(chan struct{}, 1)
	s.pool.During = func() { asked <- struct{}{} }
	s.clock.Advance(59 * time.Minute)
	s.poll(t)
	<-asked
	s.echo(t, conn)
	for s.rt.streams.refreshing.Load() {
		s.echo(t, conn)
	}
	s.rt.sessions.Wait()
	s.pool.Break(session.ErrRefused)
	s.clock.Advance(time.Hour)
	s.poll(t)
	s.wantGone(t, "socket")
}

// While the pool cannot be reached a socket stays until the access token's real end.
func TestSocketWhileThePoolIsDown(t *testing.T) {
	s := newStreaming(t, false)
	_, cookie := s.signIn("alice", appOrigin)
	conn := s.socket(t, cookie)
	s.pool.Break(errors.New("connection refused"))
	s.clock.Advance(59*time.Minute + 30*time.Second)
	s.rt.streams.refresh(s.rt.sessions)
	s.echo(t, conn)
	s.clock.Advance(30 * time.Second)
	s.rt.streams.refresh(s.rt.sessions)
	s.wantGone(t, "socket")
}

// A reload keeps the sockets and goes on watching them; when the realm is gone so are they.
func TestReloadKeepsWatching(t *testing.T) {
	s := newStreaming(t, false)
	first, second := *s.rt, *s.rt
	for _, rt := range []*realm{&first, &second} {
		if err := rt.openStreams(); err != nil {
			t.Fatal(err)
		}
	}
	s.rt.streams = first.streams
	_, cookie := s.signIn("alice", appOrigin)
	conn := s.socket(t, cookie)
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	s.echo(t, conn)
	if err := second.close(); err != nil {
		t.Fatal(err)
	}
	s.wantGone(t, "socket")
}

// Attack: the handler hijacks the connection, or writes, just after the session has ended.
func TestAttackWriteAfterTheEnd(t *testing.T) {
	g := newGuarded(t)
	who, cookie := g.signIn("alice", appOrigin)
	var wrote, read error
	g.upstream = func(w http.ResponseWriter, _ *http.Request) {
		if err := g.rt.sessions.End(t.Context(), who); err != nil {
			t.Fatal(err)
		}
		_, wrote = w.Write([]byte("secret"))
		_, read = w.(io.ReaderFrom).ReadFrom(http.NoBody)
	}
	if w := g.serve(script(appOrigin+"/", cookie), g.guard(Guard{})); w.Body.Len() != 0 || wrote == nil || read == nil {
		t.Errorf("%q was written after the end: %v, %v", w.Body, wrote, read)
	}
}

// node is another process on the same storage.
func (s *streaming) node() *session.Manager { return sessiontest.NewManager(s.tb, s.storage, s.pool) }
