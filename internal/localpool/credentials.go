package localpool

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-cognito/passwordless/passkey"
)

// credentials is the passkey store on the pool's file.
type credentials struct{ db *database }

// handleKey begins every key of one user: the length in front keeps one handle from being the beginning of another.
func handleKey(userHandle string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(userHandle))), userHandle...)
}

func registrationKey(userHandle, challenge string) []byte {
	return append(handleKey(userHandle), challenge...)
}

// indexKey sorts a user's passkeys by age.
func indexKey(c passkey.Credential) []byte {
	k := binary.BigEndian.AppendUint64(handleKey(c.UserHandle), uint64(c.CreatedAt.UnixMilli()))
	return append(k, c.ID...)
}

// PutRegistration implements [passkey.Store].
func (s *credentials) PutRegistration(ctx context.Context, userHandle, challenge string, options []byte, expires time.Time) error {
	return s.db.update(ctx, func(tx *bbolt.Tx) error {
		return putItem(tx, bucketRegistrations, registrationKey(userHandle, challenge), expires, ceremony{Options: options, Expires: expires})
	})
}

// ceremony is an outstanding challenge, with its end to the millisecond.
type ceremony struct {
	Options []byte    `json:"options,omitempty"`
	Expires time.Time `json:"expires"`
}

// TakeRegistration implements [passkey.Store].
func (s *credentials) TakeRegistration(ctx context.Context, userHandle, challenge string, now time.Time) ([]byte, error) {
	var c ceremony
	err := s.db.update(ctx, func(tx *bbolt.Tx) error {
		c = ceremony{}
		key := registrationKey(userHandle, challenge)
		found, err := getItem(tx, bucketRegistrations, key, now, &c)
		if err != nil {
			return err
		}
		if !found || !now.Before(c.Expires) {
			return passkey.ErrChallengeNotFound
		}
		return deleteItem(tx, bucketRegistrations, key)
	})
	if err != nil {
		return nil, err
	}
	return c.Options, nil
}

// Add implements [passkey.Store].
func (s *credentials) Add(ctx context.Context, c passkey.Credential) error {
	c.CreatedAt = c.CreatedAt.UTC().Truncate(time.Millisecond)
	return s.db.update(ctx, func(tx *bbolt.Tx) error {
		if tx.Bucket([]byte(bucketCredentials)).Get(c.ID) != nil {
			return passkey.ErrCredentialExists
		}
		if err := putItem(tx, bucketCredentials, c.ID, time.Time{}, c); err != nil {
			return err
		}
		return putItem(tx, bucketHandles, indexKey(c), time.Time{}, true)
	})
}

// findCredential reads a passkey that must be the user's.
func findCredential(tx *bbolt.Tx, userHandle string, id []byte, now time.Time) (passkey.Credential, error) {
	var c passkey.Credential
	if len(id) == 0 {
		return c, passkey.ErrUnknownCredential
	}
	found, err := getItem(tx, bucketCredentials, id, now, &c)
	if err == nil && (!found || c.UserHandle != userHandle) {
		err = passkey.ErrUnknownCredential
	}
	if err != nil {
		return passkey.Credential{}, err
	}
	return c, nil
}

// Get implements [passkey.Store].
func (s *credentials) Get(_ context.Context, userHandle string, id []byte) (c passkey.Credential, err error) {
	err = s.db.view(func(tx *bbolt.Tx) error {
		c, err = findCredential(tx, userHandle, id, s.db.now())
		return err
	})
	return c, err
}

func listCredentials(tx *bbolt.Tx, userHandle, relyingPartyID string, now time.Time) ([]passkey.Credential, error) {
	prefix := handleKey(userHandle)
	var list []passkey.Credential
	cursor := tx.Bucket([]byte(bucketHandles)).Cursor()
	for k, _ := cursor.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = cursor.Next() {
		c, err := findCredential(tx, userHandle, k[len(prefix)+8:], now)
		if err != nil {
			return nil, err
		}
		if relyingPartyID == "" || c.RelyingPartyID == relyingPartyID {
			list = append(list, c)
		}
	}
	return list, nil
}

// List implements [passkey.Store].
func (s *credentials) List(_ context.Context, userHandle, relyingPartyID string) (list []passkey.Credential, err error) {
	err = s.db.view(func(tx *bbolt.Tx) error {
		list, err = listCredentials(tx, userHandle, relyingPartyID, s.db.now())
		return err
	})
	return list, err
}

// Rename implements [passkey.Store].
func (s *credentials) Rename(ctx context.Context, userHandle string, id []byte, name string) error {
	return s.db.update(ctx, func(tx *bbolt.Tx) error {
		c, err := findCredential(tx, userHandle, id, s.db.now())
		if err != nil {
			return err
		}
		c.FriendlyName = name
		return putItem(tx, bucketCredentials, id, time.Time{}, c)
	})
}

func removeCredential(tx *bbolt.Tx, c passkey.Credential) error {
	if err := deleteItem(tx, bucketHandles, indexKey(c)); err != nil {
		return err
	}
	return deleteItem(tx, bucketCredentials, c.ID)
}

// Delete implements [passkey.Store].
func (s *credentials) Delete(ctx context.Context, userHandle string, id []byte) error {
	return s.db.update(ctx, func(tx *bbolt.Tx) error {
		c, err := findCredential(tx, userHandle, id, s.db.now())
		if errors.Is(err, passkey.ErrUnknownCredential) {
			return nil
		}
		if err != nil {
			return err
		}
		return removeCredential(tx, c)
	})
}

// PutSignInChallenge implements [passkey.Store].
func (s *credentials) PutSignInChallenge(ctx context.Context, challenge string, expires time.Time) error {
	return s.db.update(ctx, func(tx *bbolt.Tx) error {
		return putItem(tx, bucketChallenges, []byte(challenge), expires, ceremony{Expires: expires})
	})
}

// RecordSignIn implements [passkey.Store].
func (s *credentials) RecordSignIn(ctx context.Context, in passkey.SignIn) error {
	return s.db.update(ctx, func(tx *bbolt.Tx) error {
		c, err := findCredential(tx, in.UserHandle, in.CredentialID, s.db.now())
		if err != nil {
			return err
		}
		if err := s.recordable(tx, c, in); err != nil {
			if in.Retries(c.LastChallenge) {
				return nil
			}
			return err
		}
		if in.Usernameless {
			if err := deleteItem(tx, bucketChallenges, []byte(in.Challenge)); err != nil {
				return err
			}
		}
		c.SignCount, c.BackupState = in.SignCount, in.BackupState
		c.LastSignIn, c.LastChallenge = in.At.UTC().Truncate(time.Millisecond), in.LastChallenge()
		return putItem(tx, bucketCredentials, c.ID, time.Time{}, c)
	})
}

// recordable checks the conditions of a sign-in against what is stored.
func (s *credentials) recordable(tx *bbolt.Tx, c passkey.Credential, in passkey.SignIn) error {
	if in.Usernameless {
		var stored ceremony
		found := false
		if in.Challenge != "" {
			var err error
			if found, err = getItem(tx, bucketChallenges, []byte(in.Challenge), in.At, &stored); err != nil {
				return err
			}
		}
		if !found || !in.At.Before(stored.Expires) {
			return passkey.ErrChallengeNotFound
		}
	}
	if !passkey.CounterAdvances(c.SignCount, in.SignCount) {
		return passkey.ErrCounter
	}
	return nil
}

// Interface guards
var _ passkey.Store = (*credentials)(nil)
