package interop_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

func (u us) complete(t testing.TB, a account, in passkey.Attestation) (id, message string) {
	t.Helper()
	c, err := u.ceremonies.FinishRegistration(t.Context(), a.user(), in)
	var refused *passkey.Error
	if errors.As(err, &refused) {
		return "", refused.Message
	}
	if err != nil {
		t.Fatal(err)
	}
	return challenge.EncodeBase64(c.ID), ""
}

func (n them) complete(t testing.TB, a account, in passkey.Attestation) (id, message string) {
	t.Helper()
	status, raw := n.call(t, credentialsModule, a, "/register-authenticator/complete", "", in)
	var answer struct{ CredentialID, Message string }
	if err := json.Unmarshal(raw, &answer); err != nil || (status == http.StatusOK) != (answer.Message == "") {
		t.Fatalf("complete: %d %s", status, raw)
	}
	return answer.CredentialID, answer.Message
}

func (u us) list(t testing.TB, a account) map[string]string {
	t.Helper()
	all, err := u.ceremonies.Store.List(t.Context(), a.user().Handle, ownRP)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, c := range all {
		names[challenge.EncodeBase64(c.ID)] = c.FriendlyName
	}
	return names
}

func (n them) list(t testing.TB, a account) map[string]string {
	t.Helper()
	status, raw := n.call(t, credentialsModule, a, "/authenticators/list", ownRP, nil)
	var answer struct {
		Authenticators []struct{ CredentialID, FriendlyName string }
	}
	if err := json.Unmarshal(raw, &answer); err != nil || status != http.StatusOK {
		t.Fatalf("list: %d %s", status, raw)
	}
	names := map[string]string{}
	for _, c := range answer.Authenticators {
		names[c.CredentialID] = c.FriendlyName
	}
	return names
}

func (u us) rename(t testing.TB, a account, id, name string) {
	t.Helper()
	if err := u.ceremonies.Store.Rename(t.Context(), a.user().Handle, decoded(t, id), name); err != nil {
		t.Fatal(err)
	}
}

func (n them) rename(t testing.TB, a account, id, name string) {
	t.Helper()
	body := map[string]string{"credentialId": id, "friendlyName": name}
	if status, raw := n.call(t, credentialsModule, a, "/authenticators/update", "", body); status != http.StatusOK {
		t.Fatalf("update: %d %s", status, raw)
	}
}

func (u us) remove(t testing.TB, a account, id string) {
	t.Helper()
	if err := u.ceremonies.Store.Delete(t.Context(), a.user().Handle, decoded(t, id)); err != nil {
		t.Fatal(err)
	}
}

func (n them) remove(t testing.TB, a account, id string) {
	t.Helper()
	if status, raw := n.call(t, credentialsModule, a, "/authenticators/delete", "", map[string]string{"credentialId": id}); status != http.StatusNoContent {
		t.Fatalf("delete: %d %s", status, raw)
	}
}

