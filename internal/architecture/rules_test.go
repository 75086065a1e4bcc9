package architecture

import (
	"fmt"
	"slices"
	"strings"
)

const (
	module    = "github.com/caddy-cognito/passwordless"
	caddy     = "github.com/caddyserver/caddy/v2"
	awsSDK    = "github.com/aws/aws-sdk-go-v2"
	awsLambda = "github.com/aws/aws-lambda-go"
	webauthn  = "github.com/go-webauthn/webauthn"
	jwx       = "github.com/lestrrat-go/jwx"
)

// pkg is one package of `go list`: what it imports itself, and everything it reaches. Tests of a package do not count.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// imports lists, for each package of the module that has rules of its own, which packages of the module it may import.
// A leaf imports none.
var imports = map[string][]string{
	"":                   {"caddyauth"},
	"caddyauth":          {"userpool", "internal/token", "internal/session", "internal/session/dynamo", "internal/ratelimit", "passkey", "passkey/dynamo", "internal/tables", "internal/challenge", "templates"},
	"caddyauth/embedded": {"caddyauth", "internal/localpool", "userpool"},
	"cmd/caddy":          {"", "caddyauth/embedded"},
	"cognitotest":        {"internal/localpool"},
	"internal/localpool": {
		"internal/challenge", "internal/token", "passkey", "templates",
		"triggers/define", "triggers/create", "triggers/verify", "triggers/presignup", "triggers/pretoken", "triggers/notify",
	},
	"internal/challenge":  {},
	"internal/tables":     {},
	"internal/token":      {},
	"internal/ratelimit":  {},
	"internal/session":    {},
	"templates":           {},
	"userpool":            {"internal/challenge"},
	"passkey":             {"internal/challenge"},
	"passkey/dynamo":      {"passkey"},
	"triggers":            {},
	"triggers/create":     {"internal/challenge", "passkey", "templates"},
	"triggers/verify":     {"internal/challenge", "passkey", "internal/token"},
	"triggers/notify":     {"templates"},
	"triggers/define":     {"internal/challenge"},
	"triggers/presignup":  {"internal/challenge"},
	"triggers/pretoken":   {"internal/challenge"},
	"triggers/interop":    {},
	"internal/dynamotest": {},
	"internal/npmtest":    {},
}

// violations checks the rules one by one. Each line names the package and what it must not do.
func violations(packages []pkg) []string {
	var found []string
	report := func(p pkg, format string, args ...any) {
		found = append(found, local(p.ImportPath)+": "+fmt.Sprintf(format, args...))
	}
	for _, p := range packages {
		name := local(p.ImportPath)

		// The graph itself.
		if allowed, ok := imports[name]; ok {
			for _, imported := range p.Imports {
				if inModule(imported) && !slices.Contains(allowed, local(imported)) {
					report(p, "imports %s", local(imported))
				}
			}
		}

		// Rule 1: Caddy only where Caddy modules are.
		if name != "" && !within(name, "caddyauth") && name != "cmd/caddy" && reaches(p, caddy) {
			report(p, "reaches Caddy")
		}

		// Rule 2: no sign-in bypass and no Lambda runtime in a production build; no Caddy in a Lambda.
		if name == "" || within(name, "caddyauth") && !within(name, "caddyauth/embedded") {
			for _, forbidden := range []string{module + "/triggers", module + "/internal/localpool", module + "/cognitotest", module + "/caddyauth/embedded", awsLambda} {
				if reaches(p, forbidden) {
					report(p, "reaches %s", local(forbidden))
				}
			}
		}
		if within(name, "triggers") && reaches(p, module+"/caddyauth") {
			report(p, "reaches caddyauth")
		}

		// Rule 3: triggers stand alone; three of them need no AWS SDK.
		if trigger, ok := triggerOf(name); ok {
			for _, dep := range p.Deps {
				if other, ok := triggerOf(local(dep)); ok && other != trigger {
					report(p, "reaches the trigger %s", other)
				}
			}
			if slices.Contains([]string{"define", "presignup", "pretoken"}, trigger) && reaches(p, awsSDK) {
				report(p, "reaches the AWS SDK")
			}
		}

		// Rule 4: the libraries that parse what attackers send are used in one place each.
		if !within(name, "passkey") && imported(p, webauthn) {
			report(p, "imports go-webauthn")
		}
		if !within(name, "internal/token") && !within(name, "internal/localpool") && imported(p, jwx) {
			report(p, "imports jwx")
		}
	}
	return found
}

// triggerOf is the trigger whose handler a package belongs to. Adapters and mains are none: they wire.
func triggerOf(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, "triggers/")
	trigger, _, _ := strings.Cut(rest, "/")
	return trigger, ok && trigger != "aws" && trigger != "cmd" && trigger != "lambda"
}

func reaches(p pkg, path string) bool  { return contains(p.Deps, path) }
func imported(p pkg, path string) bool { return contains(p.Imports, path) }

func contains(paths []string, path string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return within(p, path) })
}

// within reports whether path is folder or below it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

func inModule(path string) bool { return within(path, module) }

// local is a path within the module, "" for its root; other paths stay as they are.
func local(path string) string {
	if path == module {
		return ""
	}
	return strings.TrimPrefix(path, module+"/")
}
