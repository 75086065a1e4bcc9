package triggers_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// register gives the user a passkey.
func (p *pool) register(user string, device *passkeytest.Authenticator) passkey.Credential {
	p.t.Helper()
	c := &passkey.Ceremonies{Settings: p.verify.Passkeys.Checker.(passkey.Settings), Store: p.passkeys, Now: func() time.Time { return p.now }}
	u := passkey.User{Handle: challenge.UserHandle(user, p.users[user]["sub"]), Name: user, DisplayName: user}
	o, err := c.StartRegistration(context.Background(), u, rpID)
	if err != nil {
		p.t.Fatal(err)
	}
	credential, err := c.FinishRegistration(context.Background(), u, device.Create(p.t, o))
	if err != nil {
		p.t.Fatal(err)
	}
	return credential
}

// offered is what the session's fido2options make of navigator.credentials.get.
func (s *session) offered() passkey.RequestOptions {
	s.t.Helper()
	o, err := challenge.ParsePasskeyOptions(s.public[challenge.ParamFIDO2Options])
	if err != nil {
		s.t.Fatal(err)
	}
	return passkey.RequestOptions{Challenge: o.Challenge, RPID: o.RelyingPartyID}
}

func TestPasskeySignsIn(t *testing.T) {
	for name, counts := range map[string]bool{"synced": false, "security key": true} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t)
			device := passkeytest.NewAuthenticator(origin)
			device.Counter = counts
			p.register(alice, device)
			for range 3 {
				s := p.initiate(alice)
				if !s.answer(device.Get(t, s.offered()).Encode(), byPasskey) || !s.decide(byPasskey).IssueTokens {
					t.Fatal("the passkey did not pass")
				}
			}
		})
	}
}

// The same event again passes, also at once; the same assertion in another Cognito session does not.
func TestPasskeyRetryPassesReplayDoesNot(t *testing.T) {
	for name, counts := range map[string]bool{"synced": false, "security key": true} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t)
			device := passkeytest.NewAuthenticator(origin)
			device.Counter = counts
			p.register(alice, device)
			s := p.initiate(alice)
			answer := device.Get(t, s.offered()).Encode()
			e := s.verifyEvent(answer, byPasskey)
			var wg sync.WaitGroup
			for range 6 {
				wg.Go(func() {
					if got, err := p.verify.Handle(context.Background(), e); err != nil || !got.Response.AnswerCorrect {
						t.Errorf("retry: %v, %v", got.Response.AnswerCorrect, err)
					}
				})
			}
			wg.Wait()
			if p.initiate(alice).answer(answer, byPasskey) {
				t.Error("replay from another session passed")
			}
		})
	}
}

// A usernameless challenge is bound to no session until it is used; then only the session that used it may retry.
func TestUsernamelessPasskey(t *testing.T) {
	p := newPool(t)
	device := passkeytest.NewAuthenticator(origin)
	p.register(alice, device)
	asked, err := passkey.NewChallenge(nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := device.Get(t, passkey.RequestOptions{Challenge: asked, RPID: rpID}).Encode()
	if p.initiate(alice).answer(answer, byPasskey) {
		t.Fatal("a challenge of the attacker's own making passed")
	}
	if err := p.store.PutSignInChallenge(context.Background(), asked, p.now.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	s := p.initiate(alice)
	for i := range 3 {
		if !s.answer(answer, byPasskey) {
			t.Errorf("call %d was denied", i+1)
		}
	}
	if p.initiate(alice).answer(answer, byPasskey) {
		t.Error("replay from another session passed")
	}
}

func TestPasskeyAttacks(t *testing.T) {
	type forge = passkeytest.Forge
	for name, tc := range map[string]struct {
		user  string
		forge forge
		edit  func(*challenge.PasskeyAnswer)
	}{
		"page of another origin":  {forge: func(c *passkeytest.Ceremony) { c.ClientData["origin"] = "https://evil.example" }},
		"registration as sign-in": {forge: func(c *passkeytest.Ceremony) { c.ClientData["type"] = "webauthn.create" }},
		"other RP ID":             {forge: func(c *passkeytest.Ceremony) { c.RPID = "example.com" }},
		"user not present":        {forge: func(c *passkeytest.Ceremony) { c.Flags &^= passkeytest.FlagUserPresent }},
		"user not verified":       {forge: func(c *passkeytest.Ceremony) { c.Flags &^= passkeytest.FlagUserVerified }},
		"eligibility changed": {forge: func(c *passkeytest.Ceremony) {
			c.Flags &^= passkeytest.FlagBackupEligible | passkeytest.FlagBackupState
		}},
		"foreign frame":        {forge: func(c *passkeytest.Ceremony) { c.ClientData["crossOrigin"] = true }},
		"altered signature":    {forge: func(c *passkeytest.Ceremony) { c.Signature = func(s []byte) []byte { s[len(s)-1] ^= 1; return s } }},
		"another's handle":     {forge: func(c *passkeytest.Ceremony) { c.UserHandle = bob }},
		"another's credential": {user: bob, forge: func(c *passkeytest.Ceremony) { c.UserHandle = "" }},
		"unknown user":         {user: "nobody@example.com"},
		"credential that was not offered": {edit: func(a *challenge.PasskeyAnswer) {
			a.CredentialID = challenge.EncodeBase64([]byte("some other credential"))
		}},
		"client data is not JSON": {edit: func(a *challenge.PasskeyAnswer) { a.ClientDataJSON = challenge.EncodeBase64([]byte("x")) }},
		"authenticator data cut":  {edit: func(a *challenge.PasskeyAnswer) { a.AuthenticatorData = a.AuthenticatorData[:8] }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t)
			device := passkeytest.NewAuthenticator(origin)
			p.register(alice, device)
			user := tc.user
			if user == "" {
				user = alice
			}
			s := p.initiate(user)
			var forges []forge
			if tc.forge != nil {
				forges = append(forges, tc.forge)
			}
			a := device.Get(t, s.offered(), forges...)
			if tc.edit != nil {
				tc.edit(&a)
			}
			if s.answer(a.Encode(), byPasskey) {
				t.Error("passed")
			}
		})
	}
}

