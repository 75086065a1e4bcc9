package caddyauth

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// runCommand runs `caddy passwordless` with the commands of a build without the embedded user pool, as this test's is.
func runCommand(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	root := &cobra.Command{Use: "caddy"}
	registered, ok := caddycmd.Commands()[appName]
	if !ok {
		t.Fatal("the command is not registered")
	}
	cmd := &cobra.Command{Use: registered.Name + " " + registered.Usage, Short: registered.Short, Long: registered.Long}
	registered.CobraFunc(cmd)
	root.AddCommand(cmd)
	var b bytes.Buffer
	root.SetOut(&b)
	root.SetErr(&b)
	root.SetArgs(append([]string{appName}, args...))
	err = root.ExecuteContext(t.Context())
	return b.String(), err
}

// A production build has the keys and the sessions, and no command of the embedded pool.
func TestCommandsOfProduction(t *testing.T) {
	out, err := runCommand(t)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	_, list, _ := strings.Cut(out, "Available Commands:\n")
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			break
		}
		names = append(names, fields[0])
	}
	if !slices.Equal(names, []string{"keys", "sessions"}) {
		t.Errorf("%v in\n%s", names, out)
	}
}

// What belongs to the embedded pool says so, whatever flags come with it.
func TestEmbeddedCommandsWithoutThePool(t *testing.T) {
	for _, args := range [][]string{
		{"users", "list"}, {"users"}, {"users", "add", "alice@example.com", "--config", "Caddyfile"}, {"users", "list", "--data", "pool.db", "--json"},
		{"backup", "--to", "copy.db"}, {"pool", "--data", "pool", "--listen", "127.0.0.1:0"}, {"signing-keys", "rotate", "--realm=x"},
	} {
		out, err := runCommand(t, args...)
		if err == nil || !strings.Contains(err.Error(), `"`+args[0]+`" belongs to the embedded user pool, which is not in this build`) ||
			!strings.Contains(err.Error(), "xcaddy build") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

// A misspelt command fails: a script must not go on as if sessions had been ended.
func TestMisspeltCommands(t *testing.T) {
	for want, args := range map[string][]string{
		`there is no command "end_all" below "caddy passwordless sessions"; there are end, end-all, list`: {"sessions", "end_all", "alice@example.com"},
		`there is no command "lits" below "caddy passwordless keys"; there are list, rotate`:              {"keys", "lits", "--json"},
		`there is no command "session" below "caddy passwordless"; there are keys, sessions`:              {"session", "end-all", "alice@example.com"},
	} {
		if out, err := runCommand(t, args...); err == nil || err.Error() != want {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	for _, args := range [][]string{{"sessions"}, {"keys"}, {"keys", "--json"}, {"sessions", "--help"}} {
		if out, err := runCommand(t, args...); err != nil || !strings.Contains(out, "Available Commands:") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}
