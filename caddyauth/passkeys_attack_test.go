package caddyauth

import (
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// anchorFile is a vendor's root certificate, from the W3C's test vectors.
func anchorFile(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../passkey/testdata/w3c-webauthn-l3.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Root struct {
			Certificate string `json:"attestation_ca_cert"`
		} `json:"attestationRoot"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	der, err := hex.DecodeString(file.Root.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// register goes through the FIDO2 API as another front end does, and returns its last answer.
func (b *browser) register(device *passkeytest.Authenticator, forge ...passkeytest.Forge) *httptest.ResponseRecorder {
	b.Helper()
	id := b.tokens(poolUser{annaSub, anna}, b.clock.Now()).ID
	var options passkey.CreationOptions
	b.decode(b.fromSPA(http.MethodPost, "register-authenticator/start?rpId=auth.example.com", "", id), http.StatusOK, &options)
	body, err := json.Marshal(device.Create(b, options, forge...))
	if err != nil {
		b.Fatal(err)
	}
	return b.fromSPA(http.MethodPost, "register-authenticator/complete", string(body), id)
}

// wantNoPasskeys checks that nothing was stored for anna.
func (p *portalTest) wantNoPasskeys() {
	p.Helper()
	if own, err := p.store.List(p.Context(), annaSub, ""); err != nil || len(own) != 0 {
		p.Errorf("passkeys %v, %v", own, err)
	}
}

// Attack: a client leaves the attestation out, or makes one up, where a vendor's is demanded; or it claims an allowed provider's AAGUID.
func TestAttackAttestationThatProvesNothing(t *testing.T) {
	const allowed = "cb69481e-8ff7-4039-93ec-0a2729a154a8"
	p := newPortal(t, shareWithSPA, func(r *Realm, _ *Portal) {
		r.Passkeys.Attestation, r.Passkeys.TrustAnchors, r.Passkeys.AllowProviders = "direct", []string{anchorFile(t)}, []string{allowed}
	})
	b := p.browser()
	device := passkeytest.NewAuthenticator(portalOrigin)
	device.AAGUID = [16]byte{0xcb, 0x69, 0x48, 0x1e, 0x8f, 0xf7, 0x40, 0x39, 0x93, 0xec, 0x0a, 0x27, 0x29, 0xa1, 0x54, 0xa8}
	const untrusted = "This authenticator could not be recognized: its attestation is not of a trusted vendor"
	p.wantMessage(b.register(device), http.StatusBadRequest, untrusted)
	p.wantMessage(b.register(device, func(c *passkeytest.Ceremony) { c.Format = "packed" }), http.StatusBadRequest, untrusted)
	device.AAGUID = [16]byte{}
	p.wantMessage(b.register(device), http.StatusBadRequest, "This passkey provider is not accepted here")
	p.wantNoPasskeys()
}

// Attack: a provider that is denied, by its own name; and one that hides it where nobody is denied still registers.
func TestAttackDeniedProvider(t *testing.T) {
	p := newPortal(t, shareWithSPA, func(r *Realm, _ *Portal) {
		r.Passkeys.Attestation, r.Passkeys.DenyProviders = "direct", []string{"01000000-0000-0000-0000-000000000000"}
	})
	device := passkeytest.NewAuthenticator(portalOrigin)
	device.AAGUID = [16]byte{1}
	p.wantMessage(p.browser().register(device), http.StatusBadRequest, "This passkey provider is not accepted here")
	p.wantNoPasskeys()
	device.AAGUID = [16]byte{2}
	if w := p.browser().register(device); w.Code != http.StatusOK {
		t.Errorf("another provider: %d %s", w.Code, w.Body)
	}
}

// Attack: a client makes a key of an algorithm that was not offered, for instance one that the triggers cannot verify.
func TestAttackAlgorithmNotOffered(t *testing.T) {
	p := newPortal(t, shareWithSPA, func(r *Realm, _ *Portal) { r.Passkeys.Algorithms = []int{-8} })
	device := passkeytest.NewAuthenticator(portalOrigin)
	if w := p.browser().register(device); w.Code != http.StatusBadRequest {
		t.Errorf("ES256: %d %s", w.Code, w.Body)
	}
	p.wantNoPasskeys()
	device.Algorithm = passkeytest.EdDSA
	if w := p.browser().register(device); w.Code != http.StatusOK {
		t.Errorf("EdDSA: %d %s", w.Code, w.Body)
	}
}

// Attack: a page on a domain that nobody listed uses the relying party, while a listed one may.
func TestAttackOriginThatIsNotRelated(t *testing.T) {
	p := newPortal(t, shareWithSPA, func(r *Realm, _ *Portal) {
		r.Passkeys.RelyingParties[0].RelatedOrigins = []string{"https://example.de"}
	})
	const evil = "https://example.de.evil.example"
	p.wantMessage(p.browser().register(passkeytest.NewAuthenticator(evil)), http.StatusBadRequest, "Invalid clientData origin: "+evil)
	p.wantNoPasskeys()
	if w := p.browser().register(passkeytest.NewAuthenticator("https://example.de")); w.Code != http.StatusOK {
		t.Errorf("a related origin: %d %s", w.Code, w.Body)
	}
	document := new(RelatedOrigins)
	if err := document.prepare(p.rt.config); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(document.documents["auth.example.com"])); got != `{"origins":["https://auth.example.com","https://example.de"]}` {
		t.Errorf("/.well-known/webauthn: %s", got)
	}
}

// What the operator chose is what browsers are asked for.
func TestPasskeyOptionsReachTheBrowser(t *testing.T) {
	p := newPortal(t, shareWithSPA, func(r *Realm, _ *Portal) {
		k := r.Passkeys
		k.ResidentKey, k.UserVerification, k.Attachment, k.Attestation = "preferred", "discouraged", "platform", "direct"
		k.Algorithms, k.Extensions, k.RegistrationTimeout, k.SignInTimeout = []int{-8, -7}, []string{"credProtect"}, caddy.Duration(10*time.Minute), caddy.Duration(3*time.Minute)
	})
	b := p.browser()
	id := p.tokens(poolUser{annaSub, anna}, p.clock.Now()).ID
	var o passkey.CreationOptions
	p.decode(b.fromSPA(http.MethodPost, "register-authenticator/start?rpId=auth.example.com", "", id), http.StatusOK, &o)
	chosen := o.AuthenticatorSelection
	if chosen.ResidentKey != "preferred" || chosen.RequireResidentKey || chosen.UserVerification != "discouraged" || chosen.AuthenticatorAttachment != "platform" ||
		o.Attestation != "direct" || o.Timeout != 600_000 || o.Extensions.CredProps || o.Extensions.CredentialProtectionPolicy != "userVerificationRequired" ||
		len(o.PubKeyCredParams) != 2 || o.PubKeyCredParams[0].Alg != -8 || o.PubKeyCredParams[1].Alg != -7 {
		t.Errorf("options %+v", o)
	}
	var offered struct {
		Timeout          int
		UserVerification string
	}
	p.decode(b.fromSPA(http.MethodPost, "sign-in-challenge", "", ""), http.StatusOK, &offered)
	if offered.Timeout != 180_000 || offered.UserVerification != "discouraged" {
		t.Errorf("offered %+v", offered)
	}
}
