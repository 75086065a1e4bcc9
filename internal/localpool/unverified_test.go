package localpool

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// Attack: somebody types addresses of others into the sign-in page, and each becomes an account. They are removed after a while, all but
// those that somebody signed in to or an administrator cares for; their addresses are free again.
func TestAccountsThatNobodyVerifiedAreRemoved(t *testing.T) {
	c := newClock()
	config := testConfig(t, c)
	config.UnverifiedLifetime = 24 * time.Hour
	p := openPool(t, config)
	sweep := func() {
		t.Helper()
		c.advance(sweepEvery)
		if err := p.db.update(t.Context(), func(*bbolt.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	exists := func(name string) bool {
		t.Helper()
		_, found, err := p.user(name)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for i := range 5 {
		signUp(t, p, fmt.Sprintf("junk%d@example.org", i))
	}
	signUp(t, p, alice)
	signInByLink(t, p, alice)
	if _, err := p.AddAccount(t.Context(), "invited@example.com"); err != nil {
		t.Fatal(err)
	}
	signUp(t, p, "member@example.com")
	err := p.db.update(t.Context(), func(tx *bbolt.Tx) error {
		u, _, err := findUser(tx, "member@example.com", c.now())
		if err != nil {
			return err
		}
		u.Groups = []string{"staff"}
		return putUser(tx, u)
	})
	if err != nil {
		t.Fatal(err)
	}
	c.advance(23 * time.Hour)
	sweep()
	for i := range 5 {
		if !exists(fmt.Sprintf("junk%d@example.org", i)) {
			t.Errorf("account %d went before its time", i)
		}
	}
	c.advance(2 * time.Hour)
	sweep()
	for i := range 5 {
		if exists(fmt.Sprintf("junk%d@example.org", i)) {
			t.Errorf("account %d is still there", i)
		}
	}
	c.advance(90 * 24 * time.Hour)
	sweep()
	for _, name := range []string{alice, "invited@example.com", "member@example.com"} {
		if !exists(name) {
			t.Errorf("%s was removed", name)
		}
	}
	signUp(t, p, "junk0@example.org") // the address is free
	signInByLink(t, p, "junk0@example.org")
}

// A reload, a restart and a changed time are no way around, in either direction.
func TestUnverifiedLifetimeChanges(t *testing.T) {
	c := newClock()
	config := testConfig(t, c)
	config.Path = filepath.Join(t.TempDir(), "pool.db")
	config.UnverifiedLifetime = time.Hour
	p, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	signUp(t, p, "junk@example.org")
	config.UnverifiedLifetime = 48 * time.Hour
	if err := p.Reconfigure(config); err != nil {
		t.Fatal(err)
	}
	c.advance(2 * time.Hour)
	signUp(t, p, "other@example.org") // a commit, with its sweep
	if _, found, err := p.user("junk@example.org"); !found || err != nil {
		t.Errorf("removed before the longer time: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	c.advance(47 * time.Hour)
	p = openPool(t, config)
	c.advance(sweepEvery)
	signUp(t, p, "another@example.org")
	if _, found, err := p.user("junk@example.org"); found || err != nil {
		t.Errorf("kept over a restart: %v", err)
	}
	if _, found, err := p.user("other@example.org"); !found || err != nil {
		t.Errorf("a younger one was removed: %v", err)
	}
	config.UnverifiedLifetime = time.Minute
	if err := p.Reconfigure(config); err == nil {
		t.Error("a minute is less than a link lives")
	}
}

// Each reason to stay suffices alone: a sign-in, which need not verify an address, and an address that was verified without one.
func TestEachReasonKeepsAnAccount(t *testing.T) {
	for name, reason := range map[string]func(tx *bbolt.Tx, now time.Time) error{
		"a sign-in": func(tx *bbolt.Tx, now time.Time) error { return keepUser(tx, alice, now) },
		"a verified address": func(tx *bbolt.Tx, now time.Time) error {
			u, _, err := findUser(tx, alice, now)
			if err != nil {
				return err
			}
			u.Attributes["email_verified"] = "true"
			return putUser(tx, u)
		},
	} {
		c := newClock()
		config := testConfig(t, c)
		config.UnverifiedLifetime = time.Hour
		p := openPool(t, config)
		signUp(t, p, alice)
		if err := p.db.update(t.Context(), func(tx *bbolt.Tx) error { return reason(tx, c.now()) }); err != nil {
			t.Fatal(err)
		}
		c.advance(90 * 24 * time.Hour)
		signUp(t, p, "other@example.org") // a commit, with its sweep
		if _, found, err := p.user(alice); !found || err != nil {
			t.Errorf("%s: the account was removed, %v", name, err)
		}
	}
}
