// Package storetest checks that a store of the triggers keeps the promises that their interfaces ask for.
package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/pretoken"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

// Store is what create, verify and pretoken share.
type Store struct {
	Put      create.Links
	Leases   create.Leases
	Limiter  verify.Limiter
	Find     verify.Links
	Operate  verify.Operations
	Receipts verify.Receipts
	Read     pretoken.Receipts
}

// Now is the time of the checks; a store's own clock must show it.
var Now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

var rules = create.LinkRules{Outstanding: 3, Between: time.Minute}

// Conform checks an empty store.
func Conform(t *testing.T, s Store) {
	t.Run("leases", func(t *testing.T) { leases(t, s) })
	t.Run("one lease of many", func(t *testing.T) { leaseRace(t, s) })
	t.Run("limits", func(t *testing.T) { limits(t, s) })
	t.Run("limits of many at once", func(t *testing.T) { limitRace(t, s) })
	t.Run("receipts", func(t *testing.T) { receipts(t, s) })
	t.Run("links", func(t *testing.T) { links(t, s) })
	t.Run("rules of links", func(t *testing.T) { linkRules(t, s) })
	t.Run("withdrawn links", func(t *testing.T) { withdrawn(t, s) })
	t.Run("one use of many", func(t *testing.T) { useRace(t, s) })
	t.Run("one link of many", func(t *testing.T) { putRace(t, s) })
}

// Hash makes a key out of a name.
func Hash(name string) [sha256.Size]byte { return sha256.Sum256([]byte(name)) }

// Link makes a link of a user, issued some time after Now.
func Link(user, name string, after time.Duration) create.Link {
	at := Now.Add(after)
	return create.Link{
		UserNameHash: Hash(user), SignatureHash: Hash(name), Operation: Hash("op " + name), AddressHash: Hash(user + "@example.com"),
		IssuedAt: at, Expires: at.Add(15 * time.Minute), KeyID: "arn:aws:kms:eu-west-1:1:key/1",
	}
}

func leases(t *testing.T, s Store) {
	ctx, op := t.Context(), Hash("lease")
	lease := func(op [sha256.Size]byte, after time.Duration, want create.LeaseState) {
		t.Helper()
		if got, err := s.Leases.Lease(ctx, op, Now.Add(after), 5*time.Second); err != nil || got != want {
			t.Errorf("lease %v later: %v, %v; want %v", after, got, err, want)
		}
	}
	lease(op, 0, create.LeaseHeld)
	lease(op, 4999*time.Millisecond, create.LeaseRunning)
	lease(op, 5*time.Second, create.LeaseHeld)
	lease(op, 6*time.Second, create.LeaseRunning)
	for range 2 {
		if err := s.Leases.Sent(ctx, op); err != nil {
			t.Fatal(err)
		}
	}
	lease(op, 20*time.Second, create.LeaseSent)
	if err := s.Leases.Release(ctx, op); err != nil {
		t.Fatal(err)
	}
	lease(op, 20*time.Second, create.LeaseSent)

	given := Hash("given up")
	if err := s.Leases.Release(ctx, given); err != nil {
		t.Errorf("releasing what is not there: %v", err)
	}
	lease(given, 0, create.LeaseHeld)
	if err := s.Leases.Release(ctx, given); err != nil {
		t.Fatal(err)
	}
	lease(given, 0, create.LeaseHeld)
}

// atOnce runs n calls at once and counts those that report true.
func atOnce(t *testing.T, n int, call func(i int) (bool, error)) int {
	t.Helper()
	var yes atomic.Int64
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			ok, err := call(i)
			if err != nil {
				t.Error(err)
			}
			if ok {
				yes.Add(1)
			}
		})
	}
	wg.Wait()
	return int(yes.Load())
}

func leaseRace(t *testing.T, s Store) {
	held := atOnce(t, 8, func(int) (bool, error) {
		state, err := s.Leases.Lease(t.Context(), Hash("raced lease"), Now, 5*time.Second)
		return state == create.LeaseHeld, err
	})
	if held != 1 {
		t.Errorf("%d hold one lease", held)
	}
}

