package localpool

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

// crashFile names, in the environment of a child process, the data file that it writes until it is killed.
const crashFile = "LOCALPOOL_CRASH_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashFile); path != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(path))
		os.Exit(1)
	}
	if os.Getenv(inboxChild) != "" {
		fmt.Fprintln(os.Stderr, serveInboxOf(os.Stdin, os.Stdout))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const (
	crashRounds  = 200
	crashHandle  = "u|crash"
	crashWriters = 3
)

var crashKey = []byte("one passkey")

// crashConfig has no triggers' work in it: what is written is small, so that many rounds are quick.
func crashConfig(path string) Config {
	return Config{Path: path, RedirectURIs: []string{redirect}}
}

func crashLink(round string, n int) create.Link {
	return create.Link{
		UserNameHash: sha256.Sum256(fmt.Appendf(nil, "%s user %d", round, n)), SignatureHash: sha256.Sum256([]byte("signature")),
		Operation: sha256.Sum256(fmt.Appendf(nil, "operation %d", n)), IssuedAt: time.Now(), Expires: time.Now().Add(time.Minute),
	}
}

// crashUser is the address of somebody whom no other round knows.
func crashUser(round string, n int) string {
	return fmt.Sprintf("%s.%d@example.com", strings.ReplaceAll(round, " ", "."), n)
}

// crashUse is the use of a link by somebody new each time, so that no use passes for the retry of another.
func crashUse(l create.Link, by string) verify.Use {
	return verify.Use{UserNameHash: l.UserNameHash, SignatureHash: l.SignatureHash, By: by, At: time.Now()}
}

// writeUntilKilled moves a passkey's counter, uses links, and makes and disables users, all at once. Each line that it prints is one
// acknowledged change.
func writeUntilKilled(path string) error {
	p, err := Open(crashConfig(path))
	if err != nil {
		return err
	}
	c, err := p.Credentials().Get(context.Background(), crashHandle, crashKey)
	if err != nil {
		return err
	}
	round := fmt.Sprint(os.Getpid(), " ", time.Now().UnixNano())
	failed := make(chan error)
	go func() {
		for n := c.SignCount + 1; ; n++ {
			err := p.Credentials().RecordSignIn(context.Background(), passkey.SignIn{
				UserHandle: crashHandle, CredentialID: crashKey, SignCount: n, Challenge: fmt.Sprint(n), At: time.Now(),
			})
			if err != nil {
				failed <- err
				return
			}
			fmt.Printf("counter %d\n", n)
		}
	}()
	go func() {
		for n := 0; ; n++ {
			name := crashUser(round, n)
			_, err := p.AddAccount(context.Background(), name)
			if err == nil {
				fmt.Printf("user %s\n", name)
				_, err = p.SetAccountEnabled(context.Background(), name, false)
			}
			if err != nil {
				failed <- err
				return
			}
			fmt.Printf("disabled %s\n", name)
		}
	}()
	for w := range crashWriters {
		go func() {
			links := &triggerStore{pool: p}
			for n := w; ; n += crashWriters {
				l := crashLink(round, n)
				err := links.Put(context.Background(), l, create.LinkRules{Outstanding: 5})
				if err == nil {
					err = links.Consume(context.Background(), crashUse(l, "first"))
				}
				if err != nil {
					failed <- err
					return
				}
				fmt.Printf("used %s %d\n", round, n)
			}
		}()
	}
	return <-failed
}

// runAndKill starts a child and kills it with SIGKILL after so many acknowledged changes. It returns all that were acknowledged.
func runAndKill(t *testing.T, path string, after int) []string {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), crashFile+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	child.Stderr = &said
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var kill sync.Once
	end := func() {
		kill.Do(func() {
			if err := child.Process.Kill(); err != nil {
				t.Error(err)
			}
		})
	}
	if after == 0 {
		end()
	}
	var lines []string
	for s := bufio.NewScanner(out); s.Scan(); {
		if lines = append(lines, s.Text()); len(lines) >= after {
			end()
		}
	}
	_ = child.Wait() // killed
	if said.Len() > 0 {
		t.Fatalf("the child failed by itself: %s", said.String())
	}
	return lines
}

// Crash: the process dies by SIGKILL in the middle of its writes, again and again. Whatever it acknowledged is in the file, the file is
// sound, a passkey's counter never goes back, a used link stays used, and who was disabled stays so.
func TestKillNine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool.db")
	p, err := Open(crashConfig(path))
	if err != nil {
		t.Fatal(err)
	}
	id := p.UserPoolID()
	err = p.Credentials().Add(t.Context(), passkey.Credential{ID: crashKey, UserHandle: crashHandle, RelyingPartyID: rpID})
	if err := errors.Join(err, p.Close()); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(9, 9))
	var counter uint32
	changes := 0
	for round := range crashRounds {
		lines := runAndKill(t, path, random.IntN(40))
		changes += len(lines)
		p, err := Open(crashConfig(path)) // reads and checks the whole file
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if p.UserPoolID() != id {
			t.Fatalf("round %d: the pool is now %s", round, p.UserPoolID())
		}
		counter = checkAcknowledged(t, p, lines, counter)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("round %d, after %d changes", round, changes)
		}
	}
	if changes < crashRounds {
		t.Errorf("only %d changes were acknowledged in %d rounds", changes, crashRounds)
	}
}

// checkAcknowledged compares the file with what the child said. least is the counter that an earlier round saw; it returns the present one.
func checkAcknowledged(t *testing.T, p *Pool, lines []string, least uint32) uint32 {
	t.Helper()
	for _, line := range lines {
		var n uint32
		if _, err := fmt.Sscanf(line, "counter %d", &n); err == nil {
			least = max(least, n)
			continue
		}
		if name, found := strings.CutPrefix(line, "user "); found {
			if _, err := p.Account(name); err != nil {
				t.Errorf("%q: %v", line, err)
			}
			continue
		}
		if name, found := strings.CutPrefix(line, "disabled "); found {
			if a, err := p.Account(name); err != nil || a.Enabled {
				t.Errorf("%q: %+v, %v", line, a, err)
			}
			continue
		}
		var pid, at string
		var link int
		if _, err := fmt.Sscanf(line, "used %s %s %d", &pid, &at, &link); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		err := (&triggerStore{pool: p}).Consume(t.Context(), crashUse(crashLink(pid+" "+at, link), "an attacker"))
		if !errors.Is(err, verify.ErrLinkUsed) {
			t.Errorf("%q: used again after the crash: %v", line, err)
		}
	}
	c, err := p.Credentials().Get(t.Context(), crashHandle, crashKey)
	if err != nil {
		t.Fatal(err)
	}
	if c.SignCount < least {
		t.Errorf("the counter is %d, %d was acknowledged", c.SignCount, least)
	}
	// Attack: an assertion with the counter of before the crash.
	err = p.Credentials().RecordSignIn(t.Context(), passkey.SignIn{
		UserHandle: crashHandle, CredentialID: crashKey, SignCount: c.SignCount, Challenge: "replayed", At: time.Now(),
	})
	if c.SignCount > 0 && !errors.Is(err, passkey.ErrCounter) {
		t.Errorf("counter %d counts again after the crash: %v", c.SignCount, err)
	}
	return c.SignCount
}
