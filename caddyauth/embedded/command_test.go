package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // Caddy's own modules
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary the command `caddy` of the scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"caddy": caddycmd.Main})
}

// Whole conversations with `caddy passwordless`.
func TestConversations(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:      "testdata/script",
		Deadline: time.Now().Add(2 * time.Minute),
		Cmds:     map[string]func(*testscript.TestScript, bool, []string){"serving": serving},
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"ADMIN", "PORT", "SECOND"} {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				env.Setenv(name, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
				if err := l.Close(); err != nil {
					return err
				}
			}
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_DATA_HOME", filepath.Join(env.WorkDir, "share"))
			return nil
		},
	})
}

// serving waits until the server behind an admin port runs its configuration: `serving $ADMIN`. That something listens is not enough, because
// Caddy opens its ports before the configuration counts as active, and until then there are no users to administer.
func serving(ts *testscript.TestScript, _ bool, args []string) {
	for until := time.Now().Add(time.Minute); time.Now().Before(until); {
		if resp, err := http.Get("http://127.0.0.1:" + args[0] + "/passwordless/pool/users"); err == nil {
			ts.Check(resp.Body.Close())
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		runtime.Gosched()
	}
	ts.Fatalf("no configuration is active behind port %s", args[0])
}

// startPool runs `caddy passwordless pool` and returns what it printed when it was ready.
func startPool(t *testing.T, args ...string) (line ready, stop func() error) {
	t.Helper()
	caddy, err := exec.LookPath("caddy") // testscript.Main put it first in PATH
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), caddy, append([]string{"passwordless", "pool", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(first, &line); err != nil {
		t.Fatalf("%s: %v", first, err)
	}
	return line, func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		return cmd.Wait()
	}
}

// Other software's tests: an AWS SDK against the printed endpoint. The pool keeps its name and its users over a restart.
func TestStandalonePool(t *testing.T) {
	data := t.TempDir()
	first, stop := startPool(t, "--data", data)
	client := cognito.New(cognito.Options{
		Region: "local", BaseEndpoint: aws.String(first.Endpoint), Credentials: aws.AnonymousCredentials{}, Retryer: aws.NopRetryer{},
	})
	_, err := client.SignUp(t.Context(), &cognito.SignUpInput{
		ClientId: aws.String(first.ClientID), Username: aws.String("alice@example.com"), Password: aws.String("x-Long-random-1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.InitiateAuth(t.Context(), &cognito.InitiateAuthInput{
		ClientId: aws.String(first.ClientID), AuthFlow: types.AuthFlowTypeCustomAuth, AuthParameters: map[string]string{"USERNAME": "alice@example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Get(first.Endpoint + "/" + first.UserPoolID + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(body), `"issuer":"`+first.Endpoint+"/"+first.UserPoolID+`"`) {
		t.Errorf("%s, %v", body, err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatalf("SIGTERM: %v", err)
	}
	second, stop := startPool(t, "--data", data)
	if second.UserPoolID != first.UserPoolID || second.ClientID != first.ClientID {
		t.Errorf("%+v after %+v", second, first)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// runStandalone runs it in this process.
func runStandalone(t *testing.T, s standalone) (endpoint string) {
	t.Helper()
	return runStandaloneLine(t, s).Endpoint
}

// runStandaloneLine is runStandalone with all that it prints.
func runStandaloneLine(t *testing.T, s standalone) (line ready) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx, write, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if err := json.NewDecoder(read).Decode(&line); err != nil {
		t.Fatal(err)
	}
	return line
}

// Scripts of any origin may call, as they may call Cognito; a name that a foreign page pointed at this machine may not.
func TestStandaloneForBrowsers(t *testing.T) {
	endpoint := runStandalone(t, standalone{Listen: "127.0.0.1:0", Data: t.TempDir(), RPIDs: []string{"localhost"}, Origins: []string{"http://localhost:3000"}, Hosts: nil})
	ask := func(method, host string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), method, endpoint+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "http://localhost:3000")
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Host = host
		response, err := (&http.Client{Timeout: time.Minute}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Fatal(err)
		}
		return response
	}
	preflight := ask(http.MethodOptions, "")
	if preflight.StatusCode != http.StatusNoContent || preflight.Header.Get("Access-Control-Allow-Origin") != "*" ||
		!strings.Contains(preflight.Header.Get("Access-Control-Allow-Headers"), "X-Amz-Target") || preflight.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%d %v", preflight.StatusCode, preflight.Header)
	}
	if got := ask(http.MethodPost, "localhost:1"); got.StatusCode == http.StatusMisdirectedRequest || got.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("localhost: %d %v", got.StatusCode, got.Header)
	}
	for _, host := range []string{"rebound.example.org", "localhost.example.org", "127.0.0.1.example.org:80"} {
		if got := ask(http.MethodPost, host); got.StatusCode != http.StatusMisdirectedRequest || got.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", host, got.StatusCode, got.Header)
		}
	}
}
