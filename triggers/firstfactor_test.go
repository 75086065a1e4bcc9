package triggers_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/token"
)

// firstFactor accepts the tokens that Verify accepts.
type firstFactor struct {
	tokens
	down bool
}

func (f *firstFactor) Proves(_ context.Context, raw, userName, clientID string) (bool, error) {
	if f.down {
		return false, errDown
	}
	c, ok := f.tokens[raw]
	return ok && c.Use == token.Access && c.Username == userName && c.ClientID == clientID, nil
}

func withToken(raw string) map[string]string {
	metadata := maps.Clone(bySMS)
	metadata[challenge.KeyFirstFactorToken] = raw
	return metadata
}

// askWithToken goes to round two.
func (p *pool) askWithToken(user, raw string) *session {
	p.t.Helper()
	s := p.initiate(user)
	s.answer(challenge.AnswerAuthParameters, withToken(raw))
	if err := s.challenge(withToken(raw), 2); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// With the option on no SMS goes out without proof of a first factor, and the answer tells nothing, not even digits of the number.
func TestNoSMSWithoutAFirstFactor(t *testing.T) {
	p := newPool(t)
	factor := &firstFactor{tokens: p.tokens}
	p.create.SMS.FirstFactor = factor
	var shapes []string
	for name, raw := range map[string]string{
		"nothing": "", "forged": "x", "another user's": "bob's", "another client's": "of another client", "an ID token": "alice's ID token", "huge": strings.Repeat("a", 9<<10),
	} {
		p.memory.calls = nil
		s := p.askWithToken(alice, raw)
		if number := s.public[challenge.ParamPhoneNumber]; number == "+*******5678" {
			t.Errorf("%s: the number shows", name)
		}
		shapes = append(shapes, strings.Join(slices.Sorted(maps.Keys(s.private)), " ")+strings.Join(p.memory.calls, " "))
		// Not even who guesses the code and brings a token along with it gets in.
		if s.answer(code("alice's", s.private[challenge.ParamSecretCode]), withToken("alice's")) {
			t.Errorf("%s: a code that was never sent passed", name)
		}
		if err := s.challenge(withToken("alice's"), 1); err != nil || s.private[challenge.ParamPhoneNumber] != "" {
			t.Errorf("%s: a later round takes the proof for the first: %v", name, err)
		}
	}
	if len(p.outbox.texts) != 0 || len(slices.Compact(shapes)) != 1 {
		t.Errorf("%d messages, shapes %q", len(p.outbox.texts), shapes)
	}
	unknown := p.askWithToken("nobody@example.com", "x")
	if len(unknown.public) != 1 || len(p.outbox.texts) != 0 {
		t.Error("an unknown user's answer differs")
	}
	// Strangers have not used up the user's messages of the day.
	for range 20 {
		p.askWithToken(alice, "x")
	}
	s := p.askWithToken(alice, "alice's")
	if len(p.outbox.texts) != 1 || s.public[challenge.ParamPhoneNumber] != "+*******5678" {
		t.Fatalf("%d messages, public %v", len(p.outbox.texts), s.public)
	}
	// A wrong code first, answered without the token in the metadata; the next round is still for the code that was sent.
	sent := sixDigits.FindString(p.outbox.texts[0].Body)
	if s.answer(code("alice's", "x"), bySMS) {
		t.Fatal("a wrong code passed")
	}
	if err := s.challenge(bySMS, 2); err != nil || len(p.outbox.texts) != 1 {
		t.Fatalf("%v, %d messages", err, len(p.outbox.texts))
	}
	if !s.answer(code("alice's", sent), bySMS) {
		t.Error("the code did not pass in the next round")
	}
	factor.down = true
	if err := p.initiate(alice).challenge(withToken("alice's"), 1); err == nil || err.Error() != "the code could not be sent" || len(p.outbox.texts) != 1 {
		t.Errorf("keys unreachable: %v, %d messages", err, len(p.outbox.texts))
	}
}

// The number changes between two tries, by a stolen session perhaps: the code went to the old one and proves nothing of the new one.
func TestPhoneChangedBetweenTries(t *testing.T) {
	p := newPool(t)
	s := p.askForCode(alice, 1)
	sent := s.private[challenge.ParamSecretCode]
	s.answer(code("alice's", "x"), bySMS)
	p.users[alice]["phone_number"] = "+31600000001"
	if err := s.challenge(bySMS, 1); err != nil {
		t.Fatal(err)
	}
	if s.answer(code("alice's", sent), bySMS) || strings.HasSuffix(s.public[challenge.ParamPhoneNumber], "0001") {
		t.Error("a code sent to the old number passed for the new one")
	}
}

// The last line binds the code to the host that asked, if that is a listed one.
func TestSMSNamesTheListedHost(t *testing.T) {
	for name, tc := range map[string]struct {
		origins  []string
		redirect string
		last     string
	}{
		"one origin":                    {[]string{"https://auth.example.com"}, "", "@auth.example.com #"},
		"one origin with a port":        {[]string{"https://auth.example.com:8443"}, "", "@auth.example.com #"},
		"named among several":           {[]string{"https://a.example", "https://b.example"}, "https://b.example/auth/step-up?x=1", "@b.example #"},
		"upper case":                    {[]string{"https://a.example"}, "https://A.example/", "@a.example #"},
		"several, none named":           {[]string{"https://a.example", "https://b.example"}, "", ""},
		"a foreign host":                {[]string{"https://a.example"}, "https://evil.example/", ""},
		"a host with a line of its own": {[]string{"https://a.example"}, "https://a.example\n@evil.example", ""},
		"an address":                    {[]string{"http://127.0.0.1:8080"}, "", ""},
		"nothing listed":                {nil, "https://a.example/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t)
			p.create.SMS.Origins, p.create.SMS.Product = tc.origins, "Example"
			p.users[alice]["locale"] = "fr"
			metadata := maps.Clone(bySMS)
			metadata[challenge.KeyRedirectURI] = tc.redirect
			if err := p.create.Validate(); err != nil {
				t.Fatal(err)
			}
			s := p.initiate(alice)
			if err := s.challenge(metadata, 1); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(p.outbox.texts[0].Body, "\n")
			want := 1
			if tc.last != "" {
				want = 3
				if lines[len(lines)-1] != tc.last+s.private[challenge.ParamSecretCode] {
					t.Errorf("last line %q", lines[len(lines)-1])
				}
			}
			if len(lines) != want || !strings.Contains(lines[0], "votre code Example") {
				t.Errorf("message %q", lines)
			}
		})
	}
}