func limits(t *testing.T, s Store) {
	ctx, key := t.Context(), Hash("limit")
	take := func(op string, after time.Duration, want bool) {
		t.Helper()
		if ok, err := s.Limiter.Take(ctx, key, Hash(op), 2, time.Hour, Now.Add(after)); err != nil || ok != want {
			t.Errorf("%s after %v: %v, %v; want %v", op, after, ok, err, want)
		}
	}
	take("a", 0, true)
	take("a", time.Second, true)
	take("b", time.Second, true)
	take("b", time.Second, true)
	take("c", time.Second, false)
	take("c", time.Second, false)
	for _, op := range []string{"b", "b", "unknown"} {
		if err := s.Limiter.Return(ctx, key, Hash(op)); err != nil {
			t.Fatal(err)
		}
	}
	take("d", time.Minute, true)
	take("e", time.Minute, false)
	take("e", 2*time.Hour, true)
	if ok, err := s.Limiter.Take(ctx, Hash("another key"), Hash("e"), 2, time.Hour, Now); err != nil || !ok {
		t.Errorf("keys share a limit: %v, %v", ok, err)
	}
	all := Hash("all returned")
	for _, op := range []string{"a", "b"} {
		if ok, err := s.Limiter.Take(ctx, all, Hash(op), 1, time.Hour, Now); err != nil || !ok {
			t.Fatalf("%s: %v, %v", op, ok, err)
		}
		if err := s.Limiter.Return(ctx, all, Hash(op)); err != nil {
			t.Fatal(err)
		}
	}
}

func limitRace(t *testing.T, s Store) {
	within := atOnce(t, 8, func(i int) (bool, error) {
		return s.Limiter.Take(t.Context(), Hash("raced limit"), Hash(fmt.Sprint(i)), 3, time.Hour, Now)
	})
	if within != 3 {
		t.Errorf("%d are within a limit of 3", within)
	}
}

func receipts(t *testing.T, s Store) {
	ctx, key := t.Context(), Hash("receipt")
	if _, err := s.Read.Receipt(ctx, key); !errors.Is(err, pretoken.ErrReceiptNotFound) {
		t.Errorf("a receipt that nobody left: %v", err)
	}
	for _, method := range []string{"MAGIC_LINK", "FIDO2"} {
		left := verify.Receipt{Method: method, At: Now, Expires: Now.Add(time.Minute)}
		if err := s.Receipts.PutReceipt(ctx, key, left); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, err := s.Read.Receipt(ctx, key)
			if err != nil || got.Method != method || !got.At.Equal(left.At) || !got.Expires.Equal(left.Expires) {
				t.Errorf("read %+v, %v; left %+v", got, err, left)
			}
		}
	}
}

func (s Store) put(t *testing.T, l create.Link, want error) {
	t.Helper()
	if err := s.Put.Put(t.Context(), l, rules); !errors.Is(err, want) {
		t.Fatalf("putting a link: %v, want %v", err, want)
	}
}

func (s Store) use(t *testing.T, l create.Link, by string, after time.Duration, want error) {
	t.Helper()
	err := s.Find.Consume(t.Context(), verify.Use{UserNameHash: l.UserNameHash, SignatureHash: l.SignatureHash, By: by, At: Now.Add(after)})
	if !errors.Is(err, want) {
		t.Errorf("using a link: %v, want %v", err, want)
	}
}

func links(t *testing.T, s Store) {
	ctx := t.Context()
	first, second, third := Link("alice", "a1", 0), Link("alice", "a2", time.Minute), Link("alice", "a3", 2*time.Minute)
	other := Link("bob", "b1", 0)
	for _, l := range []create.Link{first, other, second, third} {
		s.put(t, l, nil)
	}
	for _, l := range []create.Link{first, second, third, other} {
		got, err := s.Find.Find(ctx, l.UserNameHash, l.SignatureHash)
		want := verify.Link{IssuedAt: l.IssuedAt, Expires: l.Expires, KeyID: l.KeyID, AddressHash: l.AddressHash}
		if err != nil || !got.IssuedAt.Equal(want.IssuedAt) || !got.Expires.Equal(want.Expires) || got.KeyID != want.KeyID ||
			got.AddressHash != want.AddressHash || !got.UsedAt.IsZero() {
			t.Errorf("found %+v, %v; want %+v", got, err, want)
		}
		if hash, err := s.Operate.FindOperation(ctx, l.UserNameHash, l.Operation); err != nil || hash != l.SignatureHash {
			t.Errorf("the link of an operation: %v", err)
		}
	}
	if _, err := s.Find.Find(ctx, Hash("alice"), other.SignatureHash); !errors.Is(err, verify.ErrLinkNotFound) {
		t.Errorf("another user's link: %v", err)
	}
	if _, err := s.Operate.FindOperation(ctx, Hash("alice"), other.Operation); !errors.Is(err, verify.ErrLinkNotFound) {
		t.Errorf("the link of another user's operation: %v", err)
	}
	s.use(t, Link("alice", "never made", 0), "session", 3*time.Minute, verify.ErrLinkNotFound)

	// An older one is used: retries of that session pass, all else is over.
	s.use(t, second, "session", 3*time.Minute, nil)
	s.use(t, second, "session", 3*time.Minute, nil)
	s.use(t, second, "another session", 3*time.Minute, verify.ErrLinkUsed)
	s.use(t, second, "", 3*time.Minute, verify.ErrLinkUsed)
	s.use(t, first, "session", 3*time.Minute, verify.ErrLinkNotFound)
	s.use(t, third, "session", 3*time.Minute, verify.ErrLinkNotFound)
	if used, err := s.Find.Find(ctx, second.UserNameHash, second.SignatureHash); err != nil || used.UsedBy != "session" || !used.UsedAt.Equal(Now.Add(3*time.Minute)) {
		t.Errorf("the used link is %+v, %v", used, err)
	}
	// The next link does not make the used one usable again.
	s.put(t, Link("alice", "a4", 10*time.Minute), nil)
	s.use(t, second, "another session", 11*time.Minute, verify.ErrLinkUsed)
	s.use(t, other, "", 3*time.Minute, nil)
	s.use(t, other, "", 3*time.Minute, verify.ErrLinkUsed)
}

