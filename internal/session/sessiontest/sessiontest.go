// Package sessiontest helps to test what uses sessions: a storage in memory that several managers can share as processes share
// a disk, a clock that tests set, and a user pool that counts.
package sessiontest

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// Storage is a [session.Storage] in memory. Like Caddy's file storage it cannot list a folder that is not there.
type Storage struct {
	mu    sync.Mutex
	items map[string][]byte
	locks map[string]chan struct{}
	calls map[string]int
	fail  func(op, key string) error
}

// NewStorage returns an empty storage.
func NewStorage() *Storage {
	return &Storage{items: make(map[string][]byte), locks: make(map[string]chan struct{}), calls: make(map[string]int)}
}

// Fail makes operations fail for which f returns an error; nil mends the storage. The op is "lock", "unlock", "store", "load",
// "delete" or "list".
func (s *Storage) Fail(f func(op, key string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

// Calls says how often an operation was called.
func (s *Storage) Calls(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op]
}

// Keys lists all keys in order.
func (s *Storage) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.items))
	for key := range s.items {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

// call counts an operation. The caller holds mu.
func (s *Storage) call(ctx context.Context, op, key string) error {
	s.calls[op]++
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.fail != nil {
		return s.fail(op, key)
	}
	return nil
}

// Lock implements [session.Storage].
func (s *Storage) Lock(ctx context.Context, name string) error {
	for {
		s.mu.Lock()
		if err := s.call(ctx, "lock", name); err != nil {
			s.mu.Unlock()
			return err
		}
		held := s.locks[name]
		if held == nil {
			s.locks[name] = make(chan struct{})
			s.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Unlock implements [session.Storage].
func (s *Storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call(ctx, "unlock", name); err != nil {
		return err
	}
	held := s.locks[name]
	if held == nil {
		return fmt.Errorf("lock %s is not held", name)
	}
	delete(s.locks, name)
	close(held)
	return nil
}

// Store implements [session.Storage].
func (s *Storage) Store(ctx context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call(ctx, "store", key); err != nil {
		return err
	}
	s.items[key] = append([]byte(nil), value...)
	return nil
}

// Load implements [session.Storage].
func (s *Storage) Load(ctx context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call(ctx, "load", key); err != nil {
		return nil, err
	}
	value, ok := s.items[key]
	if !ok {
		return nil, fmt.Errorf("loading %s: %w", key, fs.ErrNotExist)
	}
	return append([]byte(nil), value...), nil
}

// Delete implements [session.Storage]; it deletes what is below key as well.
func (s *Storage) Delete(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call(ctx, "delete", key); err != nil {
		return err
	}
	for k := range s.items {
		if k == key || strings.HasPrefix(k, key+"/") {
			delete(s.items, k)
		}
	}
	return nil
}

// Exists implements [session.Storage].
func (s *Storage) Exists(_ context.Context, key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.items {
		if k == key || strings.HasPrefix(k, key+"/") {
			return true
		}
	}
	return false
}

// List implements [session.Storage].
func (s *Storage) List(ctx context.Context, folder string, recursive bool) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.call(ctx, "list", folder); err != nil {
		return nil, err
	}
	found := make(map[string]bool)
	for key := range s.items {
		rest, below := strings.CutPrefix(key, folder+"/")
		if !below {
			continue
		}
		if child, _, deeper := strings.Cut(rest, "/"); deeper && !recursive {
			found[folder+"/"+child] = true
			continue
		}
		found[key] = true
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("listing %s: no such folder", folder)
	}
	keys := make([]string, 0, len(found))
	for key := range found {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys, nil
}

// Clock is a clock that stands still until a test moves it.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that shows a day in 2026.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)}
}

// Now is the time the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock; a negative duration turns it back.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Pool is a [session.Refresher] with rotation: every refresh token works once, and access tokens last an hour. Its fields may
// be set before it is used; Refuse and Unreachable through their setters at any time.
type Pool struct {
	Clock *Clock
	// Groups and Claims are given to the identities of all tokens.
	Groups []string
	Claims map[string]any
	// AccessLifetime is how long access tokens last. Zero: an hour.
	AccessLifetime time.Duration
	// Unverified says that addresses in tokens are not verified.
	Unverified bool
	// During, if set, runs within every Refresh: tests hold it up there.
	During func()

	mu        sync.Mutex
	serial    int
	live      map[string]string           // refresh token → subject
	access    map[string]string           // access token → subject
	issued    map[string]session.Identity // access token → what it says
	unknown   error
	refreshes int
	revoked   []string
	err       error
}

// NewPool returns a pool that issues tokens by the clock.
func NewPool(c *Clock) *Pool {
	return &Pool{Clock: c, live: make(map[string]string), access: make(map[string]string), issued: make(map[string]session.Identity)}
}

// SignIn issues the tokens of a new sign-in.
func (p *Pool) SignIn(subject string) session.Fresh {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.issue(subject)
}

func (p *Pool) issue(subject string) session.Fresh {
	p.serial++
	refresh := fmt.Sprintf("refresh-%d", p.serial)
	p.live[refresh] = subject
	p.access[fmt.Sprintf("access-%d", p.serial)] = subject
	now := p.Clock.Now()
	lifetime := p.AccessLifetime
	if lifetime == 0 {
		lifetime = time.Hour
	}
	fresh := session.Fresh{
		Tokens: session.Tokens{ID: fmt.Sprintf("id-%d", p.serial), Access: fmt.Sprintf("access-%d", p.serial), Refresh: refresh},
		Identity: session.Identity{
			Subject: subject, Username: subject, Email: subject + "@example.com", EmailVerified: !p.Unverified,
			Groups: p.Groups, Claims: p.Claims,
			AuthTime: now, AccessExpires: now.Add(lifetime), OriginJTI: fmt.Sprintf("origin-%d", p.serial),
		},
	}
	p.issued[fresh.Tokens.Access] = fresh.Identity
	return fresh
}

// Break makes the pool answer with err: [session.ErrRefused], or any other error for a pool that cannot be reached. Nil mends
// it.
func (p *Pool) Break(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// BreakKeys makes Verify fail with err; nil mends it.
func (p *Pool) BreakKeys(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unknown = err
}

// SignOut makes the pool refuse all of a subject's refresh tokens, as after Cognito's GlobalSignOut.
func (p *Pool) SignOut(subject string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.live, func(_, owner string) bool { return owner == subject })
}

// Refresh implements [session.Refresher].
func (p *Pool) Refresh(_ context.Context, old session.Tokens) (session.Tokens, error) {
	if p.During != nil {
		p.During()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refreshes++
	if p.err != nil {
		return session.Tokens{}, p.err
	}
	subject, ok := p.live[old.Refresh]
	if !ok {
		return session.Tokens{}, session.ErrRefused
	}
	delete(p.live, old.Refresh)
	tokens := p.issue(subject).Tokens
	tokens.DeviceKey = old.DeviceKey
	return tokens, nil
}

// Verify implements [session.Refresher].
func (p *Pool) Verify(_ context.Context, t session.Tokens) (session.Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unknown != nil {
		return session.Identity{}, p.unknown
	}
	id, ok := p.issued[t.Access]
	switch {
	case !ok:
		return session.Identity{}, session.ErrRefused
	case !p.Clock.Now().Before(id.AccessExpires):
		return session.Identity{}, session.ErrStale
	}
	return id, nil
}

// Revoke implements [session.Refresher].
func (p *Pool) Revoke(_ context.Context, refreshToken string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	delete(p.live, refreshToken)
	p.revoked = append(p.revoked, refreshToken)
	return nil
}

// RevokeAll implements [session.Refresher].
func (p *Pool) RevokeAll(_ context.Context, accessToken string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	subject, ok := p.access[accessToken]
	if !ok {
		return session.ErrRefused
	}
	maps.DeleteFunc(p.live, func(_, owner string) bool { return owner == subject })
	maps.DeleteFunc(p.access, func(_, owner string) bool { return owner == subject })
	return nil
}

// Refreshes says how often the pool was asked for new tokens.
func (p *Pool) Refreshes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refreshes
}

// Revoked lists the refresh tokens that were revoked.
func (p *Pool) Revoked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.revoked...)
}

// NewManager returns a manager of realm "default" as one process would have it: several over one storage stand for several
// processes. Run is not running; call Poll.
func NewManager(tb testing.TB, s *Storage, p *Pool) *session.Manager {
	tb.Helper()
	return newManager(tb, s, p, "default")
}

func newManager(tb testing.TB, s session.Storage, p *Pool, realm string) *session.Manager {
	tb.Helper()
	keys, err := session.OpenKeyRing(context.Background(), s, "passwordless/"+realm+"/keys", session.KeyRingOptions{
		Now: p.Clock.Now, Keep: 24 * time.Hour,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return &session.Manager{
		Settings:  session.Settings{Realm: realm, IdleTimeout: 8 * time.Hour, Lifetime: 24 * time.Hour},
		Keys:      keys,
		Storage:   s,
		Refresher: p,
		Now:       p.Clock.Now,
		Logger:    slog.New(slog.DiscardHandler),
	}
}
