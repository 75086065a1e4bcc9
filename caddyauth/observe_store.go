package caddyauth

import (
	"context"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/passkey"
)

// observedCredentials is a credential store whose calls are measured and traced.
type observedCredentials struct {
	store passkey.Store
	probe
}

func (c observedCredentials) PutRegistration(ctx context.Context, userHandle, challenge string, options []byte, expires time.Time) (err error) {
	ctx, end := c.call(ctx, "PutRegistration")
	defer func() { end(err) }()
	return c.store.PutRegistration(ctx, userHandle, challenge, options, expires)
}

func (c observedCredentials) TakeRegistration(ctx context.Context, userHandle, challenge string, now time.Time) (_ []byte, err error) {
	ctx, end := c.call(ctx, "TakeRegistration")
	defer func() { end(err) }()
	return c.store.TakeRegistration(ctx, userHandle, challenge, now)
}

func (c observedCredentials) Add(ctx context.Context, credential passkey.Credential) (err error) {
	ctx, end := c.call(ctx, "Add")
	defer func() { end(err) }()
	return c.store.Add(ctx, credential)
}

func (c observedCredentials) Get(ctx context.Context, userHandle string, id []byte) (_ passkey.Credential, err error) {
	ctx, end := c.call(ctx, "Get")
	defer func() { end(err) }()
	return c.store.Get(ctx, userHandle, id)
}

func (c observedCredentials) List(ctx context.Context, userHandle, relyingPartyID string) (_ []passkey.Credential, err error) {
	ctx, end := c.call(ctx, "List")
	defer func() { end(err) }()
	return c.store.List(ctx, userHandle, relyingPartyID)
}

func (c observedCredentials) Rename(ctx context.Context, userHandle string, id []byte, name string) (err error) {
	ctx, end := c.call(ctx, "Rename")
	defer func() { end(err) }()
	return c.store.Rename(ctx, userHandle, id, name)
}

func (c observedCredentials) Delete(ctx context.Context, userHandle string, id []byte) (err error) {
	ctx, end := c.call(ctx, "Delete")
	defer func() { end(err) }()
	return c.store.Delete(ctx, userHandle, id)
}

func (c observedCredentials) PutSignInChallenge(ctx context.Context, challenge string, expires time.Time) (err error) {
	ctx, end := c.call(ctx, "PutSignInChallenge")
	defer func() { end(err) }()
	return c.store.PutSignInChallenge(ctx, challenge, expires)
}

func (c observedCredentials) RecordSignIn(ctx context.Context, s passkey.SignIn) (err error) {
	ctx, end := c.call(ctx, "RecordSignIn")
	defer func() { end(err) }()
	return c.store.RecordSignIn(ctx, s)
}

// observedStorage is a session store whose reads and writes are measured and traced. Its locks, which wait for others, are not.
type observedStorage struct {
	session.Storage
	probe
}

func (s observedStorage) Store(ctx context.Context, key string, value []byte) (err error) {
	ctx, end := s.call(ctx, "Store")
	defer func() { end(err) }()
	return s.Storage.Store(ctx, key, value)
}

func (s observedStorage) Load(ctx context.Context, key string) (_ []byte, err error) {
	ctx, end := s.call(ctx, "Load")
	defer func() { end(err) }()
	return s.Storage.Load(ctx, key)
}

func (s observedStorage) Delete(ctx context.Context, key string) (err error) {
	ctx, end := s.call(ctx, "Delete")
	defer func() { end(err) }()
	return s.Storage.Delete(ctx, key)
}

func (s observedStorage) List(ctx context.Context, path string, recursive bool) (_ []string, err error) {
	ctx, end := s.call(ctx, "List")
	defer func() { end(err) }()
	return s.Storage.List(ctx, path, recursive)
}

// expiringStorage is what a store may be able to do beside.
type expiringStorage interface {
	session.Expirer
	session.Taker
}

type observedExpiringStorage struct {
	observedStorage
	expiring expiringStorage
}

func (s observedExpiringStorage) StoreUntil(ctx context.Context, key string, value []byte, expires time.Time) (err error) {
	ctx, end := s.call(ctx, "Store")
	defer func() { end(err) }()
	return s.expiring.StoreUntil(ctx, key, value, expires)
}

func (s observedExpiringStorage) Take(ctx context.Context, key string) (_ []byte, err error) {
	ctx, end := s.call(ctx, "Take")
	defer func() { end(err) }()
	return s.expiring.Take(ctx, key)
}

// observeStorage keeps what a store can do. One that can do only half of what others can is used as it is.
func observeStorage(store session.Storage, o probe) session.Storage {
	observed := observedStorage{store, o}
	if both, ok := store.(expiringStorage); ok {
		return observedExpiringStorage{observed, both}
	}
	_, expires := store.(session.Expirer)
	_, takes := store.(session.Taker)
	if expires || takes {
		return store
	}
	return observed
}

// Interface guards
var (
	_ passkey.Store   = observedCredentials{}
	_ session.Storage = observedStorage{}
	_ expiringStorage = observedExpiringStorage{}
)
