package passkey_test

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/passkey"
)

func TestSettingsValidate(t *testing.T) {
	rp := func(id string, origins ...string) passkey.Settings {
		return passkey.Settings{RelyingParties: []passkey.RelyingParty{{ID: id, Origins: origins}}}
	}
	with := func(change func(*passkey.Settings)) passkey.Settings {
		s := rp("example.com", "https://example.com")
		change(&s)
		return s
	}
	for _, c := range []struct {
		name     string
		settings passkey.Settings
		want     string // part of the error; "" for none
	}{
		{"the domain itself", rp("example.com", "https://example.com"), ""},
		{"a subdomain, a port, a final slash", rp("example.com", "https://a.b.example.com:8443/"), ""},
		{"localhost over http", rp("localhost", "http://localhost:8080", "http://app.localhost:8080"), ""},
		{"an application", rp("example.com", appOrigin), ""},
		{"an iOS application", rp("example.com", "ios:bundle-id:com.example.app"), ""},
		{"everything chosen", with(func(s *passkey.Settings) {
			s.UserVerification, s.ResidentKey, s.Attachment, s.Attestation = "preferred", "discouraged", "platform", "direct"
			s.Algorithms, s.SignInTimeout = []int{-7, -8, -35, -257}, time.Minute
		}), ""},
		{"nothing", passkey.Settings{}, "write at least one"},
		{"no ID", rp("", "https://example.com"), "write its domain"},
		{"a URL as ID", rp("https://example.com", "https://example.com"), "write only the host name"},
		{"a port in the ID", rp("example.com:443", "https://example.com"), "write only the host name"},
		{"a final dot", rp("example.com.", "https://example.com"), "write only the host name"},
		{"a wildcard ID", rp("*.example.com", "https://a.example.com"), "write only the host name"},
		{"an address as ID", rp("127.0.0.1", "http://127.0.0.1"), "write a domain, or localhost"},
		{"upper case", rp("Example.com", "https://example.com"), "lower case"},
		{"an international domain", rp("bücher.example", "https://bücher.example"), "xn--"},
		{"no origin", rp("example.com"), "write at least one, such as https://example.com"},
		{"a related origin", with(func(s *passkey.Settings) {
			s.RelyingParties[0].Related = []string{"https://example.de", "https://shop.example.fr:8443"}
		}), ""},
		{"related origins alone", passkey.Settings{RelyingParties: []passkey.RelyingParty{{ID: "example.com", Related: []string{"https://example.de"}}}}, ""},
		{"a related origin over http", with(func(s *passkey.Settings) { s.RelyingParties[0].Related = []string{"http://localhost"} }), "https only"},
		{"a related origin that is none", with(func(s *passkey.Settings) { s.RelyingParties[0].Related = []string{"example.de"} }), "related origin"},
		{"a related origin with a path", with(func(s *passkey.Settings) { s.RelyingParties[0].Related = []string{"https://example.de/x"} }), "write https://example.de"},
		{"a related application", with(func(s *passkey.Settings) { s.RelyingParties[0].Related = []string{appOrigin} }), "related origin"},
		{"a related origin below the ID", with(func(s *passkey.Settings) { s.RelyingParties[0].Related = []string{"https://a.example.com"} }), "own origins"},
		{"extensions", with(func(s *passkey.Settings) { s.Extensions = []string{"credProps", "credProtect"} }), ""},
		{"no extension", with(func(s *passkey.Settings) { s.Extensions = []string{"none"} }), ""},
		{"no extension and one", with(func(s *passkey.Settings) { s.Extensions = []string{"none", "credProps"} }), "none alone"},
		{"an extension that we do not know", with(func(s *passkey.Settings) { s.Extensions = []string{"prf"} }), "credProps, credProtect"},
		{"foreign origin", rp("example.com", "https://example.net"), "another relying party for example.net"},
		{"origin that only ends like the RP ID", rp("example.com", "https://evilexample.com"), "cannot use relying party ID"},
		{"the parent of the RP ID", rp("app.example.com", "https://example.com"), "cannot use relying party ID"},
		{"http on a public host", rp("example.com", "http://example.com"), "write https://example.com"},
		{"another scheme", rp("example.com", "ftp://example.com"), "write https:// and a host"},
		{"no scheme", rp("example.com", "example.com"), "write https:// and a host"},
		{"a path", rp("example.com", "https://example.com/login"), "write https://example.com"},
		{"user information", rp("example.com", "https://u@example.com"), "more than scheme, host and port"},
		{"a query", rp("example.com", "https://example.com?x"), "more than scheme, host and port"},
		{"an application without hash", rp("example.com", "android:apk-key-hash:"), "SHA-256"},
		{"twice", with(func(s *passkey.Settings) { s.RelyingParties = append(s.RelyingParties, s.RelyingParties[0]) }), "one entry"},
		{"user verification", with(func(s *passkey.Settings) { s.UserVerification = "yes" }), "required, preferred, discouraged"},
		{"resident key", with(func(s *passkey.Settings) { s.ResidentKey = "true" }), "resident key"},
		{"attachment", with(func(s *passkey.Settings) { s.Attachment = "usb" }), "platform, cross-platform"},
		{"attestation", with(func(s *passkey.Settings) { s.Attestation = "enterprise" }), "none, direct"},
		{"algorithm", with(func(s *passkey.Settings) { s.Algorithms = []int{-36} }), "-7 (ES256)"},
		{"anchors without attestation", with(func(s *passkey.Settings) { s.TrustAnchors = "x" }), `write attestation "direct"`},
		{"denied providers without attestation", with(func(s *passkey.Settings) { s.DeniedProviders = []string{zeroAAGUID} }), `write attestation "direct"`},
		{"allowed providers without anchors", with(func(s *passkey.Settings) {
			s.Attestation, s.AllowedProviders = "direct", []string{zeroAAGUID}
		}), "add the root certificates"},
		{"anchors that are none", with(func(s *passkey.Settings) { s.Attestation, s.TrustAnchors = "direct", "roots.pem" }), "BEGIN CERTIFICATE"},
		{"a key as anchor", with(func(s *passkey.Settings) {
			s.Attestation, s.TrustAnchors = "direct", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
		}), "BEGIN CERTIFICATE"},
		{"a damaged anchor", with(func(s *passkey.Settings) {
			s.Attestation, s.TrustAnchors = "direct", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
		}), "BEGIN CERTIFICATE"},
		{"a provider's name", with(func(s *passkey.Settings) { s.Attestation, s.DeniedProviders = "direct", []string{"iCloud"} }), "ea9b8d66-"},
		{"a provider without dashes", with(func(s *passkey.Settings) {
			s.Attestation, s.DeniedProviders = "direct", []string{"00000000000000000000000000000000"}
		}), "ea9b8d66-"},
		{"a provider allowed and denied", with(func(s *passkey.Settings) {
			s.Attestation, s.TrustAnchors = "direct", testAnchor(t)
			s.AllowedProviders, s.DeniedProviders = []string{"AAAAAAAA-0000-0000-0000-000000000000"}, []string{"aaaaaaaa-0000-0000-0000-000000000000"}
		}), "take it out of one list"},
		{"attestation to the full", with(func(s *passkey.Settings) {
			s.Attestation, s.TrustAnchors, s.AllowedProviders = "direct", testAnchor(t), []string{zeroAAGUID}
		}), ""},
		{"timeout", with(func(s *passkey.Settings) { s.RegistrationTimeout = -1 }), "negative"},
	} {
		err := c.settings.Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q in it", c.name, err, c.want)
		}
	}
}
