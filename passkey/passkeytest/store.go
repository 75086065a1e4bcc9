package passkeytest

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/caddy-cognito/passwordless/passkey"
)

// Store is a passkey.Store in memory.
type Store struct {
	mu            sync.Mutex
	registrations map[registrationKey]registration
	credentials   map[string]passkey.Credential // by ID
	challenges    map[string]time.Time          // usernameless: when they expire
}

type registrationKey struct{ userHandle, challenge string }

type registration struct {
	options []byte
	expires time.Time
}

// NewStore makes an empty one.
func NewStore() *Store {
	return &Store{
		registrations: make(map[registrationKey]registration),
		credentials:   make(map[string]passkey.Credential),
		challenges:    make(map[string]time.Time),
	}
}

// PutRegistration implements passkey.Store.
func (s *Store) PutRegistration(_ context.Context, userHandle, challenge string, options []byte, expires time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registrations[registrationKey{userHandle, challenge}] = registration{slices.Clone(options), expires}
	return nil
}

// TakeRegistration implements passkey.Store.
func (s *Store) TakeRegistration(_ context.Context, userHandle, challenge string, now time.Time) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := registrationKey{userHandle, challenge}
	r, ok := s.registrations[key]
	delete(s.registrations, key)
	if !ok || !now.Before(r.expires) {
		return nil, passkey.ErrChallengeNotFound
	}
	return r.options, nil
}

// Add implements passkey.Store.
func (s *Store) Add(_ context.Context, c passkey.Credential) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.credentials[string(c.ID)]; ok {
		return passkey.ErrCredentialExists
	}
	s.credentials[string(c.ID)] = clone(c)
	return nil
}

// Get implements passkey.Store.
func (s *Store) Get(_ context.Context, userHandle string, id []byte) (passkey.Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.owned(userHandle, id)
	if !ok {
		return passkey.Credential{}, passkey.ErrUnknownCredential
	}
	return clone(c), nil
}

// List implements passkey.Store.
func (s *Store) List(_ context.Context, userHandle, relyingPartyID string) ([]passkey.Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []passkey.Credential
	for _, c := range s.credentials {
		if c.UserHandle == userHandle && (relyingPartyID == "" || c.RelyingPartyID == relyingPartyID) {
			list = append(list, clone(c))
		}
	}
	slices.SortFunc(list, func(a, b passkey.Credential) int {
		if order := a.CreatedAt.Compare(b.CreatedAt); order != 0 {
			return order
		}
		return bytes.Compare(a.ID, b.ID)
	})
	return list, nil
}

// Rename implements passkey.Store.
func (s *Store) Rename(_ context.Context, userHandle string, id []byte, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.owned(userHandle, id)
	if !ok {
		return passkey.ErrUnknownCredential
	}
	c.FriendlyName = name
	s.credentials[string(id)] = c
	return nil
}

// Delete implements passkey.Store.
func (s *Store) Delete(_ context.Context, userHandle string, id []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.owned(userHandle, id); ok {
		delete(s.credentials, string(id))
	}
	return nil
}

// PutSignInChallenge implements passkey.Store.
func (s *Store) PutSignInChallenge(_ context.Context, challenge string, expires time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.challenges[challenge] = expires
	return nil
}

// RecordSignIn implements passkey.Store.
func (s *Store) RecordSignIn(_ context.Context, in passkey.SignIn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.owned(in.UserHandle, in.CredentialID)
	if !ok {
		return passkey.ErrUnknownCredential
	}
	if err := s.mayRecord(c, in); err != nil {
		if in.Retries(c.LastChallenge) {
			return nil
		}
		return err
	}
	if in.Usernameless {
		delete(s.challenges, in.Challenge)
	}
	c.SignCount, c.BackupState = in.SignCount, in.BackupState
	c.LastSignIn, c.LastChallenge = in.At.UTC().Truncate(time.Millisecond), in.LastChallenge()
	s.credentials[string(in.CredentialID)] = c
	return nil
}

func (s *Store) mayRecord(c passkey.Credential, in passkey.SignIn) error {
	expires, outstanding := s.challenges[in.Challenge]
	if in.Usernameless && (!outstanding || !in.At.Before(expires)) {
		return passkey.ErrChallengeNotFound
	}
	if !passkey.CounterAdvances(c.SignCount, in.SignCount) {
		return passkey.ErrCounter
	}
	return nil
}

func (s *Store) owned(userHandle string, id []byte) (passkey.Credential, bool) {
	c, ok := s.credentials[string(id)]
	return c, ok && c.UserHandle == userHandle
}

func clone(c passkey.Credential) passkey.Credential {
	c.ID, c.LastChallenge = slices.Clone(c.ID), slices.Clone(c.LastChallenge)
	c.Transports = slices.Clone(c.Transports)
	return c
}

var _ passkey.Store = (*Store)(nil)
