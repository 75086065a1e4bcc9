package caddyauth

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// lambdaService notes what is invoked, and answers.
func lambdaService(t *testing.T, status int) (endpoint string, invoked *[]*http.Request, payloads *[]map[string]string) {
	t.Helper()
	invoked, payloads = new([]*http.Request), new([]map[string]string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var payload map[string]string
		if err := json.Unmarshal(body, &payload); err != nil {
			t.Errorf("%q: %v", body, err)
		}
		*invoked, *payloads = append(*invoked, r), append(*payloads, payload)
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_REGION", "")
	return server.URL, invoked, payloads
}

// A passkey is added and removed: the function hears of both, asynchronously, in the form that deployed functions read.
func TestNotifyFunction(t *testing.T) {
	endpoint, invoked, payloads := lambdaService(t, http.StatusAccepted)
	pool := new(CognitoUserPool)
	d := caddyfile.NewTestDispenser(`cognito eu-west-1_Ab12Cd34E {
		client_id 1example23456789
		notify passwordless-notify:live {
			region eu-west-1
			endpoint ` + endpoint + `
		}
	}`)
	if err := pool.UnmarshalCaddyfile(d); err != nil {
		t.Fatal(err)
	}
	if err := pool.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	opened, err := pool.OpenUserPool(t.Context(), RealmSettings{})
	if err != nil {
		t.Fatal(err)
	}
	for event, kind := range map[string]string{"created": "FIDO2_CREDENTIAL_CREATED", "deleted": "FIDO2_CREDENTIAL_DELETED"} {
		*invoked, *payloads = nil, nil
		if err := opened.Notifier.PasskeyChanged(t.Context(), annaSub, event, `Anna's "laptop"`); err != nil {
			t.Fatal(err)
		}
		if len(*invoked) != 1 {
			t.Fatalf("%d calls", len(*invoked))
		}
		r, payload := (*invoked)[0], (*payloads)[0]
		if r.URL.Path != "/2015-03-31/functions/passwordless-notify:live/invocations" || r.Header.Get("X-Amz-Invocation-Type") != "Event" ||
			!strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") {
			t.Errorf("%s %s, headers %v", r.Method, r.URL.Path, r.Header)
		}
		if len(payload) != 3 || payload["cognitoUsername"] != annaSub || payload["friendlyName"] != `Anna's "laptop"` || payload["eventType"] != kind {
			t.Errorf("payload %v", payload)
		}
	}
	for event, kind := range map[string]string{"changed": "PHONE_NUMBER_CHANGED", "removed": "PHONE_NUMBER_REMOVED"} {
		*payloads = nil
		if err := opened.Notifier.PhoneChanged(t.Context(), annaSub, event, "78"); err != nil {
			t.Fatal(err)
		}
		if p := *payloads; len(p) != 1 || len(p[0]) != 3 || p[0]["cognitoUsername"] != annaSub || p[0]["lastDigits"] != "78" || p[0]["eventType"] != kind {
			t.Errorf("payloads %v", p)
		}
	}
	if err := opened.Notifier.PhoneChanged(t.Context(), annaSub, "verified", "78"); err == nil {
		t.Error("an event of a phone that no function knows was sent")
	}
	if err := opened.Notifier.PasskeyChanged(t.Context(), annaSub, "renamed", "x"); err == nil {
		t.Error("an event that no function knows was sent")
	}
}

// The function cannot be invoked: the passkey is there all the same, and the log tells the operator, without names.
func TestNotifyFunctionThatFails(t *testing.T) {
	endpoint, _, _ := lambdaService(t, http.StatusForbidden)
	f := &NotifyFunction{Function: "passwordless-notify", Region: "eu-west-1", Endpoint: endpoint}
	n, err := f.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = n.PasskeyChanged(t.Context(), annaSub, "created", "Anna's laptop")
	if err == nil || !strings.Contains(err.Error(), "passwordless-notify") || strings.Contains(err.Error(), "laptop") {
		t.Errorf("got %v", err)
	}
}

func TestNotifyFunctionErrors(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if _, err := (&NotifyFunction{Function: "f"}).open(t.Context()); err == nil || !strings.Contains(err.Error(), "no AWS Region") {
		t.Errorf("no Region: %v", err)
	}
	for text, want := range map[string]string{
		"notify":                            "takes the name or ARN",
		"notify f {\n\t\tevery day\n\t}":    `unknown option "every"`,
		"notify {env.NO_SUCH_VARIABLE_X}":   "is the environment variable set",
		"notify f {\n\t\tendpoint ftp\n\t}": "no http or https URL",
	} {
		pool := new(CognitoUserPool)
		err := pool.UnmarshalCaddyfile(caddyfile.NewTestDispenser("cognito eu-west-1_Ab12Cd34E {\n\tclient_id 1example23456789\n\t" + text + "\n}"))
		if err == nil {
			err = pool.Provision(caddy.Context{})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
