package localpool

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/token"
)

// copyFile puts a copy in a file's place, as an operator does it.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(target, source); err != nil {
		t.Fatal(err)
	}
	for _, c := range []io.Closer{source, target} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Everything is lost but the backup: people go on with the passkeys, tokens and clients that they have, what was over stays over, and
// what came after the backup is unknown.
func TestRestoredBackup(t *testing.T) {
	config := testConfig(t, newClock())
	p := openPool(t, config)
	sub := signUp(t, p, alice)
	link, _ := askLink(t, p, alice)
	tokens := useLink(t, p, alice, link)
	device := addPasskey(t, p, sub)
	byKey := mustInitiate(t, p, alice)
	revoked, err := respond(p, *byKey.Session, alice, assert(t, device, byKey), withKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := revoke(p, *revoked.AuthenticationResult.RefreshToken); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	if _, err := p.Backup(backup); err != nil {
		t.Fatal(err)
	}

	// After the backup: somebody else signs up, and the only user is deleted by mistake.
	if _, err := p.AddAccount(t.Context(), "bob@example.com"); err != nil {
		t.Fatal(err)
	}
	if err := p.RemoveAccount(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	id, client, secret := p.UserPoolID(), p.ClientID(), p.ClientSecret()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	copyFile(t, backup, config.Path)

	p = openPool(t, config)
	if p.UserPoolID() != id || p.ClientID() != client || p.ClientSecret() != secret {
		t.Errorf("the pool is now %s, %s", p.UserPoolID(), p.ClientID())
	}
	if got, err := p.Account(alice); err != nil || got.Sub != sub || got.Passkeys != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := p.Account("bob@example.com"); err == nil {
		t.Error("somebody who came after the backup is known")
	}
	first := mustInitiate(t, p, alice)
	if out, err := respond(p, *first.Session, alice, assert(t, device, first), withKey); err != nil || out.AuthenticationResult == nil {
		t.Errorf("the passkey: %v", err)
	}
	if _, err := verifier(t, p).Verify(t.Context(), *tokens.IdToken, token.ID); err != nil {
		t.Errorf("a token of before: %v", err)
	}
	if _, err := refresh(p, *tokens.RefreshToken); err != nil {
		t.Errorf("the refresh token: %v", err)
	}
	if _, err := refresh(p, *revoked.AuthenticationResult.RefreshToken); err == nil {
		t.Error("a revoked token came back to life")
	}
	// Attack: a link that was used before the backup.
	again := mustInitiate(t, p, alice)
	if out, err := respond(p, *again.Session, alice, fragment(t, link), haveLink); err == nil && out.AuthenticationResult != nil {
		t.Error("a used link signs in")
	}
}
