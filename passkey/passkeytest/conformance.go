package passkeytest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/passkey"
)

// RunStore tests that a store keeps the promises of passkey.Store. The function must give a store that is empty, or that has
// nothing of the random users, IDs and challenges used here. Expiry times are minutes away from the real time.
func RunStore(t *testing.T, open func(t *testing.T) passkey.Store) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, passkey.Store)
	}{
		{"registration challenge is taken once by its user", testTakeRegistration},
		{"expired registration challenge is not found", testExpiredRegistration},
		{"of parallel takers one gets the challenge", testParallelTake},
		{"credential comes back as it was added", testAddGet},
		{"credential without optional members", testMinimalCredential},
		{"credential ID of any length may be asked for", testLongID},
		{"credential ID is unique over all users", testUniqueID},
		{"of parallel additions of one ID one succeeds", testParallelAdd},
		{"list is by relying party and oldest first", testList},
		{"rename and delete are the owner's", testRenameDelete},
		{"sign-in is recorded", testRecordSignIn},
		{"counter must advance or stay zero", testCounter},
		{"of parallel sign-ins with one counter value one is recorded", testParallelCounter},
		{"retry of the last challenge is accepted and changes nothing", testRetry},
		{"sign-in with another user's credential", testForeignSignIn},
		{"usernameless challenge is consumed once", testUsernameless},
		{"replayed usernameless assertion is no retry", testUsernamelessReplay},
		{"expired usernameless challenge", testExpiredSignInChallenge},
		{"refused sign-in leaves the usernameless challenge", testRefusedKeepsChallenge},
		{"of parallel usernameless sign-ins one consumes the challenge", testParallelUsernameless},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func testTakeRegistration(t *testing.T, s passkey.Store) {
	ctx, now := t.Context(), time.Now()
	alice, mallory, chall := randomText(t), randomText(t), randomText(t)
	// The numbers and nesting are those of real options: a database that keeps them as a document must give them back.
	options := `{"challenge":"` + chall + `","pubKeyCredParams":[{"type":"public-key","alg":-7}],"timeout":300000,"excludeCredentials":[]}`
	must(t, s.PutRegistration(ctx, alice, chall, []byte(options), now.Add(5*time.Minute)))
	_, err := s.TakeRegistration(ctx, mallory, chall, now)
	want(t, "another user's take", err, passkey.ErrChallengeNotFound)
	got, err := s.TakeRegistration(ctx, alice, chall, now)
	must(t, err)
	if !equalJSON(got, []byte(options)) {
		t.Errorf("options came back as %s, want %s", got, options)
	}
	_, err = s.TakeRegistration(ctx, alice, chall, now)
	want(t, "second take", err, passkey.ErrChallengeNotFound)
	_, err = s.TakeRegistration(ctx, alice, randomText(t), now)
	want(t, "take of an unknown challenge", err, passkey.ErrChallengeNotFound)
}

func testExpiredRegistration(t *testing.T, s passkey.Store) {
	ctx, now := t.Context(), time.Now()
	alice, chall := randomText(t), randomText(t)
	must(t, s.PutRegistration(ctx, alice, chall, []byte(`{}`), now.Add(5*time.Minute)))
	_, err := s.TakeRegistration(ctx, alice, chall, now.Add(6*time.Minute))
	want(t, "late take", err, passkey.ErrChallengeNotFound)
}

func testParallelTake(t *testing.T, s passkey.Store) {
	ctx, now := t.Context(), time.Now()
	alice, chall := randomText(t), randomText(t)
	must(t, s.PutRegistration(ctx, alice, chall, []byte(`{}`), now.Add(5*time.Minute)))
	oneOf(t, passkey.ErrChallengeNotFound, func() error {
		_, err := s.TakeRegistration(ctx, alice, chall, now)
		return err
	})
}

func testAddGet(t *testing.T, s passkey.Store) {
	ctx := t.Context()
	c := newCredential(t, randomText(t))
	must(t, s.Add(ctx, c))
	expect(t, s, c)
	_, err := s.Get(ctx, c.UserHandle, randomBytes(t, 32))
	want(t, "get of an unknown ID", err, passkey.ErrUnknownCredential)
	_, err = s.Get(ctx, randomText(t), c.ID)
	want(t, "get by another user", err, passkey.ErrUnknownCredential)
}

func testMinimalCredential(t *testing.T, s passkey.Store) {
	c := passkey.Credential{
		ID: randomBytes(t, passkey.MaxCredentialID), UserHandle: "u|" + randomText(t), RelyingPartyID: "example.com", FriendlyName: "Passkey",
		PublicKey: passkey.PublicKey{Kty: "RSA", Alg: "RS256", N: "sXch", E: "AQAB"},
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond), SignCount: 1<<32 - 1,
	}
	must(t, s.Add(t.Context(), c))
	expect(t, s, c)
}

