package integration

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// production is a whole configuration on Amazon Cognito; the cases below take one thing away from it or add one.
const production = `{
	storage file_system ` + forbiddenFolder + `
	passwordless {
		portal https://auth.example.com/auth/
		applications https://legacy.example.com https://*.tools.example.com
		user_pool cognito eu-west-1_Ab12Cd34E {
			client_id 1example23456789
			client_secret s3cret
		}
		credential_store dynamodb AuthenticatorsTable
		passkeys {
			relying_party example.com "Example Corp"
			user_verification required
		}
		magic_link
		sign_up domains example.com
		session {
			idle_timeout 8h
			lifetime 24h
		}
	}
}

auth.example.com {
	passwordless_portal
}

legacy.example.com {
	passwordless_guard
	reverse_proxy localhost:9000
}
`

// forbiddenFolder cannot be created, so a validation that touched storage would fail.
const forbiddenFolder = "/dev/null/storage"

// validate provisions a Caddyfile as `caddy validate` does.
func validate(t *testing.T, caddyfile string) error {
	t.Helper()
	raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	var config caddy.Config
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(&config)
}

func TestProductionConfigurationProvisionsWithoutStorageOrNetwork(t *testing.T) {
	if err := validate(t, production); err != nil {
		t.Fatal(err)
	}
}

// The cookies of two realms must not meet: who signs in at one would be signed out of the other.
func TestTwoRealmsWithCookiesOnOneDomain(t *testing.T) {
	one := strings.Replace(production, "lifetime 24h", "lifetime 24h\n cookie_domain example.com", 1)
	begin, end := strings.Index(one, "\tpasswordless {"), strings.Index(one, "\n}\n")
	other := strings.NewReplacer("passwordless {", "passwordless {\n realm partners", "auth.", "partners.", "legacy.", "shop.", "*.tools.", "*.orders.").Replace(one[begin:end])
	both := one[:end] + "\n" + other + one[end:]
	if err := validate(t, both); err == nil || !strings.Contains(err.Error(), "cookie_domain") || !strings.Contains(err.Error(), `"partners"`) {
		t.Errorf("both on one domain: %v", err)
	}
	if err := validate(t, strings.Replace(both, "cookie_domain example.com", "", 1)); err != nil {
		t.Errorf("one of them: %v", err)
	}
}

// Nor on one host: whoever comes to it by one realm would lose the session of the other.
func TestTwoRealmsWithOneOrigin(t *testing.T) {
	begin, end := strings.Index(production, "\tpasswordless {"), strings.Index(production, "\n}\n")
	with := func(portal, applications string) string {
		partners := strings.Replace(production[begin:end], "passwordless {", "passwordless {\n realm partners", 1)
		partners = regexp.MustCompile(`portal .*`).ReplaceAllString(partners, "portal "+portal)
		partners = regexp.MustCompile(`applications .*`).ReplaceAllString(partners, "applications "+applications)
		return production[:end] + "\n" + partners + production[end:]
	}
	for _, c := range []struct{ name, portal, applications, shared string }{
		{"an application", "https://partners.example.com", "https://shop.example.com https://LEGACY.example.com:443/", "https://legacy.example.com"},
		{"a wildcard", "https://partners.example.com", "https://*.tools.example.com", "https://*.tools.example.com"},
		{"the portal", "https://auth.example.com/partners/", "https://shop.example.com", "https://auth.example.com"},
		{"a portal that is the other's application", "https://legacy.example.com", "https://shop.example.com", "https://legacy.example.com"},
		{"hosts of its own", "https://partners.example.com", "https://shop.example.com", ""},
		{"one that the other's wildcard covers", "https://partners.example.com", "https://shop.tools.example.com", ""},
	} {
		err := validate(t, with(c.portal, c.applications))
		if c.shared == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), `realms "default" and "partners" both have `+c.shared+" ") || !strings.Contains(err.Error(), "take it out of one") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestBadConfigurationSaysWhatToMend is the operator's view: every mistake names the option and what to write instead.