// Usernameless without a handle names nobody; a challenge of the user's own session needs none.
func TestUserHandleMayBeMissingOnlyForTheOfferedChallenge(t *testing.T) {
	p := newPool(t)
	device := passkeytest.NewAuthenticator(origin)
	p.register(alice, device)
	without := func(c *passkeytest.Ceremony) { c.UserHandle = "" }
	s := p.initiate(alice)
	if !s.answer(device.Get(t, s.offered(), without).Encode(), byPasskey) {
		t.Error("the offered challenge needs a handle")
	}
	asked, err := passkey.NewChallenge(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.store.PutSignInChallenge(context.Background(), asked, p.now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if p.initiate(alice).answer(device.Get(t, passkey.RequestOptions{Challenge: asked, RPID: rpID}, without).Encode(), byPasskey) {
		t.Error("usernameless passed without a handle")
	}
}

// Defect 13: malformed answers gave "Internal Server Error" instead of a denial.
func TestMalformedPasskeyAnswers(t *testing.T) {
	p := newPool(t)
	p.register(alice, passkeytest.NewAuthenticator(origin))
	for _, bad := range []any{"", "{}", "null", "[]", "x", nil, 1.5, true, map[string]any{}, `{"credentialIdB64":"%"}`,
		`{"credentialIdB64":"AA","authenticatorDataB64":"AA","clientDataJSON_B64":"AA","signatureB64":"AA"}`, strings.Repeat("{", 9000)} {
		if p.initiate(alice).answer(bad, byPasskey) {
			t.Errorf("%v passed", bad)
		}
	}
}

// A caller's word for the method changes nothing about what is checked.
func TestMethodMixUps(t *testing.T) {
	p := newPool(t)
	device := passkeytest.NewAuthenticator(origin)
	p.register(alice, device)
	p.askForLink(alice)
	link := p.lastLink()
	if p.initiate(alice).answer(link, byPasskey) || p.initiate(alice).answer(link, bySMS) || p.initiate(alice).answer(link, nil) {
		t.Error("a link passed as something else")
	}
	s := p.initiate(alice)
	if s.answer(device.Get(t, s.offered()).Encode(), bringLink) {
		t.Error("a passkey passed as a link")
	}
	s = p.askForLink(alice)
	first := p.initiate(alice)
	if s.answer(device.Get(t, first.offered()).Encode(), byPasskey) {
		t.Error("a passkey passed in a link's round")
	}
}

func TestPasskeyEnforced(t *testing.T) {
	p := newPool(t)
	p.verify.EnforceFIDO2IfAvailable = true
	p.askForLink(bob)
	if !p.initiate(bob).answer(p.lastLink(), bringLink) {
		t.Error("a user without passkeys cannot use a link")
	}
	device := passkeytest.NewAuthenticator(origin)
	p.register(alice, device)
	p.askForLink(alice)
	if p.initiate(alice).answer(p.lastLink(), bringLink) {
		t.Error("a link passed beside a passkey")
	}
	if !p.memory.links[len(p.memory.links)-1].usedAt.IsZero() {
		t.Error("the denied link was burned")
	}
	s := p.initiate(alice)
	if !s.answer(device.Get(t, s.offered()).Encode(), byPasskey) {
		t.Error("the passkey did not pass")
	}
}