// Whoever signs in or asks to delete chooses the ID: one that no key of a database can hold is unknown, and no error of the database.
func testLongID(t *testing.T, s passkey.Store) {
	ctx := t.Context()
	c := newCredential(t, randomText(t))
	must(t, s.Add(ctx, c))
	for _, n := range []int{passkey.MaxCredentialID + 1, 1023, 8 << 10} {
		c.ID = randomBytes(t, n)
		_, err := s.Get(ctx, c.UserHandle, c.ID)
		want(t, "get of a long ID", err, passkey.ErrUnknownCredential)
		want(t, "rename of a long ID", s.Rename(ctx, c.UserHandle, c.ID, "x"), passkey.ErrUnknownCredential)
		want(t, "sign-in with a long ID", s.RecordSignIn(ctx, signIn(t, c, 7)), passkey.ErrUnknownCredential)
		must(t, s.Delete(ctx, c.UserHandle, c.ID))
	}
}

func testUniqueID(t *testing.T, s passkey.Store) {
	ctx := t.Context()
	c := newCredential(t, randomText(t))
	must(t, s.Add(ctx, c))
	want(t, "adding it again", s.Add(ctx, c), passkey.ErrCredentialExists)
	other := newCredential(t, randomText(t))
	other.ID = c.ID
	want(t, "adding it for another user", s.Add(ctx, other), passkey.ErrCredentialExists)
	expect(t, s, c)
	list, err := s.List(ctx, other.UserHandle, "")
	must(t, err)
	if len(list) != 0 {
		t.Errorf("the other user has %d passkeys, want none", len(list))
	}
}

func testParallelAdd(t *testing.T, s passkey.Store) {
	c := newCredential(t, randomText(t))
	oneOf(t, passkey.ErrCredentialExists, func() error { return s.Add(t.Context(), c) })
}

func testList(t *testing.T, s passkey.Store) {
	ctx := t.Context()
	alice := randomText(t)
	var all []passkey.Credential
	for i := range 3 {
		c := newCredential(t, alice)
		c.CreatedAt = c.CreatedAt.Add(time.Duration(-i) * time.Hour)
		all = append([]passkey.Credential{c}, all...)
	}
	all[1].RelyingPartyID = "example.net"
	for _, i := range []int{1, 0, 2} {
		must(t, s.Add(ctx, all[i]))
	}
	must(t, s.Add(ctx, newCredential(t, randomText(t)))) // a stranger's
	for _, c := range []struct {
		rp   string
		want []passkey.Credential
	}{
		{"", all}, {"example.com", []passkey.Credential{all[0], all[2]}}, {"example.net", all[1:2]}, {"example.org", nil},
	} {
		got, err := s.List(ctx, alice, c.rp)
		must(t, err)
		if fmt.Sprint(ids(got)) != fmt.Sprint(ids(c.want)) {
			t.Errorf("list of %q gives %v, want %v", c.rp, ids(got), ids(c.want))
		}
	}
}