func TestBadConfigurationSaysWhatToMend(t *testing.T) {
	line := func(prefix, replacement string) string {
		var lines []string
		found := false
		for _, l := range strings.Split(production, "\n") {
			if !found && strings.HasPrefix(strings.TrimSpace(l), prefix) {
				found = true
				l = replacement
			}
			lines = append(lines, l)
		}
		if !found {
			t.Fatalf("no line starts with %q", prefix)
		}
		return strings.Join(lines, "\n")
	}
	for name, c := range map[string]struct {
		caddyfile string
		want      []string
	}{
		"no portal":                          {line("portal", ""), []string{"Caddyfile:", "portal is missing", "portal https://auth.example.com/auth/"}},
		"no applications":                    {line("applications", ""), []string{"Caddyfile:", "applications is missing"}},
		"no relying party":                   {line("relying_party", ""), []string{"Caddyfile:", "relying_party is missing", "example.com"}},
		"relying party of another domain":    {line("relying_party", `relying_party example.org "Example"`), []string{"example.org", "auth.example.com"}},
		"relying party with a scheme":        {line("relying_party", `relying_party https://example.com`), []string{"Caddyfile:12", "domain without scheme"}},
		"plain http portal":                  {line("portal", "portal http://auth.example.com/auth/"), []string{"Caddyfile:4", "use https"}},
		"portal without a host":              {line("portal", "portal /auth/"), []string{"Caddyfile:4", "https://auth.example.com/auth/"}},
		"application with a path":            {line("applications", "applications https://legacy.example.com/app"), []string{"Caddyfile:5", "origin"}},
		"application on the portal's origin": {line("applications", "applications https://auth.example.com https://legacy.example.com"), []string{"shared_host"}},
		"idle longer than lifetime":          {line("idle_timeout", "idle_timeout 48h"), []string{"idle_timeout (48h0m0s) is longer than lifetime (24h0m0s)"}},
		"no credential store":                {line("credential_store", ""), []string{"credential_store is missing", "credential_store dynamodb"}},
		"policy on a public client":          {line("client_secret", ""), []string{"public app client", "client_secret", "pre_sign_up_enforced"}},
		"sign-up without a way to prove":     {line("magic_link", ""), []string{"sign_up domains needs `magic_link`"}},
		"sign-up mode unknown":               {line("sign_up", "sign_up anyone"), []string{"Caddyfile:16", "open, invitation, closed, or domains"}},
		"not a pool id":                      {line("user_pool", "user_pool cognito my-pool {"), []string{"my-pool"}},
		"unknown option":                     {line("magic_link", "magic_links"), []string{"Caddyfile:15", `unknown option "magic_links"`, "magic_link"}},
		"option twice":                       {line("magic_link", "magic_link\nmagic_link"), []string{"Caddyfile:16", "given twice"}},
		"guard option unknown":               {line("passwordless_guard", "passwordless_guard {\n allow_all\n}"), []string{"Caddyfile:30", "allow_all"}},
		"portal option unknown":              {line("passwordless_portal", "passwordless_portal {\n colour red\n}"), []string{"Caddyfile:26", "colour"}},
		"realm named like a path":            {line("passwordless {", "passwordless {\n realm ../certificates"), []string{`"../certificates"`, "letters, digits"}},
		"realm named with dots alone":        {line("passwordless {", "passwordless {\n realm .."), []string{`".."`, "letters, digits"}},
		"realm without a name":               {line("passwordless {", "passwordless {\n realm \"\""), []string{`""`, "letters, digits"}},
		"realm with a name without end":      {line("passwordless {", "passwordless {\n realm "+strings.Repeat("a", 65)), []string{"up to 64"}},
		"links that end before they arrive":  {line("magic_link", "magic_link {\n lifetime 10s\n}"), []string{"magic_link: a lifetime of 10s is not between 1m and 1h"}},
		"links that never end":               {line("magic_link", "magic_link {\n lifetime 2h\n}"), []string{"magic_link: a lifetime of 2h0m0s"}},
		"user pool misspelt":                 {line("user_pool", "user_pool cognitto eu-west-1_Ab12Cd34E {"), []string{"Caddyfile:6", `no provider "cognitto"`, "use cognito"}},
		"user pool without a name":           {line("client_id", ""), []string{"client_id is missing"}},
		"session store unknown":              {line("magic_link", "session_store redis"), []string{"Caddyfile:15", `no store "redis"`, "dynamodb, storage"}},
		"credential store unnamed":           {line("credential_store", "credential_store"), []string{"Caddyfile:10", "name of a store", "dynamodb"}},
		"domains with commas":                {line("sign_up", "sign_up domains example.com, example.org"), []string{"Caddyfile:16", `"example.com,"`, "with spaces between them"}},
		"address as a domain":                {line("sign_up", "sign_up domains @example.com"), []string{"Caddyfile:16", `"@example.com"`, "the domain alone"}},
		"claims with commas":                 {line("idle_timeout", "claims custom:department, custom:site"), []string{"Caddyfile:18", `"custom:department,"`, "with spaces between them"}},
		"timeout twice":                      {line("lifetime", "idle_timeout 4h"), []string{"Caddyfile:19", "idle_timeout is given twice"}},
		"block where none is":                {line("user_verification", "user_verification required {\n x\n}"), []string{"user_verification takes no block"}},
		"block behind sign_up":               {line("sign_up", "sign_up open {\n x\n}"), []string{"sign_up takes no block"}},
		"no folder of templates":             {line("magic_link", "magic_link\ntemplates /dev/null/pages"), []string{"/dev/null/pages", "cannot be read"}},
		"realm unknown":                      {line("passwordless_guard", "passwordless_guard {\n realm staff\n}"), []string{"staff"}},
		"global option missing":              {"legacy.example.com {\n passwordless_guard\n}", []string{"passwordless", "missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := validate(t, c.caddyfile)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}
