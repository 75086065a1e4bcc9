package caddyauth

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// Purposes of marks and one-time items in the session storage.
const (
	markChallenge   = "portal-challenge"   // a challenge that was answered
	markFlow        = "portal-flow"        // a flow that was finished by its link, and by which browser
	markLink        = "portal-link"        // a link that was used
	markSent        = "portal-sent-link"   // a [sentLink]
	markCode        = "portal-code"        // a code by mail that is awaited
	markPhone       = "portal-phone"       // a phone number that was verified a moment ago
	markTarget      = "portal-target"      // where a flow leads whose address is too long for a mail
	markTransaction = "portal-transaction" // a transaction that was confirmed
	proofPurpose    = "portal-proof"       // a re-authentication
)

// mark is a remembered fact, sealed in the session storage.
type mark struct {
	Value   json.RawMessage `json:"v,omitempty"`
	Expires time.Time       `json:"e"`
}

// remember stores a fact until it expires, in place of an older one.
func (rt *realm) remember(ctx context.Context, purpose, id string, value any, lifetime time.Duration) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding a mark: %w", err)
	}
	return rt.putMark(ctx, purpose, id, mark{raw, rt.now().Add(lifetime)})
}

func (rt *realm) putMark(ctx context.Context, purpose, id string, m mark) error {
	encoded, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding a mark: %w", err)
	}
	return rt.sessions.PutOnce(ctx, purpose, id, encoded, m.Expires)
}

// recall reads a fact and leaves it where it is. One that is unknown costs a single read. It must not decide over access: between
// two readers it can be absent for a moment.
func (rt *realm) recall(ctx context.Context, purpose, id string, into any) (bool, error) {
	m, known, err := rt.takeMark(ctx, purpose, id, into)
	if err != nil || !known {
		return false, err
	}
	return true, rt.putMark(context.WithoutCancel(ctx), purpose, id, m)
}

// takeMark reads a fact and forgets it: of all who ask at once, one gets it.
func (rt *realm) takeMark(ctx context.Context, purpose, id string, into any) (m mark, known bool, err error) {
	encoded, err := rt.sessions.TakeOnce(ctx, purpose, id)
	if errors.Is(err, session.ErrInvalid) {
		return mark{}, false, nil
	}
	if err != nil {
		return mark{}, false, err
	}
	if err = json.Unmarshal(encoded, &m); err == nil {
		err = json.Unmarshal(m.Value, into)
	}
	if err != nil {
		return mark{}, false, fmt.Errorf("decoding a mark: %w", err)
	}
	return m, true, nil
}

// first reports whether nobody, in any process, has asked this before within lifetime. Errors mean that it cannot be said.
func (rt *realm) first(ctx context.Context, purpose, id string, lifetime time.Duration) (fresh bool, err error) {
	err = rt.alone(ctx, purpose, id, func(ctx context.Context) error {
		var seen bool
		known, err := rt.recall(ctx, purpose, id, &seen)
		if err != nil || known {
			return err
		}
		fresh = true
		return rt.remember(ctx, purpose, id, true, lifetime)
	})
	return fresh && err == nil, err
}

// known reports whether a fact is remembered, never absent for a moment as with recall: it may decide over access.
func (rt *realm) known(ctx context.Context, purpose, id string) (known bool, err error) {
	err = rt.alone(ctx, purpose, id, func(ctx context.Context) error {
		var value any
		known, err = rt.recall(ctx, purpose, id, &value)
		return err
	})
	return known, err
}

// alone does something about a fact while nobody else, in any process, does.
func (rt *realm) alone(ctx context.Context, purpose, id string, do func(context.Context) error) error {
	name := "passwordless_" + hex.EncodeToString(rt.sessions.Keys.MAC(purpose, []byte(rt.name), []byte(id)))
	if err := rt.sessions.Storage.Lock(ctx, name); err != nil {
		return fmt.Errorf("%w: %w", session.ErrUnavailable, err)
	}
	ctx = context.WithoutCancel(ctx)
	defer func() {
		if err := rt.sessions.Storage.Unlock(ctx, name); err != nil {
			rt.logger.Warn("unlocking a mark", zap.Error(err))
		}
	}()
	return do(ctx)
}