func linkRules(t *testing.T, s Store) {
	s.put(t, Link("carol", "c1", 0), nil)
	s.put(t, Link("carol", "too soon", 59*time.Second), create.ErrTooManyLinks)
	s.put(t, Link("carol", "c2", time.Minute), nil)
	again := Link("carol", "c2 again", time.Minute)
	again.Operation = Hash("op c2")
	s.put(t, again, nil) // counts for neither rule
	s.use(t, Link("carol", "c2", 0), "", 0, verify.ErrLinkNotFound)
	s.put(t, Link("carol", "c3", 2*time.Minute), nil)
	s.put(t, Link("carol", "a fourth", 4*time.Minute), create.ErrTooManyLinks)
	s.use(t, Link("carol", "a fourth", 0), "", 0, verify.ErrLinkNotFound)
	s.put(t, Link("carol", "the first is over", 15*time.Minute), nil)
	// A used link counts for the time between two.
	s.use(t, Link("carol", "the first is over", 0), "", 15*time.Minute, nil)
	s.put(t, Link("carol", "soon after use", 15*time.Minute+30*time.Second), create.ErrTooManyLinks)
	s.put(t, Link("carol", "later", 16*time.Minute), nil)
}

func withdrawn(t *testing.T, s Store) {
	older, newer := Link("dave", "d1", 0), Link("dave", "d2", time.Minute)
	s.put(t, older, nil)
	s.put(t, newer, nil)
	for range 2 {
		if err := s.Put.Withdraw(t.Context(), newer); err != nil {
			t.Fatal(err)
		}
	}
	s.use(t, newer, "", time.Minute, verify.ErrLinkNotFound)
	s.put(t, Link("dave", "d3", time.Minute), nil)
	s.use(t, older, "", time.Minute, nil)
	if err := s.Put.Withdraw(t.Context(), Link("nobody", "n1", 0)); err != nil {
		t.Errorf("withdrawing what is not there: %v", err)
	}
}

// A link that two browsers open at once signs one in.
func useRace(t *testing.T, s Store) {
	l := Link("erin", "e1", 0)
	s.put(t, Link("erin", "e0", -2*time.Minute), nil)
	s.put(t, l, nil)
	used := atOnce(t, 6, func(i int) (bool, error) {
		err := s.Find.Consume(t.Context(), verify.Use{UserNameHash: l.UserNameHash, SignatureHash: l.SignatureHash, By: fmt.Sprint(i), At: Now})
		if errors.Is(err, verify.ErrLinkUsed) {
			return false, nil
		}
		return err == nil, err
	})
	if used != 1 {
		t.Errorf("%d used one link", used)
	}
}

// Asking from several browsers at once makes one link.
func putRace(t *testing.T, s Store) {
	made := atOnce(t, 6, func(i int) (bool, error) {
		err := s.Put.Put(t.Context(), Link("frank", fmt.Sprint("f", i), 0), rules)
		if errors.Is(err, create.ErrTooManyLinks) {
			return false, nil
		}
		return err == nil, err
	})
	if made != 1 {
		t.Errorf("%d links within a minute", made)
	}
}
