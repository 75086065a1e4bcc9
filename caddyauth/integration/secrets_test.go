package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Caddy stores what the Caddyfile becomes and shows it through the admin API. Whoever writes a secret there, or {$NAME}, which is replaced
// before, is warned by `validate`; whoever writes {env.NAME} or a file is not. The secret itself is in no log.
func TestValidateWarnsOfSecretsInTheConfiguration(t *testing.T) {
	t.Setenv("A_SECRET", "s3cret-value-of-16")
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cret-value-of-16"), 0o600); err != nil {
		t.Fatal(err)
	}
	embedded := "user_pool embedded " + filepath.Join(t.TempDir(), "pool.db") + " {\n"
	for option, config := range map[string]struct{ pool, guard string }{
		"client_secret":  {pool: "user_pool cognito eu-west-1_Ab12Cd34E {\nclient_id 1example23456789\nclient_secret VALUE\n}\ncredential_store dynamodb Authenticators"},
		"smtp: password": {pool: embedded + "smtp mail.example.com:587 {\nuser u\npassword VALUE\n}\nfrom a@example.com\n}"},
		"admin_key":      {pool: embedded + "inbox localhost:8025\nprotocol localhost:9229\nadmin_key AKIDEXAMPLE VALUE\n}"},
		"upstream_basic": {pool: embedded + "inbox localhost:8025\n}", guard: "upstream_basic legacy VALUE"},
	} {
		for value, warned := range map[string]bool{"s3cret-value-of-16": true, "{$A_SECRET}": true, "{env.A_SECRET}": false, "{file." + file + "}": false} {
			log := filepath.Join(t.TempDir(), "log")
			caddyfile := strings.NewReplacer("LOG", log, "POOL", config.pool, "GUARD", config.guard).Replace(`{
	log {
		output file LOG
	}
	passwordless {
		portal https://auth.example.com
		applications https://app.example.com
		POOL
		passkeys {
			relying_party example.com
		}
	}
}
auth.example.com {
	passwordless_portal
}
app.example.com {
	passwordless_guard {
		GUARD
	}
}
`)
			if err := validate(t, strings.NewReplacer("VALUE", value).Replace(caddyfile)); err != nil {
				t.Errorf("%s %s: %v", option, value, err)
				continue
			}
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(string(text), "a secret is part of the configuration") && strings.Contains(string(text), option); got != warned {
				t.Errorf("%s %s: warned %v\n%s", option, value, got, text)
			}
			if strings.Contains(string(text), "s3cret-value") {
				t.Errorf("%s %s: the log has the secret", option, value)
			}
		}
	}
}
