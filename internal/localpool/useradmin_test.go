package localpool

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestAccounts(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	made, err := p.AddAccount(t.Context(), alice)
	if err != nil || made.Status != "CONFIRMED" || !made.Enabled || made.Attributes["email_verified"] != "false" {
		t.Fatalf("%+v, %v", made, err)
	}
	if _, err := p.AddAccount(t.Context(), strings.ToUpper(alice)); !errors.Is(err, ErrAccountExists) {
		t.Errorf("the same address twice: %v", err)
	}
	for _, bad := range []string{"", "alice", "a@b\r\nc", "\"x\"@example.com"} {
		if _, err := p.AddAccount(t.Context(), bad); !errors.Is(err, ErrAccountInput) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	a := addPasskey(t, p, made.Sub)
	if got, err := p.SetAccountGroups(t.Context(), alice, []string{"b", "a", "b"}); err != nil || !slices.Equal(got.Groups, []string{"a", "b"}) || got.Passkeys != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "a b", "a,b", "a\n", strings.Repeat("g", 129)} {
		if _, err := p.SetAccountGroups(t.Context(), alice, []string{bad}); !errors.Is(err, ErrAccountInput) {
			t.Errorf("group %q: %v", bad, err)
		}
	}
	tokens := signInByLink(t, p, alice)

	// A disabled user is out at once: no sign-in, no refresh.
	if got, err := p.SetAccountEnabled(t.Context(), alice, false); err != nil || got.Enabled {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = initiate(p, alice)
	refused(t, err, "NotAuthorizedException", "User is disabled.")
	if _, err = refresh(p, *tokens.RefreshToken); err == nil {
		t.Error("a disabled user refreshed")
	}
	if got, err := p.SetAccountEnabled(t.Context(), alice, true); err != nil || !got.Enabled {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err = refresh(p, *tokens.RefreshToken); err == nil {
		t.Error("tokens came back to life")
	}

	// A deleted user leaves nothing that a successor under the same address could inherit.
	if err := p.RemoveAccount(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	if err := p.RemoveAccount(t.Context(), alice); !errors.Is(err, ErrNoAccount) {
		t.Errorf("deleted twice: %v", err)
	}
	if _, err := p.Account(alice); !errors.Is(err, ErrNoAccount) {
		t.Errorf("still there: %v", err)
	}
	next, err := p.AddAccount(t.Context(), alice)
	if err != nil || next.Sub == made.Sub || next.Passkeys != 0 || len(next.Groups) != 0 {
		t.Errorf("%+v, %v", next, err)
	}
	first := mustInitiate(t, p, alice)
	if _, err := respond(p, *first.Session, alice, assert(t, a, first), withKey); err == nil {
		t.Error("the predecessor's passkey signs in")
	}
}

func TestAccountsInPages(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	for _, name := range []string{"a@example.com", "b@example.com", "c@example.com"} {
		if _, err := p.AddAccount(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	all, err := p.Accounts("")
	if err != nil || len(all) != 3 {
		t.Fatalf("%d, %v", len(all), err)
	}
	rest, err := p.Accounts(all[0].Username)
	if err != nil || len(rest) != 2 || rest[0].Username != all[1].Username {
		t.Errorf("%+v, %v", rest, err)
	}
}

// A backup made while people write is a whole file of one moment: it opens, and whoever was acknowledged before it is in it.
func TestBackupWhileRunning(t *testing.T) {
	config := testConfig(t, newClock())
	p := openPool(t, config)
	before, err := p.AddAccount(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for _, name := range []string{"x@example.com", "y@example.com"} {
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := p.AddAccount(t.Context(), name); err != nil {
					t.Error(err)
				}
				if err := p.RemoveAccount(t.Context(), name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	to := filepath.Join(t.TempDir(), "backup.db")
	size, err := p.Backup(to)
	close(stop)
	writers.Wait()
	info, serr := os.Stat(to)
	if err != nil || serr != nil || info.Size() != size || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v, %v", info, err, serr)
	}
	config.Path = to
	restored := openPool(t, config)
	if got, err := restored.Account(alice); err != nil || got.Sub != before.Sub || restored.ClientSecret() != p.ClientSecret() {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{to, "backup.db", filepath.Join(t.TempDir(), "no", "backup.db")} {
		if _, err := p.Backup(bad); err == nil {
			t.Errorf("wrote %s", bad)
		}
	}
}

func TestOpenExistingMakesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool.db")
	if _, err := OpenExisting(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("made a file: %v", err)
	}
}
