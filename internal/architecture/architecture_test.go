package architecture

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// tags are those of every build of the module with Caddy.
const tags = "nobadger,nomysql,nopgx"

// list runs `go list` in the module's root.
func list(t *testing.T, patterns ...string) []pkg {
	t.Helper()
	args := append([]string{"list", "-tags", tags, "-json=ImportPath,Imports,Deps"}, patterns...)
	command := exec.Command("go", args...)
	command.Dir = "../.."
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var packages []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func TestImportRules(t *testing.T) {
	packages := list(t, "./...")
	for _, v := range violations(packages) {
		t.Error(v)
	}
	// A rule for a package that is gone or renamed protects nothing.
	for name := range imports {
		known := slices.ContainsFunc(packages, func(p pkg) bool { return local(p.ImportPath) == name })
		if !known {
			t.Errorf("there is a rule for %q and no such package", name)
		}
	}
	for _, p := range packages {
		name := local(p.ImportPath)
		if _, ok := imports[name]; !ok && (within(name, "triggers") || within(name, "passkey")) &&
			!strings.HasSuffix(name, "test") && !within(name, "triggers/aws") && !within(name, "triggers/cmd") && !within(name, "triggers/lambda") {
			t.Errorf("package %s has no rule: add what it may import", name)
		}
	}
}

// What `xcaddy build --with github.com/caddy-cognito/passwordless` puts into Caddy: no embedded pool, no trigger that could
// confirm a sign-in in process, no Lambda runtime, no package made for tests.
func TestProductionBuild(t *testing.T) {
	for _, p := range list(t, "-deps", ".") {
		for _, forbidden := range []string{
			module + "/internal/localpool", module + "/caddyauth/embedded", module + "/triggers", module + "/cognitotest",
			module + "/passkey/passkeytest", module + "/internal/dynamotest", module + "/internal/npmtest", awsLambda,
		} {
			if within(p.ImportPath, forbidden) {
				t.Errorf("the production plugin contains %s", p.ImportPath)
			}
		}
		if inModule(p.ImportPath) && slices.Contains(p.Imports, "testing") {
			t.Errorf("%s imports testing", p.ImportPath)
		}
	}
}

// The rules themselves: each of these graphs breaks one.
func TestViolationsAreFound(t *testing.T) {
	in := func(name string) string { return strings.TrimSuffix(module+"/"+name, "/") }
	cases := []struct {
		name, want string
		pkg        pkg
	}{
		{"library with Caddy", "passkey: reaches Caddy", pkg{ImportPath: in("passkey"), Deps: []string{caddy + "/modules/caddyhttp"}}},
		{"production with a trigger", "caddyauth: reaches triggers", pkg{ImportPath: in("caddyauth"), Deps: []string{in("triggers/verify")}}},
		{"production with the pool", "caddyauth: reaches internal/localpool", pkg{ImportPath: in("caddyauth"), Deps: []string{in("internal/localpool")}}},
		{"plugin with the Lambda runtime", ": reaches github.com/aws/aws-lambda-go", pkg{ImportPath: module, Deps: []string{awsLambda + "/events"}}},
		{"trigger with Caddy modules", "triggers/cmd/define: reaches caddyauth", pkg{ImportPath: in("triggers/cmd/define"), Deps: []string{in("caddyauth")}}},
		{"trigger with another", "triggers/create: reaches the trigger verify", pkg{ImportPath: in("triggers/create"), Deps: []string{in("triggers/verify")}}},
		{"define with the SDK", "triggers/define: reaches the AWS SDK", pkg{ImportPath: in("triggers/define"), Deps: []string{awsSDK + "/aws"}}},
		{"go-webauthn elsewhere", "caddyauth: imports go-webauthn", pkg{ImportPath: in("caddyauth"), Imports: []string{webauthn + "/protocol"}}},
		{"jwx elsewhere", "userpool: imports jwx", pkg{ImportPath: in("userpool"), Imports: []string{jwx + "/v3/jwt"}}},
		{"leaf with an import", "templates: imports passkey", pkg{ImportPath: in("templates"), Imports: []string{in("passkey")}}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if got := violations([]pkg{tc.pkg}); !slices.Equal(got, []string{tc.want}) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	allowed := []pkg{
		{ImportPath: in("caddyauth/embedded"), Imports: []string{in("caddyauth")}, Deps: []string{caddy, in("internal/localpool"), in("triggers/verify"), awsLambda}},
		{ImportPath: in("triggers/cmd/create"), Deps: []string{in("triggers/create"), in("triggers/aws"), awsSDK}},
		{ImportPath: in("passkey/passkeytest"), Imports: []string{webauthn + "/protocol"}},
		{ImportPath: module + "extra", Deps: []string{module + "extra/triggersomething"}},
	}
	if got := violations(allowed); len(got) != 0 {
		t.Errorf("allowed graphs: %q", got)
	}
}