func decoded(t testing.TB, id string) []byte {
	t.Helper()
	raw, err := challenge.DecodeBase64(id)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// A person's passkeys are one list, whichever side is asked, renames or deletes.
func testAccountPage(t *testing.T, s sides) {
	for name, first := range s.named() {
		second := s.theirs
		if name == "theirs" {
			second = s.ours
		}
		a := newAccount()
		device := passkeytest.NewAuthenticator(ownSite)
		id := register(t, first, a, device)
		second.rename(t, a, id, "Renamed")
		for other, by := range s.named() {
			if got := by.list(t, a); !maps.Equal(got, map[string]string{id: "Renamed"}) {
				t.Errorf("registered by %s, renamed by the other, listed by %s: %v", name, other, got)
			}
		}
		if _, message := second.complete(t, a, answerTo(t, second.start(t, a, ownRP), device, sameCredential(t, id))); !strings.HasPrefix(message, "Credential already registered: ") {
			t.Errorf("registered by %s, the same credential again at the other: %q", name, message)
		}
		second.remove(t, a, id)
		for other, by := range s.named() {
			if got := by.list(t, a); len(got) != 0 {
				t.Errorf("deleted, and still listed by %s: %v", other, got)
			}
			o := by.offer(t, a)
			o.PublicChallengeParameters = map[string]string{challenge.ParamFIDO2Options: withoutCredentials(t, o)}
			if by.check(t, a, o.PrivateChallengeParameters, assertion(t, o, device)) {
				t.Errorf("deleted, and %s signs in with it", other)
			}
		}
	}
}

// sameCredential registers a second key under an ID that is taken.
func sameCredential(t *testing.T, id string) passkeytest.Forge {
	return func(c *passkeytest.Ceremony) { c.ID = decoded(t, id) }
}

// withoutCredentials are the options for a browser that takes no notice of the list.
func withoutCredentials(t *testing.T, o offer) string {
	t.Helper()
	options, err := challenge.ParsePasskeyOptions(o.PublicChallengeParameters[challenge.ParamFIDO2Options])
	if err != nil {
		t.Fatal(err)
	}
	options.Credentials = nil
	return options.Encode()
}

// The browser client builds navigator.credentials.create from these members.
func testCreationOptions(t *testing.T, s sides) {
	a := newAccount()
	register(t, s.ours, a, passkeytest.NewAuthenticator(ownSite)) // so that there is one to exclude
	var ours, theirs map[string]any
	for raw, into := range map[string]*map[string]any{string(s.ours.start(t, a, ownRP)): &ours, string(s.theirs.start(t, a, ownRP)): &theirs} {
		if err := json.Unmarshal([]byte(raw), into); err != nil {
			t.Fatal(err)
		}
	}
	if ours["challenge"] == theirs["challenge"] || len(ours["challenge"].(string)) != len(theirs["challenge"].(string)) {
		t.Errorf("challenges %v and %v", ours["challenge"], theirs["challenge"])
	}
	// Ours have one member more: extensions asks whether the passkey became discoverable, which clients that do not know it pass over.
	// A descriptor of ours may also name transports.
	if members := slices.Sorted(maps.Keys(ours)); !slices.Equal(members, slices.Sorted(maps.Keys(with(theirs, "extensions", nil)))) {
		t.Errorf("members %v, theirs %v", members, slices.Sorted(maps.Keys(theirs)))
	}
	for _, m := range []string{"attestation", "rp", "user", "pubKeyCredParams", "authenticatorSelection", "timeout"} {
		mine, _ := json.Marshal(ours[m])
		other, _ := json.Marshal(theirs[m])
		if m == "pubKeyCredParams" {
			// Theirs come in the order of JavaScript's string keys. Ours are in the order of preference.
			mine, other = sortedJSON(t, mine), sortedJSON(t, other)
		}
		if string(mine) != string(other) {
			t.Errorf("%s is %s, theirs %s", m, mine, other)
		}
	}
	mine, other := ours["excludeCredentials"].([]any), theirs["excludeCredentials"].([]any)
	if len(mine) != 1 || len(other) != 1 {
		t.Fatalf("excluded %v and %v", mine, other)
	}
	for k, v := range other[0].(map[string]any) {
		if got := mine[0].(map[string]any)[k]; got != v {
			t.Errorf("excluded %s is %v, theirs %v", k, got, v)
		}
	}
}

// testRefusals has both sides refuse the same registrations, in the same words where the browser client shows them.
func testRefusals(t *testing.T, s sides) {
	for name, tc := range map[string]struct {
		forge         passkeytest.Forge
		same          string // message of both
		theirs        string // instead: where theirs is in words of its own
		onlyUsRefuses string // why
	}{
		"a foreign origin":     {forge: clientData("origin", "https://evil.example"), same: "Invalid clientData origin: https://evil.example"},
		"an unknown challenge": {forge: clientData("challenge", challenge.EncodeBase64(make([]byte, 64))), same: "Challenge not found"},
		"nobody verified":      {forge: func(c *passkeytest.Ceremony) { c.Flags &^= passkeytest.FlagUserVerified }, same: "User is not verified"},
		"nobody present":       {forge: func(c *passkeytest.Ceremony) { c.Flags &^= passkeytest.FlagUserPresent }, theirs: "User is not present"},
		"an assertion":         {forge: clientData("type", "webauthn.get"), theirs: "Invalid clientData type: "},
		"an unknown RP ID":     {forge: func(c *passkeytest.Ceremony) { c.RPID = "evil.example" }, theirs: "Unrecognized rpIdHash"},
		"another RP ID than asked for": {
			forge: func(c *passkeytest.Ceremony) { c.RPID = secondRP }, onlyUsRefuses: "they take any allowed RP ID, whatever the options said",
		},
		"within a foreign frame": {
			forge: func(c *passkeytest.Ceremony) {
				c.ClientData["crossOrigin"] = true
				c.ClientData["topOrigin"] = "https://evil.example"
			},
			onlyUsRefuses: "they do not read crossOrigin",
		},
		"backed up, not eligible": {
			forge: func(c *passkeytest.Ceremony) {
				c.Flags = c.Flags&^passkeytest.FlagBackupEligible | passkeytest.FlagBackupState
			},
			onlyUsRefuses: "they check this at sign-in only, where no such passkey can pass",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount()
			_, ours := s.ours.complete(t, a, answerTo(t, s.ours.start(t, a, ownRP), passkeytest.NewAuthenticator(ownSite), tc.forge))
			_, theirs := s.theirs.complete(t, a, answerTo(t, s.theirs.start(t, a, ownRP), passkeytest.NewAuthenticator(ownSite), tc.forge))
			switch {
			case ours == "":
				t.Error("ours accepts it")
			case tc.onlyUsRefuses != "" && theirs != "":
				t.Errorf("theirs refuses it too: %q", theirs)
			case tc.same != "" && (ours != tc.same || theirs != tc.same):
				t.Errorf("%q, theirs %q; want %q", ours, theirs, tc.same)
			case tc.theirs != "" && !strings.HasPrefix(theirs, tc.theirs):
				t.Errorf("theirs %q, want %q", theirs, tc.theirs)
			}
			if stored := s.ours.list(t, a); tc.onlyUsRefuses == "" && len(stored) != 0 {
				t.Errorf("refused by both, and stored: %v", stored)
			}
		})
	}
}

func with(m map[string]any, key string, value any) map[string]any {
	m = maps.Clone(m)
	m[key] = value
	return m
}

func sortedJSON(t *testing.T, raw []byte) []byte {
	t.Helper()
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b json.RawMessage) int { return strings.Compare(string(a), string(b)) })
	sorted, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return sorted
}
