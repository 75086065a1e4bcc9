package e2e

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/webauthn"
)

// operate runs `caddy passwordless` beside the server and returns what it prints and says on standard error.
func (d *deployment) operate(t *testing.T, args ...string) (out, said string, ok bool) {
	t.Helper()
	command := program(t, "caddy", append([]string{"passwordless"}, append(args, "--address", d.admin)...)...)
	text, err := command.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		return string(text), string(exit.Stderr), false
	}
	return string(text), "", true
}

type operatorSession struct {
	ID        string            `json:"id"`
	UserAgent string            `json:"user_agent"`
	Address   string            `json:"address"`
	Factors   map[string]string `json:"factors"`
}

// sessionsOf are what `sessions list --json` shows.
func (d *deployment) sessionsOf(t *testing.T, user string) (list []operatorSession) {
	t.Helper()
	out, said, ok := d.operate(t, "sessions", "list", user, "--json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || !ok {
		t.Fatalf("%v: %s%s", err, out, said)
	}
	return list
}

// addPasskey signs somebody new in by a link and adds a passkey, which it returns.
func (d *deployment) addPasskey(b *tab, email, target string) []*webauthn.Credential {
	b.t.Helper()
	b.withoutAutofill()
	device := attach(b)
	b.open(target)
	d.signInByLink(b, email, target)
	b.open(d.portal + "/auth/account")
	b.click("#add-passkey")
	b.see(".passkey[data-id]")
	return device.detach()
}

// A person reports a lost laptop. The operator finds its session, ends that one and no other, then all, by the command line.
func TestOperatorEndsSessions(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	target := d.app + "/reports"
	lost, kept := browse(t), browse(t)
	passkeys := d.addPasskey(lost, anna, target)
	first := d.sessionsOf(t, anna)
	if len(first) != 1 || first[0].ID == "" || !strings.Contains(first[0].UserAgent, "Chrome") || first[0].Address == "" || first[0].Factors["magic_link"] == "" {
		t.Fatalf("%+v", first)
	}
	kept.withoutAutofill()
	device := attach(kept, passkeys...)
	kept.open(target)
	kept.click("#passkey-button")
	kept.arrive(target)
	if both := d.sessionsOf(t, anna); len(both) != 2 {
		t.Fatalf("%+v", both)
	}
	// The same for people's eyes.
	table, _, ok := d.operate(t, "sessions", "list", anna)
	if !ok || strings.Count(table, "magic_link") != 1 || strings.Count(table, "Chrome") != 2 || !strings.HasPrefix(table, "SESSION ") {
		t.Errorf("%s", table)
	}

	// A session is ended for its owner only, and a part of its ID ends nothing.
	if _, said, ok := d.operate(t, "users", "add", "bob@example.com"); !ok {
		t.Fatal(said)
	}
	for _, args := range [][]string{{"bob@example.com", first[0].ID}, {anna, first[0].ID[1:]}, {anna, first[0].ID + "0"}} {
		if out, said, ok := d.operate(t, "sessions", "end", args[0], args[1]); ok || !strings.Contains(said, "no such session") {
			t.Errorf("%v: %s%s", args, out, said)
		}
	}
	if both := d.sessionsOf(t, anna); len(both) != 2 {
		t.Fatalf("%+v", both)
	}

	out, said, ok := d.operate(t, "sessions", "end", anna, first[0].ID)
	if !ok || out != "sessions ended: 1\n" {
		t.Fatalf("%s%s", out, said)
	}
	lost.open(target)
	lost.arriveBelow(d.portal + "/auth/sign-in")
	kept.open(target)
	kept.arrive(target)
	if left := d.sessionsOf(t, anna); len(left) != 1 || left[0].ID == first[0].ID {
		t.Errorf("%+v", left)
	}

	// Signed in anew, with the counter as the passkey left it, there are two once more; then everywhere at once.
	attach(lost, device.detach()...)
	lost.click("#passkey-button")
	lost.arrive(target)
	if out, said, ok := d.operate(t, "sessions", "end-all", anna); !ok || out != "sessions ended: 2\n" {
		t.Errorf("%s%s", out, said)
	}
	for _, b := range []*tab{lost, kept} {
		b.open(target)
		b.arriveBelow(d.portal + "/auth/sign-in")
	}
	if left := d.sessionsOf(t, anna); len(left) != 0 {
		t.Errorf("%+v", left)
	}
}

// Somebody leaves the company: disabled and signed out by the operator, their passkey lets them in no more. Enabled again, it does.
func TestOperatorDisablesUser(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	target := d.app + "/reports"
	b := browse(t)
	passkeys := d.addPasskey(b, anna, target)
	attach(b, passkeys...)
	for _, args := range [][]string{{"users", "disable", anna}, {"sessions", "end-all", anna}} {
		if out, said, ok := d.operate(t, args...); !ok {
			t.Fatalf("%v: %s%s", args, out, said)
		}
	}
	b.open(target)
	b.arriveBelow(d.portal + "/auth/sign-in")
	b.click("#passkey-button")
	b.noticed()
	if left := d.sessionsOf(t, anna); len(left) != 0 {
		t.Errorf("%+v", left)
	}
	if out, said, ok := d.operate(t, "users", "enable", anna); !ok {
		t.Fatalf("%s%s", out, said)
	}
	b.open(target)
	b.arriveBelow(d.portal + "/auth/sign-in")
	b.click("#passkey-button")
	b.arrive(target)
	b.greets(anna, "/reports", "")

	// Signed out and deleted, they are unknown, and no page opens.
	if out, said, ok := d.operate(t, "sessions", "end-all", anna); !ok || out != "sessions ended: 1\n" {
		t.Errorf("%s%s", out, said)
	}
	if out, said, ok := d.operate(t, "users", "delete", anna); !ok {
		t.Fatalf("%s%s", out, said)
	}
	if out, said, ok := d.operate(t, "users", "show", anna); ok || !strings.Contains(said, "there is no such user") {
		t.Errorf("%s%s", out, said)
	}
	b.open(target)
	b.arriveBelow(d.portal + "/auth/sign-in")
}
