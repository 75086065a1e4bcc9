package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// application is a single-page application that signs people in with the client of amazon-cognito-passwordless-auth 0.17.0: its Cognito
// endpoint is the embedded pool, its FIDO2 API the portal's.
type application struct {
	*deployment
	origin string
}

// answer is what the application's functions come to.
type answer struct {
	Failed       string   `json:"failed"`
	Email        string   `json:"email"`
	Method       string   `json:"method"`
	Token        string   `json:"token"`
	RefreshToken string   `json:"refreshToken"`
	Name         string   `json:"name"`
	Names        []string `json:"names"`
	ID           string   `json:"id"`
	Phone        string   `json:"phone"`
}

func deployApplication(t *testing.T, options string) *application {
	t.Helper()
	script := bundle(t)
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	origin := "http://localhost" + strings.TrimPrefix(server.URL, "http://127.0.0.1")
	protocol := "localhost:" + freePort(t)
	d := deployFilled(t, map[string]string{"PROTOCOL": protocol, "BROWSER": origin},
		"\t\t\tinbox ", "\t\t\tprotocol PROTOCOL\n\t\t\tbrowser_client BROWSER"+options+"\n\t\t\tinbox ",
		"\t\tmagic_link\n", "\t\tmagic_link\n\t\tsms_step_up\n",
		`relying_party localhost "Example"`, `relying_party localhost "Example" http://localhost:8080 BROWSER`,
		"\tpasswordless_portal\n", "\tpasswordless_portal {\n\t\tfido2_origins BROWSER\n\t}\n",
	)
	configuration, err := json.Marshal(map[string]any{
		"cognitoIdpEndpoint": "http://" + protocol + "/", "clientId": d.clientID(t),
		"fido2": map[string]any{"baseUrl": d.portal + "/auth/fido2/", "rp": map[string]string{"id": "localhost"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `<!doctype html><title>loading</title><script>configuration = %s</script><script src="/client.js"></script>`, configuration)
	})
	mux.HandleFunc("/client.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(script)
	})
	return &application{d, origin}
}

// bundle is the application's script with the client of the package that npm has.
func bundle(t *testing.T) []byte {
	t.Helper()
	modules, err := filepath.Abs("../bin/npm/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	esbuild := filepath.Join(modules, ".bin", "esbuild")
	if _, err := os.Stat(esbuild); err != nil {
		t.Fatalf("esbuild is not installed: run `make test`, or `make test-tools` first")
	}
	command := exec.CommandContext(t.Context(), esbuild, "testdata/npmclient/client.js", "--bundle", "--format=iife", "--log-level=warning")
	command.Env = append(os.Environ(), "NODE_PATH="+modules)
	command.Stderr = os.Stderr
	script, err := command.Output()
	if err != nil {
		t.Fatalf("bundling the client: %v", err)
	}
	return script
}

// clientID is that of the pool's app client, which the log tells.
func (d *deployment) clientID(t *testing.T) string {
	t.Helper()
	log, err := os.ReadFile(d.log)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`"client_id":\s*"([^"]+)"`).FindSubmatch(log)
	if found == nil {
		t.Fatal("the log does not tell the app client's ID")
	}
	return string(found[1])
}

// open shows the application at an address and waits for its script.
func (a *application) open(b *tab, url string) {
	b.t.Helper()
	b.open("about:blank") // an address that differs in its fragment only would not load the page
	b.open(url)
	b.until("document.title === 'ready'")
}

// says is what one of the application's functions comes to.
func says(b *tab, call string) answer {
	b.t.Helper()
	var a answer
	if err := json.Unmarshal([]byte(ask[string](b, "passwordless."+call+".then(JSON.stringify)")), &a); err != nil {
		b.t.Fatal(err)
	}
	return a
}

// works is the same for what must succeed.
func works(b *tab, call string) answer {
	b.t.Helper()
	a := says(b, call)
	if a.Failed != "" {
		b.t.Fatalf("%s: %s", call, a.Failed)
	}
	return a
}

// fails is the same for what must not.
func fails(b *tab, call, reason string) {
	b.t.Helper()
	if a := says(b, call); !strings.Contains(a.Failed, reason) {
		b.t.Fatalf("%s: %q, want %q", call, a.Failed, reason)
	}
}

var fragmentPattern = regexp.MustCompile(`https?://\S+#\S+`)

// mailed waits for the mail that follows the first `known` ones, and returns the link in it.
func (a *application) mailed(t *testing.T, to string, known int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var found string
	eventually(ctx, func() bool {
		mails := a.messages(t, to)
		if len(mails) <= known {
			return false
		}
		found = fragmentPattern.FindString(mails[0].Text)
		return found != ""
	}, func() { t.Fatalf("no link came to %s", to) })
	return found
}

// signUp makes an account and signs it in by a link in the same browser.
func (a *application) signUp(b *tab, email string) answer {
	b.t.Helper()
	a.open(b, a.origin)
	works(b, "signUp("+quote(email)+")")
	works(b, "requestLink("+quote(email)+")")
	a.open(b, a.mailed(b.t, email, 0))
	me := works(b, "useLink()")
	if me.Email != email {
		b.t.Fatalf("signed in as %+v", me)
	}
	return me
}

