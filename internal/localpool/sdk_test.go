package localpool

import (
	"bufio"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/dynamotest"
)

// Amazon's SDK for JavaScript takes the pool for Cognito, in every operation that the pool has.
func TestJavaScriptSDK(t *testing.T) {
	c := testConfig(t, &clock{at: time.Now()})
	c.PublicClient, c.AdminKeys = true, map[string]string{adminID: adminSecret}
	p := openPool(t, c)
	server := httptest.NewServer(p.Handler())
	t.Cleanup(server.Close)

	modules, err := filepath.Abs(filepath.Join("..", "..", dynamotest.Folder, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "@aws-sdk", "client-cognito-identity-provider")); err != nil {
		t.Fatal("Amazon's SDK for JavaScript is not installed: run `make test-tools`")
	}
	// Node looks for modules beside the script.
	folder := t.TempDir()
	script, err := os.ReadFile("testdata/sdk.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "sdk.mjs"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "node", "sdk.mjs")
	command.Dir = folder
	var said strings.Builder
	command.Stderr = &said
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	tell := func(m map[string]string) {
		if err := json.NewEncoder(in).Encode(m); err != nil {
			t.Fatal(err)
		}
	}
	tell(map[string]string{"endpoint": server.URL, "pool": p.UserPoolID(), "client": p.ClientID(), "id": adminID, "secret": adminSecret})
	done := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var step struct {
			Want string
			Done bool
		}
		if err := json.Unmarshal(lines.Bytes(), &step); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		newest := p.Inbox().Messages()[0].Text
		switch step.Want {
		case "link":
			_, fragment, _ := strings.Cut(linkInMail.FindString(newest), "#")
			tell(map[string]string{"link": fragment})
		case "code":
			tell(map[string]string{"code": regexp.MustCompile(`[0-9]{6}`).FindString(newest)})
		}
		done = done || step.Done
	}
	if err := command.Wait(); err != nil || !done {
		t.Errorf("%v; Node said:\n%s", err, &said)
	}
}
