package localpool

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// announceKeys is how long a new token key is in the JWKS before it signs: longer than anybody keeps that document, which says
// max-age=300.
const announceKeys = 10 * time.Minute

// longestUse is how long what a key has signed may be valid: the longest that settings allow, since they may change in the meantime.
var longestUse = map[string]time.Duration{useTokens: longestAccessToken, useLinks: longestLink}

// SigningKey tells of a key that signs, will sign or has signed tokens, and never the key itself.
type SigningKey struct {
	ID      string    `json:"id"`
	State   string    `json:"state"` // "next", "signing" or "retired"
	Created time.Time `json:"created"`
	From    time.Time `json:"signs_from"`
	// Ends is when the last token that it may have signed has expired; zero for the newest.
	Ends time.Time `json:"ends,omitzero"`
}

// SigningKeys are the keys of the JWKS, oldest first.
func (p *Pool) SigningKeys() ([]SigningKey, error) {
	signing, _, err := p.keys.signer(useTokens)
	if err != nil {
		return nil, err
	}
	var list []SigningKey
	state := "retired"
	for _, k := range p.keys.live(useTokens) {
		if k.ID == signing {
			state = "signing"
		}
		list = append(list, SigningKey{ID: k.ID, State: state, Created: k.Created, From: k.From, Ends: k.ends})
		if state == "signing" {
			state = "next"
		}
	}
	return list, nil
}

// RotateKeys makes a new key for tokens and one for magic links, and deletes those whose last token or link has expired. The new token key is in
// the JWKS at once and signs ten minutes later, so that nobody meets a token whose key they do not know. While it waits, another
// rotation is refused with [ErrAccountInput].
func (p *Pool) RotateKeys(ctx context.Context) error {
	p.rotation.Lock()
	defer p.rotation.Unlock()
	if newest := p.keys.newest(useTokens); newest.From.After(p.now()) {
		return fmt.Errorf("%w: a new key begins to sign at %s; rotate again after that", ErrAccountInput, newest.From.UTC().Format(time.RFC3339))
	}
	return p.renewKeys(ctx)
}

// rotateIfDue runs where tokens are issued. It fails nobody's sign-in: the old keys are as good as they were.
func (p *Pool) rotateIfDue(ctx context.Context, s *settings) {
	due := func() bool {
		return s.KeyRotation > 0 && p.now().Sub(p.keys.newest(useTokens).From) >= s.KeyRotation
	}
	if !due() || !p.rotation.TryLock() {
		return
	}
	defer p.rotation.Unlock()
	if !due() {
		return
	}
	if err := p.renewKeys(ctx); err != nil {
		p.logger().ErrorContext(ctx, "the signing keys could not be rotated", "error", err)
		return
	}
	p.logger().InfoContext(ctx, "the signing keys were rotated", "new_key", p.keys.newest(useTokens).ID)
}

// renewKeys runs under the lock of rotations.
func (p *Pool) renewKeys(ctx context.Context) error {
	now := p.now()
	token, err := newKey(useTokens, now, now.Add(announceKeys))
	if err != nil {
		return err
	}
	link, err := newKey(useLinks, now, now)
	if err != nil {
		return err
	}
	made := []storedKey{token, link}
	var over []string
	for _, use := range keyUses {
		for _, k := range p.keys.all(use) {
			if k.over(now) {
				over = append(over, k.ID)
			}
		}
	}
	err = p.db.update(ctx, func(tx *bbolt.Tx) error {
		for _, id := range over {
			if err := deleteItem(tx, bucketKeys, []byte(id)); err != nil {
				return err
			}
		}
		return putKeys(tx, made)
	})
	if err != nil {
		return err
	}
	stored, err := p.storedKeys()
	if err != nil {
		return err
	}
	return p.keys.set(stored)
}

func (s *keySet) all(use string) []poolKey {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.byUse[use])
}

// newest is the last key to sign. Every use has one once the pool is open.
func (s *keySet) newest(use string) poolKey {
	keys := s.all(use)
	return keys[len(keys)-1]
}
