package triggers_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// Defect 3: an unknown user got exactly one fake credential, a known one without passkeys none.
func TestFakeCredentialsForBothKindsOfUser(t *testing.T) {
	p := newPool(t)
	held := p.register(alice, passkeytest.NewAuthenticator(origin))
	options := func(user string) challenge.PasskeyOptions {
		o, err := challenge.ParsePasskeyOptions(p.initiate(user).public[challenge.ParamFIDO2Options])
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	if o := options(alice); len(o.Credentials) != 1 || o.Credentials[0].ID != challenge.EncodeBase64(held.ID) {
		t.Errorf("alice was offered %+v", o.Credentials)
	}
	for _, user := range []string{bob, "nobody@example.com"} {
		o, again := options(user), options(user)
		if n := len(o.Credentials); n < 1 || n > 2 {
			t.Errorf("%s: %d credentials", user, n)
		}
		if o.Challenge == again.Challenge {
			t.Errorf("%s: the challenge repeats", user)
		}
		if !slices.EqualFunc(o.Credentials, again.Credentials, func(a, b challenge.CredentialDescriptor) bool { return a.ID == b.ID }) {
			t.Errorf("%s: fakes change from call to call", user)
		}
	}
	if options("nobody@example.com").Credentials[0].ID != options("Nobody@Example.com").Credentials[0].ID {
		t.Error("the spelling of an unknown name shows in the fakes")
	}
	before := options("dave@example.com").Credentials[0].ID
	p.users["dave"] = map[string]string{"email": "dave@example.com"}
	if options("dave").Credentials[0].ID != before {
		t.Error("signing up shows in the fakes")
	}
	p.create.Secret = []byte(strings.Repeat("t", 32))
	if options("dave").Credentials[0].ID == before {
		t.Error("fakes can be computed without the secret")
	}
}

// An account is deleted, its passkeys are still in the table: the options are those of anybody unknown.
func TestPasskeysOfADeletedUser(t *testing.T) {
	p := newPool(t)
	p.users["dave"] = map[string]string{"email": "dave@example.com"}
	held := p.register("dave", passkeytest.NewAuthenticator(origin))
	delete(p.users, "dave")
	s := p.initiate("dave")
	if id := challenge.EncodeBase64(held.ID); strings.Contains(s.public[challenge.ParamFIDO2Options], id) || strings.Contains(s.private[challenge.ParamPasskeys], id) {
		t.Error("the passkey of a deleted user is offered")
	}
}

// Credential IDs that are not exposed are not looked up either.
func TestCredentialIDsNotExposed(t *testing.T) {
	p := newPool(t)
	p.create.Passkeys.ExposeCredentialIDs = false
	p.register(alice, passkeytest.NewAuthenticator(origin))
	for _, user := range []string{alice, bob, "nobody@example.com"} {
		if o := p.initiate(user).public[challenge.ParamFIDO2Options]; strings.Contains(o, "credentials") || strings.Contains(o, "null") {
			t.Errorf("%s: %s", user, o)
		}
	}
}

// Known and unknown users, with and without an address: the same answer and the same calls, and mail for nobody who is not there.
func TestLinkForNobody(t *testing.T) {
	p := newPool(t)
	p.users["carol"] = map[string]string{"sub": "s", "phone_number": "+31687654321"}
	p.users["mallory"] = map[string]string{"sub": "m", "email": "m@example.com\r\nBcc: all@example.com"}
	known := p.askForLink(alice)
	calls := slices.Clone(p.memory.calls)
	for _, user := range []string{"nobody@example.com", "carol", "mallory"} {
		p.memory.calls = nil
		s := p.askForLink(user)
		if !maps.Equal(s.public, known.public) || s.rounds[1].ChallengeMetadata != known.rounds[1].ChallengeMetadata {
			t.Errorf("%s: public %v, metadata %s", user, s.public, s.rounds[1].ChallengeMetadata)
		}
		if !slices.Equal(p.memory.calls, calls) {
			t.Errorf("%s: calls %v, want %v", user, p.memory.calls, calls)
		}
		if s.answer("eyJ1c2VyTmFtZSI6Im5vYm9keSJ9.AA", askLink) || s.decide(askLink).IssueTokens {
			t.Errorf("%s got in", user)
		}
	}
	if len(p.outbox.mails) != 1 {
		t.Errorf("%d mails", len(p.outbox.mails))
	}
}

// The nonce makes retries safe only as long as the client cannot see it.
func TestNonceIsHidden(t *testing.T) {
	p := newPool(t)
	for _, s := range []*session{p.initiate(alice), p.askForLink(alice), p.askForCode(alice, 1)} {
		n := s.private[challenge.ParamNonce]
		if raw, err := challenge.DecodeBase64(n); err != nil || len(raw) != 16 {
			t.Errorf("nonce %q", n)
		}
		for k, v := range s.public {
			if strings.Contains(v, n) {
				t.Errorf("%s shows the nonce", k)
			}
		}
	}
	first, second := p.initiate(alice), p.initiate(alice)
	if first.private[challenge.ParamNonce] == second.private[challenge.ParamNonce] {
		t.Error("two sessions share a nonce")
	}
}

func TestUnknownMethods(t *testing.T) {
	p := newPool(t)
	for _, metadata := range []map[string]string{nil, {challenge.KeySignInMethod: "FIDO2"}, {challenge.KeySignInMethod: "X"}} {
		if err := p.initiate(alice).challenge(metadata, 1); err == nil {
			t.Errorf("%v: no error", metadata)
		}
	}
	p.create.MagicLink, p.create.SMS = nil, nil
	for _, metadata := range []map[string]string{askLink, bySMS} {
		if err := p.initiate(alice).challenge(metadata, 1); err == nil {
			t.Errorf("%v: no error though off", metadata)
		}
	}
}
