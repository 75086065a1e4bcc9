package passkeytest

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/passkey"
)

func testRecordSignIn(t *testing.T, s passkey.Store) {
	c := newCredential(t, randomText(t))
	must(t, s.Add(t.Context(), c))
	in := signIn(t, c, 7)
	in.BackupState = false
	must(t, s.RecordSignIn(t.Context(), in))
	expect(t, s, recorded(c, in))
	in = signIn(t, recorded(c, in), 8)
	in.BackupState, in.Attempt = true, randomText(t)
	must(t, s.RecordSignIn(t.Context(), in))
	expect(t, s, recorded(c, in))
}

// A counter that goes back or stands still is the sign of a cloned authenticator; synced passkeys keep 0 for ever.
func testCounter(t *testing.T, s passkey.Store) {
	for _, c := range []struct {
		stored, received uint32
		accepted         bool
	}{
		{0, 0, true}, {0, 1, true}, {1, 2, true}, {5, 1<<32 - 1, true},
		{1, 0, false}, {1, 1, false}, {2, 1, false}, {1<<32 - 1, 0, false}, {10, 9, false}, // not compared as text
		{9, 10, true},
	} {
		cred := newCredential(t, randomText(t))
		cred.SignCount = c.stored
		must(t, s.Add(t.Context(), cred))
		in := signIn(t, cred, c.received)
		err := s.RecordSignIn(t.Context(), in)
		if c.accepted {
			if err != nil {
				t.Errorf("counter %d after %d: %v", c.received, c.stored, err)
			}
			expect(t, s, recorded(cred, in))
			continue
		}
		if err == nil {
			t.Errorf("counter %d after %d was accepted", c.received, c.stored)
		}
		want(t, "counter", err, passkey.ErrCounter)
		expect(t, s, cred)
	}
}

func testParallelCounter(t *testing.T, s passkey.Store) {
	c := newCredential(t, randomText(t))
	c.SignCount = 3
	must(t, s.Add(t.Context(), c))
	oneOf(t, passkey.ErrCounter, func() error { return s.RecordSignIn(t.Context(), signIn(t, c, 4)) })
}

func testRetry(t *testing.T, s passkey.Store) {
	ctx := t.Context()
	c := newCredential(t, randomText(t))
	c.SignCount = 1
	must(t, s.Add(ctx, c))
	first := signIn(t, c, 2)
	must(t, s.RecordSignIn(ctx, first))
	again := first
	again.At = first.At.Add(time.Second)
	must(t, s.RecordSignIn(ctx, again))
	expect(t, s, recorded(c, first))
	second := signIn(t, c, 3)
	must(t, s.RecordSignIn(ctx, second))
	want(t, "retry of a challenge before the last", s.RecordSignIn(ctx, first), passkey.ErrCounter)
	expect(t, s, recorded(c, second))
}

func testForeignSignIn(t *testing.T, s passkey.Store) {
	ctx := t.Context()
	c := newCredential(t, randomText(t))
	must(t, s.Add(ctx, c))
	in := signIn(t, c, 1)
	in.UserHandle = randomText(t)
	want(t, "foreign sign-in", s.RecordSignIn(ctx, in), passkey.ErrUnknownCredential)
	expect(t, s, c)
}

func testUsernameless(t *testing.T, s passkey.Store) {
	ctx := t.Context()
	c := newCredential(t, randomText(t))
	must(t, s.Add(ctx, c))
	in := signIn(t, c, 0)
	in.Usernameless, in.Attempt = true, randomText(t)
	want(t, "challenge never given", s.RecordSignIn(ctx, in), passkey.ErrChallengeNotFound)
	expect(t, s, c)
	must(t, s.PutSignInChallenge(ctx, in.Challenge, in.At.Add(2*time.Minute)))
	must(t, s.RecordSignIn(ctx, in))
	expect(t, s, recorded(c, in))
	must(t, s.RecordSignIn(ctx, in)) // the same call, retried
	expect(t, s, recorded(c, in))

	other := newCredential(t, randomText(t))
	must(t, s.Add(ctx, other))
	stolen := signIn(t, other, 0)
	stolen.Usernameless, stolen.Challenge = true, in.Challenge
	want(t, "another user with the consumed challenge", s.RecordSignIn(ctx, stolen), passkey.ErrChallengeNotFound)
	expect(t, s, other)
}

