package passkey_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

const zeroAAGUID = "00000000-0000-0000-0000-000000000000"

// testAnchor is the root of the W3C's test vectors, in PEM.
func testAnchor(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("testdata/w3c-webauthn-l3.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Root struct {
			Certificate string `json:"attestation_ca_cert"`
		} `json:"attestationRoot"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	der, err := hex.DecodeString(file.Root.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// foreignAnchor is a root of the same name with another key.
func foreignAnchor(t testing.TB) string {
	t.Helper()
	block, _ := pem.Decode([]byte(testAnchor(t)))
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{}, RawSubject: root.RawSubject, NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func vectorNamed(t testing.TB, name string) vector {
	t.Helper()
	for _, v := range readVectors(t) {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no vector %s", name)
	return vector{}
}

func dashed(aaguid string) string {
	return aaguid[:8] + "-" + aaguid[8:12] + "-" + aaguid[12:16] + "-" + aaguid[16:20] + "-" + aaguid[20:]
}

// With trust anchors, what leads to them registers; statements that prove nothing, or lead elsewhere, do not.
func TestTrustAnchors(t *testing.T) {
	anchored := func(anchor string) func(*passkey.Settings) {
		return func(s *passkey.Settings) { s.TrustAnchors = anchor }
	}
	for name, certified := range map[string]bool{
		"packed-es256": true, "packed-es384": true, "packed-rs256": true, "packed-eddsa": true, "fido-u2f-es256": true,
		"none-es256": false, "packed-self-es256": false,
	} {
		v := vectorNamed(t, name)
		_, _, err := registerVector(t, v, "direct", anchored(testAnchor(t)))
		if certified && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !certified {
			wantCode(t, err, passkey.CodeInvalid)
		}
		_, _, err = registerVector(t, v, "direct", anchored(foreignAnchor(t)))
		wantCode(t, err, passkey.CodeInvalid)
		if err != nil && !strings.Contains(err.Error(), "not of a trusted vendor") {
			t.Errorf("%s with a foreign anchor: %v", name, err)
		}
		if _, _, err = registerVector(t, v, "direct", anchored(foreignAnchor(t)+"\n# the other\n"+testAnchor(t))); (err == nil) != certified {
			t.Errorf("%s with two anchors: %v", name, err)
		}
	}
}

// The lists decide on providers that attestation proves.
func TestProviderLists(t *testing.T) {
	v := vectorNamed(t, "packed-es256")
	own, other := dashed(v.Registration.AAGUID), "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4"
	for name, tc := range map[string]struct {
		allowed, denied []string
		accepted        bool
	}{
		"no list":             {nil, nil, true},
		"allowed":             {[]string{other, own}, nil, true},
		"allowed, upper case": {[]string{strings.ToUpper(own)}, nil, true},
		"others allowed":      {[]string{other}, nil, false},
		"denied":              {nil, []string{own}, false},
		"others denied":       {nil, []string{other}, true},
	} {
		_, _, err := registerVector(t, v, "direct", func(s *passkey.Settings) {
			s.TrustAnchors, s.AllowedProviders, s.DeniedProviders = testAnchor(t), tc.allowed, tc.denied
		})
		if (err == nil) != tc.accepted {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "This passkey provider is not accepted here") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Attack: an authenticator in software claims the AAGUID of an allowed one, by self attestation or without any.
func TestClaimedProviderIsNotProven(t *testing.T) {
	v := vectorNamed(t, "packed-es256")
	for _, format := range []string{"none", "packed"} {
		sc := newScene(t, func(s *passkey.Settings) {
			s.Attestation, s.TrustAnchors, s.AllowedProviders = "direct", testAnchor(t), []string{dashed(v.Registration.AAGUID)}
		})
		device := passkeytest.NewAuthenticator(exampleOrigin)
		raw, err := hex.DecodeString(v.Registration.AAGUID)
		if err != nil {
			t.Fatal(err)
		}
		device.AAGUID = [16]byte(raw)
		_, err = sc.finish(device.Create(t, sc.start(t), func(c *passkeytest.Ceremony) { c.Format = format }))
		wantCode(t, err, passkey.CodeInvalid)
		if list, err := sc.store.List(t.Context(), alice.Handle, ""); err != nil || len(list) != 0 {
			t.Errorf("%s: %d passkeys stored, %v", format, len(list), err)
		}
	}
}

// Certificates count at the time of the registration.
func TestTrustPathOutOfItsTime(t *testing.T) {
	v := vectorNamed(t, "packed-es256")
	for year, accepted := range map[int]bool{2023: false, 2026: true} {
		_, _, err := registerVectorAt(t, v, "direct", time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC), func(s *passkey.Settings) { s.TrustAnchors = testAnchor(t) })
		if (err == nil) != accepted {
			t.Errorf("%d: %v", year, err)
		}
	}
}

// What an operator writes as an anchor is taken as certificates or refused, and never lets a statement without certificates pass.
func FuzzTrustAnchors(f *testing.F) {
	f.Add(testAnchor(f), zeroAAGUID)
	f.Add("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", "x")
	f.Fuzz(func(t *testing.T, anchors, provider string) {
		s := passkey.Settings{
			RelyingParties: []passkey.RelyingParty{{ID: exampleRP, Origins: []string{exampleOrigin}}},
			Attestation:    "direct", TrustAnchors: anchors, DeniedProviders: []string{provider},
		}
		if s.Validate() != nil || anchors == "" {
			return
		}
		c := passkey.Ceremonies{Settings: s, Store: passkeytest.NewStore()}
		o, err := c.StartRegistration(t.Context(), alice, exampleRP)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.FinishRegistration(t.Context(), alice, passkeytest.NewAuthenticator(exampleOrigin).Create(t, o)); err == nil {
			t.Error("a statement without certificates passed")
		}
	})
}
