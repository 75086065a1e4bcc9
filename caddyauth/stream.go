package caddyauth

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// errStreamEnded is what writers of a response get once the session that it was meant for is over.
var errStreamEnded = errors.New("the session of this request has ended")

// stream is a request that a session let in and that is not answered yet: a WebSocket, an event stream, a long download, or any
// other for its few milliseconds. It costs no goroutine; the zero value is ready.
type stream struct {
	prev, next *stream // in its shard, guarded by the shard's lock

	mu      sync.Mutex
	session *session.Session    // whose end is this request's end
	writer  http.ResponseWriter // of the server: only while the handler runs
	cancel  context.CancelFunc  // nil unless the request looks like a stream
	conn    net.Conn            // once hijacked
	lapsed  func() bool         // for a client's own token: whether it is over. Set before enter, and then there is no session to refresh

	over atomic.Bool // the session has ended
}

// streams are the requests under way in one realm. They outlive a reload of the configuration, as WebSockets may.
type streams struct {
	shards     [16]streamShard
	refreshing atomic.Bool
}

type streamShard struct {
	mu    sync.Mutex
	first *stream
	_     [48]byte // shards share no cache line
}

// streamPools keeps streams over reloads, by realm and portal.
var streamPools = caddy.NewUsagePool()

// Destruct implements [caddy.Destructor]: a realm that is gone can watch nobody, so nobody stays.
func (p *streams) Destruct() error {
	for _, s := range p.find(anyStream) {
		s.end()
	}
	return nil
}

// shard is the one that a session's streams are in.
func (p *streams) shard(sid string) *streamShard {
	if sid == "" {
		return &p.shards[0]
	}
	return &p.shards[sid[len(sid)-1]%byte(len(p.shards))]
}

// enter notes that a request of who is under way. One that looks like a stream gets a context, in place, by which it can be cancelled
// wherever its handler waits.
func (p *streams) enter(s *stream, who *session.Session, w http.ResponseWriter, r *http.Request) {
	s.session, s.writer = who, w
	if isUpgrade(r) || acceptsEventStream(r.Header) {
		var ctx context.Context
		ctx, s.cancel = context.WithCancel(r.Context())
		*r = *r.WithContext(ctx) // in place: placeholders and later handlers know this request
	}
	shard := p.shard(who.ID)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if s.next = shard.first; s.next != nil {
		s.next.prev = s
	}
	shard.first = s
}

// leave notes that the handler is done: from now on its writer must not be touched.
func (p *streams) leave(s *stream, sid string) {
	shard := p.shard(sid)
	shard.mu.Lock()
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		shard.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
	shard.mu.Unlock()

	s.mu.Lock()
	defer s.mu.Unlock()
	s.writer, s.conn = nil, nil
	if s.cancel != nil {
		s.cancel()
	}
}

// end stops a stream, whatever it is doing: its writes fail; its deadlines have passed, which over HTTP/1 cancels the request
// and over HTTP/2 resets the stream; what was cancellable is cancelled; and a hijacked connection is closed.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over.Swap(true) || s.writer == nil {
		return
	}
	if s.cancel != nil {
		s.cancel()
	}
	if s.conn != nil {
		_ = s.conn.Close()
		return
	}
	past := time.Unix(1, 0)
	control := http.NewResponseController(s.writer)
	_ = control.SetReadDeadline(past) // not every server can, and then its next write fails
	_ = control.SetWriteDeadline(past)
}

// hijacked notes the connection that a handler has taken over.
func (s *stream) hijacked(conn net.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over.Load() {
		_ = conn.Close()
		return errStreamEnded
	}
	s.conn = conn
	return nil
}

// find lists the streams that match.
func (p *streams) find(match func(*stream) bool) []*stream {
	var found []*stream
	for i := range p.shards {
		shard := &p.shards[i]
		shard.mu.Lock()
		for s := shard.first; s != nil; s = s.next {
			if match(s) {
				found = append(found, s)
			}
		}
		shard.mu.Unlock()
	}
	return found
}

// touched tells a session's streams that the person is there.
func (p *streams) touched(sid string, seen time.Time) {
	shard := p.shard(sid)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	for s := shard.first; s != nil; s = s.next {
		s.mu.Lock()
		if s.session.ID == sid && s.session.Seen.Before(seen) {
			later := *s.session
			later.Seen = seen
			s.session = &later
		}
		s.mu.Unlock()
	}
}

func anyStream(*stream) bool { return true }

func (s *stream) current() session.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.session
}

// sweep ends the streams whose sessions are over: signed out here or, since the last look at the deny list, elsewhere; idle; at
// their absolute end; or uncheckable for over a minute. The session manager calls it after every change and every 5 seconds.
// Sessions whose access token runs out are refreshed in the background, so that a user whom the pool has signed out or disabled
// does not stay for as long as a socket is open. No lock is held while the manager is asked, which may have to read the deny list:
// every other request would wait for the storage, too.
func (p *streams) sweep(m *session.Manager) {
	due := false
	for _, s := range p.find(anyStream) {
		if s.lapsed != nil {
			if s.lapsed() {
				s.end()
			}
			continue
		}
		who := s.current()
		due = due || m.NeedsRefresh(who)
		if m.Check(who) != nil {
			s.end()
		}
	}
	if due && p.refreshing.CompareAndSwap(false, true) {
		go func() {
			defer p.refreshing.Store(false)
			p.refresh(m)
		}()
	}
}

// refresh keeps streams as the guard keeps requests: a session that the pool refuses is over, one whose pool cannot be reached
// lasts until its access token expires.
func (p *streams) refresh(m *session.Manager) {
	for _, s := range p.find(func(s *stream) bool { return s.lapsed == nil && m.NeedsRefresh(s.current()) }) {
		old := s.current()
		fresh, err := m.Refresh(context.Background(), old)
		if err != nil {
			s.end()
			continue
		}
		fresh.Seen = old.Seen // an open stream is no sign of a person
		s.mu.Lock()
		if fresh.Seen.Before(s.session.Seen) {
			fresh.Seen = s.session.Seen
		}
		s.session = &fresh
		s.mu.Unlock()
	}
}

// acceptsEventStream reports whether the browser opens an EventSource
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func acceptsEventStream(h http.Header) bool {
	for _, line := range h["Accept"] {
		if strings.Contains(line, "text/event-stream") {
			return true
		}
	}
	return false
}
