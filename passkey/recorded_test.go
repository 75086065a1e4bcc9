package passkey_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// recording is an exchange between a browser and an existing deployment.
type recording struct {
	Context struct {
		RPID   string `json:"rpId"`
		Origin string `json:"origin"`
		Handle string `json:"sub=username"`
	} `json:"context"`
	FIDO struct {
		Start           struct{ Body string }      `json:"start"`
		CompleteRequest passkey.Attestation        `json:"completeRequest"`
		Complete        struct{ Body string }      `json:"complete"`
		SignInOptions   struct{ Challenge string } `json:"signinOptions"`
		Answer          json.RawMessage            `json:"answer"`
		Items           []struct {
			JWK struct{ M map[string]struct{ S string } } `json:"jwk"`
		} `json:"dbAfterComplete"`
	} `json:"fido"`
}

func readRecording(t testing.TB) recording {
	t.Helper()
	b, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRecordedRegistrationAndSignIn(t *testing.T) {
	r := readRecording(t)
	now := time.Date(2026, 11, 22, 11, 26, 9, 170_000_000, time.UTC)
	store := passkeytest.NewStore()
	c := passkey.Ceremonies{
		Settings: passkey.Settings{RelyingParties: []passkey.RelyingParty{{ID: r.Context.RPID, Origins: []string{r.Context.Origin}}}},
		Store:    store, Now: func() time.Time { return now },
	}
	user := passkey.User{Handle: r.Context.Handle, Name: "alice@example.com"}

	// Their start route wrote the challenge item; ours takes the registration over.
	chall, err := passkey.ChallengeOf(r.FIDO.CompleteRequest.ClientDataJSONB64)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.PutRegistration(context.Background(), user.Handle, chall, []byte(r.FIDO.Start.Body), now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	cred, err := c.FinishRegistration(context.Background(), user, r.FIDO.CompleteRequest)
	if err != nil {
		t.Fatal(err)
	}
	var complete struct {
		CredentialID          string
		SignCount             uint32
		FriendlyName          string
		FlagUserVerified      int
		FlagBackupEligibility int
		FlagBackupState       int
		Transports            []string
		AAGUID, RPID          string
	}
	if err := json.Unmarshal([]byte(r.FIDO.Complete.Body), &complete); err != nil {
		t.Fatal(err)
	}
	if challenge.EncodeBase64(cred.ID) != complete.CredentialID || cred.SignCount != complete.SignCount ||
		cred.FriendlyName != complete.FriendlyName || !cred.UserVerified || !cred.BackupEligible || !cred.BackupState ||
		len(cred.Transports) != 2 || challenge.EncodeBase64(cred.AAGUID[:]) != complete.AAGUID || cred.RelyingPartyID != complete.RPID {
		t.Errorf("credential is %+v, recorded %+v", cred, complete)
	}
	jwk := r.FIDO.Items[0].JWK.M
	if want := (passkey.PublicKey{Alg: jwk["alg"].S, Crv: jwk["crv"].S, Kty: jwk["kty"].S, X: jwk["x"].S, Y: jwk["y"].S}); cred.PublicKey != want {
		t.Errorf("public key is %+v, recorded %+v", cred.PublicKey, want)
	}

	_, err = c.FinishRegistration(context.Background(), user, r.FIDO.CompleteRequest)
	wantCode(t, err, passkey.CodeChallengeNotFound)

	answer, err := challenge.ParsePasskeyAnswer(string(r.FIDO.Answer))
	if err != nil {
		t.Fatal(err)
	}
	outcome, err := c.Settings.Check(answer, r.FIDO.SignInOptions.Challenge, cred)
	if err != nil {
		t.Fatal(err)
	}
	if outcome != (passkey.Outcome{SignCount: 0, BackupState: true, UserVerified: true}) {
		t.Errorf("outcome is %+v", outcome)
	}
}

// Existing browser clients read these members, and break on null.
func TestCreationOptionsKeepTheRecordedShape(t *testing.T) {
	r := readRecording(t)
	var theirs, ours map[string]any
	if err := json.Unmarshal([]byte(r.FIDO.Start.Body), &theirs); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(newScene(t).start(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &ours); err != nil {
		t.Fatal(err)
	}
	for name := range theirs {
		if ours[name] == nil {
			t.Errorf("member %q is missing in %s", name, b)
		}
	}
	if id := ours["user"].(map[string]any)["id"]; id != alice.Handle {
		t.Errorf("user.id is %v, want the handle as a plain string", id)
	}
	if ours["timeout"] != 300000.0 || len(ours["challenge"].(string)) != 86 {
		t.Errorf("timeout or challenge differ: %s", b)
	}
}
