package zoo

import (
	"crypto/rand"
	"os/exec"
	"strings"
	"testing"
)

// machinePassword is a password of a program, and its hash as `caddy hash-password` makes it for basic_auth, at the least cost: the password is random.
func machinePassword(t *testing.T) (password, hash string) {
	t.Helper()
	password = rand.Text()
	return password, strings.TrimSpace(output(t, exec.Command("../bin/caddy", "hash-password", "--bcrypt-cost", "4", "--plaintext", password)))
}