// Everything the client offers works against the embedded pool and the portal's FIDO2 API, in a real browser.
func TestClientOfTheTypeScriptSample(t *testing.T) {
	t.Parallel()
	const anna = "anna@example.com"
	a := deployApplication(t, "")
	b := browse(t)
	authenticator := attach(b)

	a.signUp(b, anna)
	if me := works(b, "me()"); me.Email != anna {
		t.Errorf("GetUser: %+v", me)
	}

	added := works(b, `addPasskey("Laptop")`)
	if added.Name != "Laptop" || added.ID == "" {
		t.Errorf("registered %+v", added)
	}
	works(b, "renamePasskey("+quote(added.ID)+`, "Work laptop")`)
	if list := works(b, "passkeys()"); len(list.Names) != 1 || list.Names[0] != "Work laptop" {
		t.Errorf("listed %+v", list)
	}

	before := works(b, "refresh()")
	works(b, "signOut()")
	a.open(b, a.origin)
	fails(b, "passkeys()", "No JWT")

	if me := works(b, "usePasskey("+quote(anna)+")"); me.Email != anna || me.Token == before.Token {
		t.Errorf("with a name: %+v", me)
	}
	works(b, "signOut()")
	if me := works(b, "usePasskey()"); me.Email != anna {
		t.Errorf("without a name: %+v", me)
	}
	refreshed := works(b, "refresh()")
	if refreshed.Email != anna {
		t.Errorf("refreshed: %+v", refreshed)
	}

	works(b, "setPhone("+quote(annasPhone)+")")
	works(b, "askPhoneCode()")
	works(b, "verifyPhone("+quote(a.code(t, annasPhone, 0))+")")
	if asked := works(b, "stepUp("+quote(anna)+")"); asked.Phone != "+*******5678" {
		t.Errorf("the code went to %q", asked.Phone)
	}
	code := a.code(t, annasPhone, 1)
	wrong := "0" + code[1:]
	if wrong == code {
		wrong = "1" + code[1:]
	}
	if again := works(b, "giveCode("+quote(wrong)+")"); again.Phone == "" {
		t.Errorf("after a wrong code: %+v", again)
	}
	if up := works(b, "giveCode("+quote(code)+", true)"); up.Email != anna || up.Token == refreshed.Token {
		t.Errorf("stepped up: %+v", up)
	}

	works(b, "deletePasskey("+quote(added.ID)+")")
	if list := works(b, "passkeys()"); len(list.Names) != 0 {
		t.Errorf("listed %+v", list)
	}
	// The authenticator still has it; the pool knows it no more.
	if len(authenticator.passkeys()) != 1 {
		t.Fatal("the authenticator has lost the passkey by itself")
	}
	fails(b, "usePasskey("+quote(anna)+")", "NotAuthorizedException")
}

// A front end that lets the browser read the options asks for standard JSON; its passkey signs in without a name. Without format=json the browser
// decodes the user handle to other bytes, which the documentation warns of.
func TestPasskeyFromStandardCreationJSON(t *testing.T) {
	t.Parallel()
	const dora = "dora@example.com"
	a := deployApplication(t, "")
	b := browse(t)
	authenticator := attach(b)
	me := a.signUp(b, dora)
	fails(b, `addPasskeyByStandardJSON("Laptop", "&format=cbor")`, "Unrecognized format")
	if added := works(b, `addPasskeyByStandardJSON("Laptop", "&format=json")`); added.Name != "Laptop" {
		t.Errorf("registered %+v", added)
	}
	if held := authenticator.passkeys(); len(held) != 1 {
		t.Fatalf("the authenticator holds %d passkeys", len(held))
	}
	works(b, "signOut()")
	a.open(b, a.origin)
	if again := works(b, "usePasskey()"); again.Email != dora || again.Token == me.Token {
		t.Errorf("without a name: %+v", again)
	}
}

// The link works in another browser, once, and its second use is told as such.
func TestLinkOfTheTypeScriptSampleInAnotherBrowser(t *testing.T) {
	t.Parallel()
	const berta = "berta@example.com"
	a := deployApplication(t, "")
	asks, opens := browse(t), browse(t)
	a.open(asks, a.origin)
	works(asks, "signUp("+quote(berta)+")")
	works(asks, "requestLink("+quote(berta)+")")
	link := a.mailed(t, berta, 0)
	a.open(opens, link)
	if me := works(opens, "useLink()"); me.Email != berta {
		t.Errorf("the other browser: %+v", me)
	}
	// Its own session is of no use any more; the client takes that for an expired link, and returns nothing.
	a.open(asks, link)
	fails(asks, "useLink()", "no tokens")
}

// With rotation of refresh tokens their client cannot refresh: it asks by InitiateAuth, which Cognito refuses then, too. Everything else works.
func TestRotationIsNotForTheTypeScriptSample(t *testing.T) {
	t.Parallel()
	a := deployApplication(t, "\n\t\t\trefresh_token_rotation on")
	b := browse(t)
	a.signUp(b, "carla@example.com")
	fails(b, "refresh()", "REFRESH_TOKEN_AUTH is not available with refresh token rotation")
	if me := works(b, "me()"); me.Email != "carla@example.com" {
		t.Errorf("GetUser: %+v", me)
	}
}

// The other browser's origin is not listed: it may neither read the pool's answers nor call the FIDO2 API.
func TestForeignScriptsReachNothing(t *testing.T) {
	t.Parallel()
	a := deployApplication(t, "")
	b := browse(t)
	a.open(b, "http://127.0.0.1"+strings.TrimPrefix(a.origin, "http://localhost"))
	fails(b, `requestLink("anna@example.com")`, "TypeError: Failed to fetch")
	fails(b, "usePasskey()", "TypeError: Failed to fetch")
}
