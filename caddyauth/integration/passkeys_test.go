package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// passkeysFile is a configuration with these lines in `passkeys`.
func passkeysFile(lines ...string) string {
	return fmt.Sprintf(`{
	passwordless {
		portal https://auth.example.com
		applications https://app.example.com
		user_pool cognito eu-west-1_Ab12Cd34E {
			client_id 1example23456789
			client_secret s3cret
		}
		credential_store dynamodb Authenticators
		passkeys {
			%s
		}
	}
}

auth.example.com {
	passwordless_portal
}
`, strings.Join(lines, "\n\t\t\t"))
}

// certificate is a file with the root of the W3C's test vectors.
func certificate(t *testing.T) string {
	t.Helper()
	return write(t, "roots.pem", "# a vendor\n"+w3cRoot)
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const ownRP = `relying_party example.com "Example Corp"`

func TestPasskeyOptionsThatWork(t *testing.T) {
	t.Setenv("ANCHORS", certificate(t))
	for name, lines := range map[string][]string{
		"every choice": {
			ownRP, "resident_key discouraged", "user_verification preferred", "attachment platform", "algorithms -35 -257 -8 -7",
			"extensions credProtect", "registration_timeout 1m", "sign_in_timeout 1h",
		},
		"attestation":                 {ownRP, "attestation direct", "trust_anchors " + certificate(t), "allow_providers cb69481e-8ff7-4039-93ec-0a2729a154a8"},
		"anchors by a placeholder":    {ownRP, "attestation direct", "trust_anchors {env.ANCHORS}"},
		"denied providers":            {ownRP, "attestation direct", "deny_providers cb69481e-8ff7-4039-93ec-0a2729a154a8"},
		"related origins":             {ownRP, "related_origins example.com https://example.de", "related_origins example.com https://example.fr"},
		"a portal on another domain":  {`relying_party example.org "Example"`, "related_origins example.org https://auth.example.com"},
		"a relying party for a phone": {ownRP + " https://auth.example.com android:apk-key-hash:Ju-9y7pHY2pTqTGIm1UbUmoM8z4V6ZZrMXRQK7VmTzA"},
	} {
		if err := validate(t, passkeysFile(lines...)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The operator's view: every mistake names the option and what to write instead.
func TestPasskeyOptionsThatCannotWork(t *testing.T) {
	empty := write(t, "empty.pem", "")
	damaged := write(t, "damaged.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	for name, tc := range map[string]struct {
		lines []string
		want  []string
	}{
		"resident key":                    {[]string{ownRP, "resident_key yes"}, []string{"Caddyfile:12", "resident_key", "required, preferred, discouraged"}},
		"attachment":                      {[]string{ownRP, "attachment usb"}, []string{"Caddyfile:12", "attachment", "platform, cross-platform"}},
		"attestation":                     {[]string{ownRP, "attestation enterprise"}, []string{"Caddyfile:12", "attestation", "none, direct"}},
		"algorithms by name":              {[]string{ownRP, "algorithms ES256"}, []string{"Caddyfile:12", "algorithms", "-7"}},
		"no algorithm":                    {[]string{ownRP, "algorithms"}, []string{"Caddyfile:12", "algorithms takes at least one"}},
		"an algorithm we do not verify":   {[]string{ownRP, "algorithms -65535"}, []string{"passkeys", "algorithm -65535", "-7 (ES256)"}},
		"an extension we do not know":     {[]string{ownRP, "extensions prf"}, []string{"passkeys", `extension "prf"`, "credProps"}},
		"timeout without a unit":          {[]string{ownRP, "sign_in_timeout 120"}, []string{"Caddyfile:12", "sign_in_timeout", "15m"}},
		"endless timeout":                 {[]string{ownRP, "registration_timeout 2h"}, []string{"registration_timeout", "at most 1h"}},
		"anchors without attestation":     {[]string{ownRP, "trust_anchors " + certificate(t)}, []string{"passkeys", `attestation "direct"`}},
		"anchors that are not there":      {[]string{ownRP, "attestation direct", "trust_anchors /nowhere/roots.pem"}, []string{"trust_anchors", "/nowhere/roots.pem"}},
		"a folder as anchors":             {[]string{ownRP, "attestation direct", "trust_anchors /"}, []string{"trust_anchors /", "not a file"}},
		"an empty file of anchors":        {[]string{ownRP, "attestation direct", "trust_anchors " + empty}, []string{"trust_anchors", "no PEM certificate", "openssl"}},
		"a damaged anchor":                {[]string{ownRP, "attestation direct", "trust_anchors " + damaged}, []string{"passkeys", "trust anchor"}},
		"allowed providers, but no proof": {[]string{ownRP, "attestation direct", "allow_providers cb69481e-8ff7-4039-93ec-0a2729a154a8"}, []string{"passkeys", "trust anchors"}},
		"a provider's name":               {[]string{ownRP, "attestation direct", "deny_providers iCloud"}, []string{"passkeys", `"iCloud" is not an AAGUID`}},
		"related origins of nobody":       {[]string{ownRP, "related_origins example.org https://example.de"}, []string{"Caddyfile:12", "related_origins", "relying_party example.org"}},
		"related origins before":          {[]string{"related_origins example.com https://example.de", ownRP}, []string{"Caddyfile:11", "before it"}},
		"related origins without ID":      {[]string{ownRP, "related_origins https://example.de"}, []string{"Caddyfile:12", "related_origins example.com https://example.de"}},
		"related origins without scheme":  {[]string{ownRP, "related_origins example.com example.de"}, []string{"passkeys", `related origin "example.de"`, "https://"}},
		"related origin that is not":      {[]string{ownRP, "related_origins example.com https://app.example.com"}, []string{"passkeys", "own origins"}},
		"foreign origin, unsaid":          {[]string{ownRP + " https://auth.example.com https://example.de"}, []string{"passkeys", `"https://example.de" cannot use`, "related origin"}},
	} {
		err := validate(t, passkeysFile(tc.lines...))
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q does not say %q", name, err, want)
			}
		}
	}
}

// w3cRoot is a self-signed certificate (Web Authentication Level 3, section 16.1).
const w3cRoot = `-----BEGIN CERTIFICATE-----
MIICBzCCAa2gAwIBAgIRAO1/kF2L0LQU0XhJExcKkLYwCgYIKoZIzj0EAwIwYjEe
MBwGA1UEAwwVV2ViQXV0aG4gdGVzdCB2ZWN0b3JzMQwwCgYDVQQKDANXM0MxJTAj
BgNVBAsMHEF1dGhlbnRpY2F0b3IgQXR0ZXN0YXRpb24gQ0ExCzAJBgNVBAYTAkFB
MCAXDTI0MDEwMTAwMDAwMFoYDzMwMjQwMTAxMDAwMDAwWjBiMR4wHAYDVQQDDBVX
ZWJBdXRobiB0ZXN0IHZlY3RvcnMxDDAKBgNVBAoMA1czQzElMCMGA1UECwwcQXV0
aGVudGljYXRvciBBdHRlc3RhdGlvbiBDQTELMAkGA1UEBhMCQUEwWTATBgcqhkjO
PQIBBggqhkjOPQMBBwNCAAQyaTAOX/e2mQFfcM+AqHY79wW8LirwwbOc/3GLfDWI
DKMPMZB42RsDOJoAb9/IodzYTt+gfTCqE0dKJIoNq1uqo0IwQDAPBgNVHRMBAf8E
BTADAQH/MA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQURa/3FbDdeGdB/umW68Fl
R6OTGx4wCgYIKoZIzj0EAwIDSAAwRQIgSDBjtrsI3Mg9ozoCwR0vQiAxdok1VNE4
xhSjaQhyTMgCIQD17yyRLUUAs+L1tZHQYiSR6fIg39H5c07EhLt+kIh2Yw==
-----END CERTIFICATE-----
`
