package cmd_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// gate stands between one program and AWS. It lets through what the program's role permits, as docs/triggers.md lists it, refuses the
// rest, and notes what was used.
type gate struct {
	*httptest.Server
	t       *testing.T
	trigger string
	granted map[string]bool
	target  map[string]string // URLs by service

	mu   sync.Mutex
	used map[string]bool
}

// refusedAddress is one that mail is refused for.
const refusedAddress = "refused@example.com"

func openGate(t *testing.T, trigger string, d *deployment, pool *userPool) *gate {
	t.Helper()
	g := &gate{
		t: t, trigger: trigger, granted: grants(t, trigger), used: make(map[string]bool),
		target: map[string]string{"dynamodb": d.dynamodb, "kms": d.kms.URL, "ses": d.ses.URL, "sns": d.sns.URL, "cognito-idp": pool.URL},
	}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

// endpoints are the variables that lead a program to the gate.
func (g *gate) endpoints() []string {
	var list []string
	for _, service := range []string{"DYNAMODB", "KMS", "SESV2", "SNS", "COGNITO_IDENTITY_PROVIDER"} {
		list = append(list, "AWS_ENDPOINT_URL_"+service+"="+g.URL)
	}
	return list
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	actions := actionsOf(r, body)
	permitted := len(actions) > 0
	g.mu.Lock()
	for _, action := range actions {
		g.used[action] = true
		if !g.granted[action] {
			permitted = false
			g.t.Errorf("%s wants %s, which its role does not permit", g.trigger, action)
		}
	}
	g.mu.Unlock()
	switch {
	case !permitted:
		refuse(w, "AccessDeniedException")
		return
	case bytes.Contains(body, []byte(refusedAddress)) && actions[0] == "ses:SendEmail":
		refuse(w, "MessageRejected")
		return
	}
	service, _, _ := strings.Cut(actions[0], ":")
	target, err := url.Parse(g.target[service])
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	httputil.NewSingleHostReverseProxy(target).ServeHTTP(w, r)
}

func refuse(w http.ResponseWriter, kind string) {
	w.Header().Set("X-Amzn-ErrorType", kind)
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, `{"__type":"`+kind+`","message":"no"}`)
}

// actionsOf are the permissions that a request needs, those on tables with the table's name. Transactions need those of their parts
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html).
func actionsOf(r *http.Request, body []byte) []string {
	interfaceName, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch interfaceName {
	case "TrentService":
		return []string{"kms:" + operation}
	case "AWSCognitoIdentityProviderService":
		return []string{"cognito-idp:" + operation}
	case "DynamoDB_20120810":
		return tableActions(operation, body)
	}
	if r.URL.Path == "/v2/email/outbound-emails" {
		return []string{"ses:SendEmail"}
	}
	if form, err := url.ParseQuery(string(body)); err == nil && form.Get("Action") != "" {
		return []string{"sns:" + form.Get("Action")}
	}
	return nil
}

func tableActions(operation string, body []byte) []string {
	type part struct{ TableName string }
	var in struct {
		part
		TransactItems []map[string]part
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil
	}
	if in.TableName != "" {
		return []string{"dynamodb:" + operation + " " + in.TableName}
	}
	whole := map[string]string{"Get": "GetItem", "Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
	var list []string
	for _, item := range in.TransactItems {
		for kind, p := range item {
			list = append(list, "dynamodb:"+whole[kind]+" "+p.TableName)
		}
	}
	return list
}

// unused are permissions that nothing needed.
func (g *gate) unused() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []string
	for action := range g.granted {
		if !g.used[action] {
			list = append(list, action)
		}
	}
	return list
}

var code = regexp.MustCompile("`([^`]+)`")

// grants reads a program's permissions out of the documentation: rows of program, actions, resource. An action without a service is of the
// service before it.
func grants(t *testing.T, trigger string) map[string]bool {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "triggers.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "## Permissions")
	section, _, ended := strings.Cut(section, "\n## ")
	if !ok || !ended {
		t.Fatal("docs/triggers.md has no section Permissions")
	}
	all := make(map[string]bool)
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || strings.TrimSpace(cells[1]) != "`"+trigger+"`" {
			continue
		}
		table := map[string]string{"the secrets table": " Secrets", "the table of passkeys": " Authenticators"}[strings.TrimSpace(cells[3])]
		service := ""
		for _, match := range code.FindAllStringSubmatch(cells[2], -1) {
			action := match[1]
			if named, rest, ok := strings.Cut(action, ":"); ok {
				service, action = named, rest
			}
			all[service+":"+action+table] = true
		}
	}
	if len(all) == 0 {
		t.Fatalf("docs/triggers.md lists no permissions of %s", trigger)
	}
	return all
}