// A usernameless challenge is bound to no session: whoever captured the assertion could bring it to a session of his own.
func testUsernamelessReplay(t *testing.T, s passkey.Store) {
	ctx := t.Context()
	c := newCredential(t, randomText(t))
	must(t, s.Add(ctx, c))
	in := signIn(t, c, 0)
	in.Usernameless, in.Attempt = true, randomText(t)
	must(t, s.PutSignInChallenge(ctx, in.Challenge, in.At.Add(2*time.Minute)))
	must(t, s.RecordSignIn(ctx, in))
	for _, attempt := range []string{randomText(t), ""} {
		replay := in
		replay.Attempt = attempt
		want(t, "replay in another session", s.RecordSignIn(ctx, replay), passkey.ErrChallengeNotFound)
	}
	expect(t, s, recorded(c, in))

	in = signIn(t, c, 0)
	in.Usernameless = true
	must(t, s.PutSignInChallenge(ctx, in.Challenge, in.At.Add(2*time.Minute)))
	must(t, s.RecordSignIn(ctx, in))
	want(t, "second use without an attempt", s.RecordSignIn(ctx, in), passkey.ErrChallengeNotFound)
}

func testExpiredSignInChallenge(t *testing.T, s passkey.Store) {
	ctx := t.Context()
	c := newCredential(t, randomText(t))
	must(t, s.Add(ctx, c))
	in := signIn(t, c, 0)
	in.Usernameless = true
	must(t, s.PutSignInChallenge(ctx, in.Challenge, in.At.Add(2*time.Minute)))
	in.At = in.At.Add(3 * time.Minute)
	want(t, "late sign-in", s.RecordSignIn(ctx, in), passkey.ErrChallengeNotFound)
	expect(t, s, c)
}

// Challenge and counter are one transaction: what fails on one leaves the other as it was.
func testRefusedKeepsChallenge(t *testing.T, s passkey.Store) {
	ctx := t.Context()
	c := newCredential(t, randomText(t))
	c.SignCount = 5
	must(t, s.Add(ctx, c))
	in := signIn(t, c, 5)
	in.Usernameless = true
	must(t, s.PutSignInChallenge(ctx, in.Challenge, in.At.Add(2*time.Minute)))
	want(t, "usernameless sign-in with an old counter", s.RecordSignIn(ctx, in), passkey.ErrCounter)
	in.SignCount = 6
	must(t, s.RecordSignIn(ctx, in))
	expect(t, s, recorded(c, in))
}

func testParallelUsernameless(t *testing.T, s passkey.Store) {
	ctx := t.Context()
	c := newCredential(t, randomText(t))
	must(t, s.Add(ctx, c))
	in := signIn(t, c, 0)
	in.Usernameless = true
	must(t, s.PutSignInChallenge(ctx, in.Challenge, in.At.Add(2*time.Minute)))
	oneOf(t, passkey.ErrChallengeNotFound, func() error { return s.RecordSignIn(ctx, in) })
}

func signIn(t *testing.T, c passkey.Credential, count uint32) passkey.SignIn {
	return passkey.SignIn{
		UserHandle: c.UserHandle, CredentialID: c.ID, SignCount: count, BackupState: c.BackupState,
		Challenge: randomText(t), At: time.Now().UTC().Truncate(time.Millisecond),
	}
}

func recorded(c passkey.Credential, in passkey.SignIn) passkey.Credential {
	c.SignCount, c.BackupState, c.LastSignIn, c.LastChallenge = in.SignCount, in.BackupState, in.At, in.LastChallenge()
	return c
}

func equalJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
