package verifylambda

import (
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
)

// An origin may use an ID that a browser would let it use, and no other; the pairs are not mixed.
func TestRelyingParties(t *testing.T) {
	origins := []string{
		"https://example.com", "https://app.example.com:8443", "https://APP.example.com", "https://evil-example.com", "https://example.com.evil.example",
		"http://app.example.com", "https://www.example.org", "http://localhost:5173", "http://app.localhost", "://", "example.com",
	}
	got := relyingParties([]string{"example.com", "example.org", "localhost"}, origins, []string{"android:apk-key-hash:x"})
	want := []passkey.RelyingParty{
		{ID: "example.com", Origins: []string{"https://example.com", "https://app.example.com:8443", "https://app.example.com", "android:apk-key-hash:x"}},
		{ID: "example.org", Origins: []string{"https://www.example.org", "android:apk-key-hash:x"}},
		{ID: "localhost", Origins: []string{"http://localhost:5173", "http://app.localhost", "android:apk-key-hash:x"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// The environment of an existing deployment is enough; what is wrong with it is named.
func TestEnvironment(t *testing.T) {
	existing := map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "LOG_LEVEL": "INFO",
		"ALLOWED_ORIGINS": "https://app.example.com", "ALLOWED_APPLICATION_ORIGINS": "", "MAGIC_LINK_ENABLED": "TRUE", "DYNAMODB_SECRETS_TABLE": "Secrets",
		"STACK_ID": "s", "FIDO2_ENABLED": "TRUE", "DYNAMODB_AUTHENTICATORS_TABLE": "Authenticators", "ALLOWED_RELYING_PARTY_IDS": "example.com",
		"ENFORCE_FIDO2_IF_AVAILABLE": "TRUE", "USER_VERIFICATION": "preferred", "SMS_OTP_STEP_UP_ENABLED": "TRUE",
	}
	read := func(name, value string) (*environment.Reader, error) {
		env := environment.New(func(asked string) string {
			if asked == name {
				return value
			}
			return existing[asked]
		})
		h, err := New(env, slog.New(slog.DiscardHandler), Options{})
		if env.Err() == nil && err == nil {
			s, _ := h.Passkeys.Checker.(passkey.Settings)
			if !h.EnforceFIDO2IfAvailable || h.MagicLink.Addresses == nil || h.MagicLink.Code || h.Receipts == nil || s.UserVerification != "preferred" {
				t.Errorf("%+v", h)
			}
		}
		return env, err
	}
	if env, err := read("", ""); err != nil || env.Err() != nil {
		t.Fatal(err, env.Err())
	}
	for name, bad := range map[string]string{
		"ALLOWED_RELYING_PARTY_IDS": "", "PASSKEY_ALGORITHMS": "ES256", "USER_VERIFICATION": "no", "STACK_ID": "", "DYNAMODB_SECRETS_TABLE": "",
		"PASSKEY_RELATED_ORIGINS": "https://example.de", "DYNAMODB_AUTHENTICATORS_TABLE": "", "WRONG_CODES_PER_HOUR": "0", "ALLOWED_ORIGINS": "https://other.example",
	} {
		env, err := read(name, bad)
		if err != nil || env.Err() == nil || !strings.Contains(env.Err().Error(), name) {
			t.Errorf("%s=%s: %v, %v", name, bad, err, env.Err())
		}
	}
	for _, bad := range []string{"example.org=https://example.de", "example.com=", "example.com=http://example.de", "example.com=https://a.example.com", "=https://example.de"} {
		if env, _ := read("PASSKEY_RELATED_ORIGINS", bad); env.Err() == nil || !strings.Contains(env.Err().Error(), "PASSKEY_RELATED_ORIGINS") {
			t.Errorf("PASSKEY_RELATED_ORIGINS=%s: %v", bad, env.Err())
		}
	}
	if env, err := read("PASSKEY_RELATED_ORIGINS", "example.com=https://example.de,example.com=https://example.fr"); err != nil || env.Err() != nil {
		t.Error(err, env.Err())
	} else if rps := checker(env).RelyingParties; len(rps) != 1 || !slices.Equal(rps[0].Related, []string{"https://example.de", "https://example.fr"}) {
		t.Errorf("%+v", rps)
	}
	if _, err := read("AWS_ACCESS_KEY_ID", ""); err == nil {
		t.Error("no credentials are no error")
	}
	if env, err := read("PASSKEY_ALGORITHMS", "-7,-8"); err != nil || env.Err() != nil {
		t.Error(err, env.Err())
	} else if s := checker(env); !slices.Equal(s.Algorithms, []int{-7, -8}) {
		t.Errorf("%v", s.Algorithms)
	}
}
