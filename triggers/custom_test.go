package triggers_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
	"github.com/caddy-cognito/passwordless/templates"
)

// An operator's own challenges, mask and texts are used; known and unknown users still cannot be told apart.
func TestOperatorsOwnParts(t *testing.T) {
	p := newPool(t)
	asked := challenge.EncodeBase64([]byte("sixteen bytes and some more"))
	p.create.Passkeys.Challenge = func(context.Context) (string, error) { return asked, nil }
	p.create.SMS.Mask = func(number string) string { return "ends with " + number[len(number)-2:] }
	p.create.SMS.Content = func(locale string, d templates.SMSData) (string, error) {
		return locale + d.Product + " code: " + d.Code, nil
	}
	device := passkeytest.NewAuthenticator(origin)
	p.register(alice, device)
	s := p.initiate(alice)
	if s.offered().Challenge != asked || !s.answer(device.Get(t, s.offered()).Encode(), byPasskey) {
		t.Error("a sign-in with the operator's challenge was denied")
	}
	s = p.askForCode(alice, 1)
	if s.public[challenge.ParamPhoneNumber] != "ends with 78" || !strings.HasPrefix(p.outbox.texts[0].Body, " code: ") {
		t.Errorf("public %v, SMS %q", s.public, p.outbox.texts[0].Body)
	}
	if n := p.askForCode("nobody@example.com", 1).public[challenge.ParamPhoneNumber]; !strings.HasPrefix(n, "ends with ") || len(n) != 12 {
		t.Errorf("an unknown user's number is shown as %q", n)
	}
}

// A generator that fails or makes something weak ends the round; the text tells nothing.
func TestBadChallengeGenerator(t *testing.T) {
	for name, made := range map[string]string{"nothing": "", "fifteen bytes": challenge.EncodeBase64(make([]byte, 15)), "padded": "AAAAAAAAAAAAAAAAAAAAAA==", "no base64": strings.Repeat("!", 40)} {
		p := newPool(t)
		p.create.Passkeys.Challenge = func(context.Context) (string, error) { return made, nil }
		s := &session{pool: p, user: alice, client: clientID, poolID: poolID}
		if err := s.challenge(nil, 1); err == nil || err.Error() != "passkeys are not available at the moment" {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := newPool(t)
	p.create.Passkeys.Challenge = func(context.Context) (string, error) { return "", errors.New("the secret generator is down") }
	s := &session{pool: p, user: alice, client: clientID, poolID: poolID}
	if err := s.challenge(nil, 1); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
