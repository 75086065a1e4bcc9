package passkey

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// RelyingParty is an RP ID and the origins that may use it. The pairs count: an origin listed here is not allowed for
// another relying party.
type RelyingParty struct {
	ID      string   // a domain, such as "example.com"
	Name    string   // shown by authenticators; "" means the ID
	Origins []string // "https://app.example.com", "http://localhost:8080", or an application's: "android:apk-key-hash:…"
	Related []string // https origins elsewhere, which browsers allow if https://<ID>/.well-known/webauthn lists them (Level 3, section 5.11)
}

// Settings are the choices of a deployment. The zero value of each field but RelyingParties is a secure default.
type Settings struct {
	RelyingParties      []RelyingParty // the first is the default
	UserVerification    string         // "required" (also if empty), "preferred", "discouraged"
	ResidentKey         string         // "required" (also if empty), "preferred", "discouraged"
	Attachment          string         // "" any, "platform", "cross-platform"
	Attestation         string         // "none" (also if empty), "direct": see [Ceremonies.FinishRegistration]
	TrustAnchors        string         // PEM certificates that attestation must lead to; "" means that none is demanded. Needs "direct"
	AllowedProviders    []string       // AAGUIDs; empty means all. Needs TrustAnchors, without which an AAGUID is only a claim
	DeniedProviders     []string       // AAGUIDs; needs "direct", since clients may hide the AAGUID otherwise
	Algorithms          []int          // COSE; empty means -7 (ES256), -257 (RS256); also possible: -8 (EdDSA), -35 (ES384)
	Extensions          []string       // asked for at registration: "credProps" (also if empty), "credProtect", or "none" alone
	RegistrationTimeout time.Duration  // 0 means 5 minutes
	SignInTimeout       time.Duration  // 0 means 2 minutes
}

// Defaults of [Settings].
const (
	DefaultRegistrationTimeout = 5 * time.Minute
	DefaultSignInTimeout       = 2 * time.Minute
)

// appOriginSchemes begin the origins that clients report for native applications. Each goes on with what names the
// application: on Android the base64url hash of its signing certificate.
var appOriginSchemes = []string{"android:apk-key-hash:", "android:apk-key-hash-sha256:", "ios:bundle-id:"}

// Validate says what to write instead of what cannot work.
func (s Settings) Validate() error {
	if len(s.RelyingParties) == 0 {
		return errors.New("no relying party: write at least one, such as example.com with the origin https://example.com")
	}
	seen := make(map[string]bool)
	for _, rp := range s.RelyingParties {
		if seen[rp.ID] {
			return fmt.Errorf("relying party %q is listed twice: write its origins in one entry", rp.ID)
		}
		seen[rp.ID] = true
		if err := rp.validate(); err != nil {
			return err
		}
	}
	for _, choice := range []struct {
		option, value string
		allowed       []string
	}{
		{"user verification", s.UserVerification, []string{"", "required", "preferred", "discouraged"}},
		{"resident key", s.ResidentKey, []string{"", "required", "preferred", "discouraged"}},
		{"authenticator attachment", s.Attachment, []string{"", "platform", "cross-platform"}},
		{"attestation", s.Attestation, []string{"", "none", "direct"}},
	} {
		if !slices.Contains(choice.allowed, choice.value) {
			return fmt.Errorf("%s %q is unknown: write one of %s, or leave it out", choice.option, choice.value,
				strings.Join(choice.allowed[1:], ", "))
		}
	}
	if err := s.validateAttestation(); err != nil {
		return err
	}
	for _, alg := range s.Algorithms {
		if _, ok := algorithms[alg]; !ok {
			return fmt.Errorf("COSE algorithm %d is not supported: write some of -7 (ES256), -257 (RS256), -8 (EdDSA), -35 (ES384)", alg)
		}
	}
	for _, name := range s.Extensions {
		if !slices.Contains(extensionNames, name) || name == extensionNone && len(s.Extensions) > 1 {
			return fmt.Errorf("extension %q is not possible here: write some of credProps, credProtect, or none alone", name)
		}
	}
	if s.RegistrationTimeout < 0 || s.SignInTimeout < 0 {
		return errors.New("a timeout is negative: write a duration such as 2m, or leave it out")
	}
	return nil
}

func (rp RelyingParty) validate() error {
	switch {
	case rp.ID == "":
		return errors.New("a relying party has no ID: write its domain, such as example.com")
	case strings.ContainsAny(rp.ID, "/:@?# \t\\*%") || strings.HasPrefix(rp.ID, ".") || strings.HasSuffix(rp.ID, "."):
		return fmt.Errorf("relying party ID %q is not a domain: write only the host name, such as example.com, without scheme, port or path", rp.ID)
	case rp.ID != strings.ToLower(rp.ID) || strings.ContainsFunc(rp.ID, func(r rune) bool { return r > '~' }):
		return fmt.Errorf("relying party ID %q: write it in lower case, and an international domain in its xn-- form", rp.ID)
	case net.ParseIP(rp.ID) != nil:
		return fmt.Errorf("relying party ID %q is an IP address, which browsers refuse: write a domain, or localhost", rp.ID)
	case len(rp.Origins)+len(rp.Related) == 0:
		return fmt.Errorf("relying party %q has no origin: write at least one, such as https://%s", rp.ID, rp.ID)
	}
	for _, origin := range rp.Origins {
		if err := rp.validateOrigin(origin); err != nil {
			return err
		}
	}
	for _, origin := range rp.Related {
		if err := rp.validateRelated(origin); err != nil {
			return err
		}
	}
	return nil
}