func testRenameDelete(t *testing.T, s passkey.Store) {
	ctx := t.Context()
	c, mallory := newCredential(t, randomText(t)), randomText(t)
	must(t, s.Add(ctx, c))
	want(t, "another user's rename", s.Rename(ctx, mallory, c.ID, "x"), passkey.ErrUnknownCredential)
	want(t, "rename of an unknown ID", s.Rename(ctx, c.UserHandle, randomBytes(t, 32), "x"), passkey.ErrUnknownCredential)
	must(t, s.Rename(ctx, c.UserHandle, c.ID, "Schlüssel 🔑"))
	c.FriendlyName = "Schlüssel 🔑"
	must(t, s.Delete(ctx, mallory, c.ID))
	expect(t, s, c)
	must(t, s.Delete(ctx, c.UserHandle, c.ID))
	must(t, s.Delete(ctx, c.UserHandle, c.ID))
	_, err := s.Get(ctx, c.UserHandle, c.ID)
	want(t, "get of a deleted passkey", err, passkey.ErrUnknownCredential)
	want(t, "rename of a deleted passkey", s.Rename(ctx, c.UserHandle, c.ID, "x"), passkey.ErrUnknownCredential)
	want(t, "sign-in with a deleted passkey", s.RecordSignIn(ctx, signIn(t, c, 1)), passkey.ErrUnknownCredential)
	must(t, s.Add(ctx, c)) // the ID is free again
}

func newCredential(t *testing.T, userHandle string) passkey.Credential {
	return passkey.Credential{
		ID:             randomBytes(t, 32),
		UserHandle:     userHandle,
		PublicKey:      passkey.PublicKey{Alg: "ES256", Crv: "P-256", Kty: "EC", X: randomText(t), Y: randomText(t)},
		FriendlyName:   "My \"key\" <b>",
		UserVerified:   true,
		BackupEligible: true,
		BackupState:    true,
		AAGUID:         [16]byte(randomBytes(t, 16)),
		Transports:     []string{"internal", "hybrid"},
		RelyingPartyID: "example.com",
		CreatedAt:      time.Now().UTC().Truncate(time.Millisecond),
	}
}

// oneOf calls f in parallel: one call must succeed, the others must be refused.
func oneOf(t *testing.T, refusal error, f func() error) {
	t.Helper()
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	accepted := 0
	for _, err := range errs {
		if err == nil {
			accepted++
		} else if !errors.Is(err, refusal) {
			t.Errorf("a parallel call failed with %v, want %v", err, refusal)
		}
	}
	if accepted != 1 {
		t.Errorf("%d of %d parallel calls were accepted, want 1", accepted, len(errs))
	}
}

func expect(t *testing.T, s passkey.Store, c passkey.Credential) {
	t.Helper()
	got, err := s.Get(context.WithoutCancel(t.Context()), c.UserHandle, c.ID)
	must(t, err)
	if !got.CreatedAt.Equal(c.CreatedAt) || !got.LastSignIn.Equal(c.LastSignIn) {
		t.Errorf("times are %v and %v, want %v and %v", got.CreatedAt, got.LastSignIn, c.CreatedAt, c.LastSignIn)
	}
	got.CreatedAt, got.LastSignIn = c.CreatedAt, c.LastSignIn
	if len(got.LastChallenge) == 0 && len(c.LastChallenge) == 0 {
		got.LastChallenge = c.LastChallenge
	}
	if !reflect.DeepEqual(got, c) {
		t.Errorf("the credential is\n%+v, want\n%+v", got, c)
	}
}

func want(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ids(list []passkey.Credential) []string {
	var texts []string
	for _, c := range list {
		texts = append(texts, fmt.Sprintf("%x", c.ID[:4]))
	}
	return texts
}

func randomBytes(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func randomText(t *testing.T) string { return fmt.Sprintf("%x", randomBytes(t, 16)) }
