package localpool

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// maxSessions bounds the sign-ins under way that are kept in memory.
const maxSessions = 200_000

// signIn is one custom-auth flow between two calls.
type signIn struct {
	clientID string
	typed    string // name the flow began with, folded
	username string // of the account, or its stand-in
	missing  bool   // there is no such account
	rounds   []round
	private  map[string]string // of the challenge that waits
	metadata string            // of the challenge that waits
	name     string            // of the challenge that waits
	expires  time.Time
}

// round is what triggers see of an answered challenge.
type round struct {
	ChallengeName     string `json:"challengeName"`
	ChallengeResult   bool   `json:"challengeResult"`
	ChallengeMetadata string `json:"challengeMetadata,omitempty"`
}

// sessionTable maps Session strings to sign-ins under way. Each string works once.
type sessionTable struct {
	mu    sync.Mutex
	items map[string]signIn
	order []expiringSession // by expiry, as long as the lifetime is not changed
}

type expiringSession struct {
	id      string
	expires time.Time
}

// put keeps f until f.expires and returns its Session string.
func (t *sessionTable) put(f signIn, rand io.Reader, now time.Time) (string, error) {
	var b [96]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("reading randomness: %w", err)
	}
	id := challenge.EncodeBase64(b[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.items == nil {
		t.items = make(map[string]signIn)
	}
	t.sweep(now)
	if len(t.items) >= maxSessions {
		return "", &failure{Type: typeTooManyRequests, Message: "Too many sign-ins are under way."}
	}
	t.items[id] = f
	t.order = append(t.order, expiringSession{id, f.expires})
	return id, nil
}

// take removes and returns a sign-in: of calls at the same time, one succeeds.
func (t *sessionTable) take(id string, now time.Time) (signIn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, ok := t.items[id]
	if !ok {
		return signIn{}, errInvalidSession
	}
	delete(t.items, id)
	if !now.Before(f.expires) {
		return signIn{}, errSessionExpired
	}
	return f, nil
}

// keepExpiredSessions is how long an expired Session is told from one that never was.
const keepExpiredSessions = 15 * time.Minute

func (t *sessionTable) sweep(now time.Time) {
	n := 0
	for n < len(t.order) && now.After(t.order[n].expires.Add(keepExpiredSessions)) {
		delete(t.items, t.order[n].id)
		n++
	}
	t.order = t.order[n:]
	// Answered sessions leave their place in order; it must not outgrow what is alive.
	if len(t.order) > 2*len(t.items)+1024 {
		kept := make([]expiringSession, 0, len(t.items))
		for _, e := range t.order {
			if _, alive := t.items[e.id]; alive {
				kept = append(kept, e)
			}
		}
		t.order = kept
	}
}