func (rp RelyingParty) validateRelated(origin string) error {
	u, err := webOrigin(origin, "example.net")
	switch {
	case err != nil:
		return fmt.Errorf("related %w", err)
	case u.Scheme != "https":
		return fmt.Errorf("related origin %q: browsers accept https only: write https://%s", origin, u.Host)
	case rp.covers(u):
		return fmt.Errorf("related origin %q is on relying party ID %q or below, which needs no list: write it among the relying party's own origins", origin, rp.ID)
	}
	return nil
}

func (rp RelyingParty) validateOrigin(origin string) error {
	if isAppOrigin(origin) {
		if slices.Contains(appOriginSchemes, origin) {
			return fmt.Errorf("application origin %q names no application: write %s and, for Android, the base64url SHA-256 of the signing certificate", origin, origin)
		}
		return nil
	}
	u, err := webOrigin(origin, rp.ID)
	if err != nil {
		return err
	}
	host := strings.ToLower(u.Hostname())
	if !rp.covers(u) {
		return fmt.Errorf("origin %q cannot use relying party ID %q: write %q or a subdomain of it as the host, or another relying party for %s, "+
			"or list it as a related origin", origin, rp.ID, rp.ID, host)
	}
	if u.Scheme == "http" && host != "localhost" && !strings.HasSuffix(host, ".localhost") {
		return fmt.Errorf("origin %q: browsers offer passkeys over https only, except on localhost: write https://%s", origin, u.Host)
	}
	return nil
}

// webOrigin reads scheme, host and port; example is a host for the error.
func webOrigin(origin, example string) (*url.URL, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("origin %q: write https:// and a host, such as https://%s, or an application's android:apk-key-hash:…", origin, example)
	}
	if u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return nil, fmt.Errorf("origin %q has more than scheme, host and port: write %s://%s", origin, u.Scheme, u.Host)
	}
	return u, nil
}

// covers reports whether the host is the ID or below it.
func (rp RelyingParty) covers(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	return host == rp.ID || strings.HasSuffix(host, "."+rp.ID)
}

// RelyingParty finds the one of that ID.
func (s Settings) RelyingParty(id string) (RelyingParty, bool) {
	i := slices.IndexFunc(s.RelyingParties, func(rp RelyingParty) bool { return rp.ID == id })
	if i < 0 {
		return RelyingParty{}, false
	}
	return s.RelyingParties[i], true
}

// allows compares what a client sent with the configured origins: scheme, host and port, in the form in which browsers
// serialize an origin; applications' origins byte for byte.
func (rp RelyingParty) allows(origin string) bool {
	return slices.ContainsFunc(slices.Concat(rp.Origins, rp.Related), func(own string) bool { return serializeOrigin(own) == origin })
}

// origins separates the web's from applications', which go-webauthn compares in different ways.
func (rp RelyingParty) origins() (web, application []string) {
	for _, origin := range rp.Origins {
		if isAppOrigin(origin) {
			application = append(application, origin)
		} else {
			web = append(web, origin)
		}
	}
	return append(web, rp.Related...), application
}

// serializeOrigin is the ASCII serialization of an origin (HTML, section 7.1.1) that Validate accepts.
func serializeOrigin(origin string) string {
	if isAppOrigin(origin) {
		return origin
	}
	u, err := url.Parse(origin)
	if err != nil {
		return origin
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + strings.TrimSuffix(host, ":")
}

func isAppOrigin(origin string) bool {
	return slices.ContainsFunc(appOriginSchemes, func(scheme string) bool { return strings.HasPrefix(origin, scheme) })
}

func (s Settings) userVerification() string { return orDefault(s.UserVerification, "required") }
func (s Settings) residentKey() string      { return orDefault(s.ResidentKey, "required") }
func (s Settings) attestation() string      { return orDefault(s.Attestation, "none") }

func (s Settings) algorithms() []int {
	if len(s.Algorithms) == 0 {
		return []int{algES256, algRS256}
	}
	return s.Algorithms
}

func (s Settings) registrationTimeout() time.Duration {
	return orDefault(s.RegistrationTimeout, DefaultRegistrationTimeout)
}

func (s Settings) signInTimeout() time.Duration {
	return orDefault(s.SignInTimeout, DefaultSignInTimeout)
}

func orDefault[T comparable](v, whenZero T) T {
	var zero T
	if v == zero {
		return whenZero
	}
	return v
}
