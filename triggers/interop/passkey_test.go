package interop_test

import (
	"fmt"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// TestPasskeysOfBothSides has both sides on one table.
func TestPasskeysOfBothSides(t *testing.T) {
	client := startTable(t)
	for _, exposed := range []bool{false, true} {
		s := newSides(t, client, exposed)
		t.Run(fmt.Sprintf("every path of a sign-in, IDs exposed %v", exposed), func(t *testing.T) { testEveryPath(t, s) })
		if exposed {
			continue
		}
		t.Run("account page", func(t *testing.T) { testAccountPage(t, s) })
		t.Run("creation options", func(t *testing.T) { testCreationOptions(t, s) })
		t.Run("refused registrations", func(t *testing.T) { testRefusals(t, s) })
		t.Run("usernameless", func(t *testing.T) { testUsernameless(t, s) })
		t.Run("lies", func(t *testing.T) { testLies(t, s) })
		t.Run("retry", func(t *testing.T) { testRetry(t, s) })
		t.Run("user handles", func(t *testing.T) { testUserHandles(t, s) })
	}
}

// One passkey, registered by either side, goes through every mix of their and our triggers, counting on.
func testEveryPath(t *testing.T, s sides) {
	for registrar, registers := range s.named() {
		for _, algorithm := range []int{passkeytest.ES256, passkeytest.RS256} {
			for _, counter := range []bool{false, true} {
				device := passkeytest.NewAuthenticator(ownSite)
				device.Algorithm, device.Counter = algorithm, counter
				a := newAccount()
				register(t, registers, a, device)
				for offerer, offers := range s.named() {
					for checker, checks := range s.named() {
						path := fmt.Sprintf("algorithm %d, counter %v, registered by %s, offered by %s, checked by %s", algorithm, counter, registrar, offerer, checker)
						o := offers.offer(t, a)
						answer := assertion(t, o, device)
						if !checks.check(t, a, o.PrivateChallengeParameters, answer) {
							t.Errorf("%s: refused", path)
						}
						for other, again := range s.named() {
							if again.check(t, a, again.offer(t, a).PrivateChallengeParameters, answer) {
								t.Errorf("%s: replayed at %s in another session", path, other)
							}
						}
					}
				}
			}
		}
	}
}

// A challenge that either side made for nobody works once, at either side.
func testUsernameless(t *testing.T, s sides) {
	for maker, makes := range s.named() {
		for checker, checks := range s.named() {
			device := passkeytest.NewAuthenticator(ownSite)
			a := newAccount()
			register(t, makes, a, device)
			answer := device.Get(t, passkey.RequestOptions{Challenge: makes.usernameless(t), RPID: ownRP})
			if !checks.check(t, a, checks.offer(t, a).PrivateChallengeParameters, answer) {
				t.Errorf("made by %s, checked by %s: refused", maker, checker)
			}
			for other, again := range s.named() {
				if again.check(t, a, again.offer(t, a).PrivateChallengeParameters, answer) {
					t.Errorf("made by %s, used at %s: accepted again by %s", maker, checker, other)
				}
			}
		}
	}
}

// testLies has both sides judge the same assertion. Where theirs passes what ours refuses, why says it.
func testLies(t *testing.T, s sides) {
	for name, tc := range map[string]struct {
		forge passkeytest.Forge
		pass  bool
		why   string // theirs passes, ours does not
	}{
		"the truth":              {forge: func(*passkeytest.Ceremony) {}, pass: true},
		"no user handle":         {forge: func(c *passkeytest.Ceremony) { c.UserHandle = "" }, pass: true},
		"another's user handle":  {forge: func(c *passkeytest.Ceremony) { c.UserHandle = newUUID() }},
		"a foreign origin":       {forge: clientData("origin", "https://evil.example")},
		"a look-alike origin":    {forge: clientData("origin", ownSite+".evil.example")},
		"an origin's other port": {forge: clientData("origin", ownSite+":8443")},
		"a registration":         {forge: clientData("type", "webauthn.create")},
		"a payment":              {forge: clientData("type", "payment.get")},
		"another challenge":      {forge: clientData("challenge", challenge.EncodeBase64(make([]byte, 64)))},
		"no challenge":           {forge: clientData("challenge", "")},
		"an unknown RP ID":       {forge: func(c *passkeytest.Ceremony) { c.RPID = "evil.example" }},
		"nobody present":         {forge: func(c *passkeytest.Ceremony) { c.Flags &^= passkeytest.FlagUserPresent }},
		"nobody verified":        {forge: func(c *passkeytest.Ceremony) { c.Flags &^= passkeytest.FlagUserVerified }},
		"no longer eligible": {forge: func(c *passkeytest.Ceremony) {
			c.Flags &^= passkeytest.FlagBackupEligible | passkeytest.FlagBackupState
		}},
		"backed up, not eligible": {forge: func(c *passkeytest.Ceremony) {
			c.Flags = c.Flags&^passkeytest.FlagBackupEligible | passkeytest.FlagBackupState
		}},
		"a forged signature":    {forge: func(c *passkeytest.Ceremony) { c.Signature = flipped }},
		"an unknown credential": {forge: func(c *passkeytest.Ceremony) { c.ID = make([]byte, 32) }},
		"within a foreign frame": {
			forge: func(c *passkeytest.Ceremony) {
				c.ClientData["crossOrigin"], c.ClientData["topOrigin"] = true, "https://evil.example"
			},
			why: "they do not read crossOrigin and topOrigin",
		},
		"the second site for the first RP ID": {
			forge: clientData("origin", secondSite),
			why:   "they take any allowed origin with any allowed RP ID; ours are pairs",
		},
		"a passkey of one RP ID for another": {
			forge: func(c *passkeytest.Ceremony) { c.RPID = secondRP; c.ClientData["origin"] = secondSite },
			why:   "they do not compare the RP ID that the passkey was made for",
		},
	} {
		t.Run(name, func(t *testing.T) {
			device := passkeytest.NewAuthenticator(ownSite)
			a := newAccount()
			register(t, s.theirs, a, device)
			for side, by := range s.named() {
				o := by.offer(t, a)
				want := tc.pass || tc.why != "" && side == "theirs"
				if got := by.check(t, a, o.PrivateChallengeParameters, assertion(t, o, device, tc.forge)); got != want {
					t.Errorf("%s: %v, want %v. %s", side, got, want, tc.why)
				}
			}
		})
	}
}

func clientData(member, value string) passkeytest.Forge {
	return func(c *passkeytest.Ceremony) { c.ClientData[member] = value }
}

func flipped(signature []byte) []byte {
	signature[len(signature)-1] ^= 1
	return signature
}

// Cognito calls a trigger again when the first answer got lost: the same event. Theirs then denies a sign-in with an authenticator that
// counts, because its own first call has stored the count, and one without a user name, because it has used the challenge up.
func testRetry(t *testing.T, s sides) {
	for side, by := range s.named() {
		for name, request := range map[string]func(t *testing.T, o offer, device *passkeytest.Authenticator) challenge.PasskeyAnswer{
			"counter": func(t *testing.T, o offer, device *passkeytest.Authenticator) challenge.PasskeyAnswer {
				return assertion(t, o, device)
			},
			"usernameless": func(t *testing.T, _ offer, device *passkeytest.Authenticator) challenge.PasskeyAnswer {
				return device.Get(t, passkey.RequestOptions{Challenge: by.usernameless(t), RPID: ownRP})
			},
		} {
			device := passkeytest.NewAuthenticator(ownSite)
			device.Counter = name == "counter"
			a := newAccount()
			register(t, by, a, device)
			o := by.offer(t, a)
			answer := request(t, o, device)
			first := by.check(t, a, o.PrivateChallengeParameters, answer)
			again := by.check(t, a, o.PrivateChallengeParameters, answer)
			if want := side == "ours"; !first || again != want {
				t.Errorf("%s, %s: %v, called again %v; want true and %v", side, name, first, again, want)
			}
		}
	}
}

// The handle in a passkey names the account for good: both sides must derive the same.
func testUserHandles(t *testing.T, s sides) {
	sub := newUUID()
	for name, a := range map[string]account{
		"username is the sub":      {name: sub, sub: sub},
		"username is a UUID":       {name: newUUID(), sub: sub},
		"federated, with a UUID":   {name: "azuread_" + newUUID(), sub: sub},
		"a speaking username":      {name: "anna", sub: sub},
		"an address as username":   {name: "anna@example.com", sub: sub},
		"a UUID in capitals":       {name: "0D1C2B3A-1111-4222-8333-444455556666", sub: sub},
		"umlauts":                  {name: "jürgen", sub: sub},
		"a username that pretends": {name: "u|" + sub, sub: "11111111-2222-4333-8444-555555555555"},
	} {
		a.email = "anna@example.com"
		var options passkey.CreationOptions
		decode(t, s.theirs.start(t, a, ownRP), &options)
		if got := challenge.UserHandle(a.name, a.sub); got != options.User.ID {
			t.Errorf("%s: the handle is %q, theirs %q", name, got, options.User.ID)
		}
	}
	// WebAuthn allows 64 bytes. Theirs is then refused by the browser, so that no passkey of theirs can have such a handle.
	long := account{name: "federation-with-a-rather-long-name_" + newUUID(), sub: sub, email: "anna@example.com"}
	var options passkey.CreationOptions
	decode(t, s.theirs.start(t, long, ownRP), &options)
	if got := challenge.UserHandle(long.name, long.sub); got != "s|"+sub || len(options.User.ID) <= 64 {
		t.Errorf("a long username: the handle is %q, theirs %q", got, options.User.ID)
	}
}
