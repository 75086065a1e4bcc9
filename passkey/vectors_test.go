package passkey_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

type vector struct {
	Name         string
	Registration struct {
		Challenge         string
		AAGUID            string
		CredentialID      string `json:"credential_id"`
		ClientDataJSON    string
		AttestationObject string
	}
	Authentication struct{ Challenge, AuthenticatorData, ClientDataJSON, Signature string }
}

// TestW3CVectors runs the test vectors of WebAuthn Level 3 with everything switched on that a deployment may choose: each
// verifies, or is refused for the reason given.
func TestW3CVectors(t *testing.T) {
	refused := map[string]string{
		"none-es256-crossOrigin": "cross-origin frame",
		"none-es256-topOrigin":   "cross-origin frame",
		// 1023 bytes: allowed by the specification, and longer than a DynamoDB key.
		"none-es256-long-credential-id": "1 to 759",
		"packed-es512":                  "unsupported algorithm",
		"packed-ed448":                  "reading the credential's public key",
		// The statements of these lead to a test root, and not to the vendor's; their assertions are tested below.
		"tpm-es256":         "tpm manufacturer",
		"android-key-es256": "cert chain",
		"apple-es256":       "cert chain",
	}
	vectors := readVectors(t)
	if len(vectors) != 15 {
		t.Fatalf("%d vectors, want 15", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			cred, settings, err := registerVector(t, v, "direct")
			if reason, ok := refused[v.Name]; ok {
				wantCode(t, err, passkey.CodeInvalid)
				if err != nil && !strings.Contains(strings.ToLower(err.Error()), reason) {
					t.Errorf("refused with %q, want %q", err, reason)
				}
				return
			}
			if err != nil {
				t.Fatalf("registration: %v", err)
			}
			if hex.EncodeToString(cred.ID) != v.Registration.CredentialID || hex.EncodeToString(cred.AAGUID[:]) != v.Registration.AAGUID {
				t.Errorf("credential %x of %x", cred.ID, cred.AAGUID)
			}
			checkVector(t, v, settings, cred)
		})
	}
}

// The assertions of the vectors, whatever their attestation: registered with the statement taken away.
func TestW3CVectorsAssertions(t *testing.T) {
	for _, v := range readVectors(t) {
		switch v.Name {
		case "none-es256-crossOrigin", "none-es256-topOrigin", "packed-es512", "packed-ed448", "none-es256-long-credential-id":
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			_, authData, ok := strings.Cut(v.Registration.AttestationObject, hex.EncodeToString([]byte("hauthData")))
			if !ok {
				t.Fatal("no authData in the attestation object")
			}
			v.Registration.AttestationObject = hex.EncodeToString([]byte("\xa3cfmtdnonegattStmt\xa0hauthData")) + authData
			cred, settings, err := registerVector(t, v, "none")
			if err != nil {
				t.Fatal(err)
			}
			checkVector(t, v, settings, cred)
		})
	}
}

func checkVector(t *testing.T, v vector, settings passkey.Settings, cred passkey.Credential) {
	t.Helper()
	answer := challenge.PasskeyAnswer{
		CredentialID:      challenge.EncodeBase64(cred.ID),
		AuthenticatorData: fromHex(t, v.Authentication.AuthenticatorData),
		ClientDataJSON:    fromHex(t, v.Authentication.ClientDataJSON),
		Signature:         fromHex(t, v.Authentication.Signature),
	}
	if _, err := settings.Check(answer, fromHex(t, v.Authentication.Challenge), cred); err != nil {
		t.Errorf("authentication: %v", err)
	}
	// The same answer with one signature bit turned must fail for every algorithm.
	answer.Signature = reencode(t, answer.Signature, func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	_, err := settings.Check(answer, fromHex(t, v.Authentication.Challenge), cred)
	wantCode(t, err, passkey.CodeInvalid)
}

// With attestation "none" the statement of a vector is ignored, so all are accepted but those that break another rule.
func TestW3CVectorsWithoutAttestation(t *testing.T) {
	refused := []string{"none-es256-crossOrigin", "none-es256-topOrigin", "packed-es512", "packed-ed448", "none-es256-long-credential-id"}
	for _, v := range readVectors(t) {
		cred, _, err := registerVector(t, v, "none")
		if slices.Contains(refused, v.Name) {
			wantCode(t, err, passkey.CodeInvalid)
		} else if err != nil || hex.EncodeToString(cred.ID) != v.Registration.CredentialID {
			t.Errorf("%s: credential %x, error %v", v.Name, cred.ID, err)
		}
	}
}

func registerVector(t *testing.T, v vector, attestation string, change ...func(*passkey.Settings)) (passkey.Credential, passkey.Settings, error) {
	t.Helper()
	return registerVectorAt(t, v, attestation, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), change...)
}

func registerVectorAt(t *testing.T, v vector, attestation string, now time.Time, change ...func(*passkey.Settings)) (
	passkey.Credential, passkey.Settings, error,
) {
	t.Helper()
	ctx := context.Background()
	settings := passkey.Settings{
		RelyingParties:   []passkey.RelyingParty{{ID: "example.org", Origins: []string{"https://example.org"}}},
		UserVerification: "discouraged", // most vectors were made without
		Attestation:      attestation,
		Algorithms:       []int{-7, -257, -8, -35},
	}
	for _, f := range change {
		f(&settings)
	}
	if err := settings.Validate(); err != nil {
		t.Fatal(err)
	}
	c := passkey.Ceremonies{Settings: settings, Store: passkeytest.NewStore(), Now: func() time.Time { return now }}
	o, err := c.StartRegistration(ctx, alice, "example.org")
	if err != nil {
		t.Fatal(err)
	}
	o.Challenge = fromHex(t, v.Registration.Challenge)
	stored, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Store.PutRegistration(ctx, alice.Handle, o.Challenge, stored, now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	cred, err := c.FinishRegistration(ctx, alice, passkey.Attestation{
		AttestationObjectB64: fromHex(t, v.Registration.AttestationObject),
		ClientDataJSONB64:    fromHex(t, v.Registration.ClientDataJSON),
	})
	return cred, settings, err
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/w3c-webauthn-l3.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	return file.Vectors
}

// fromHex gives base64url.
func fromHex(t testing.TB, s string) string {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return challenge.EncodeBase64(b)
}
