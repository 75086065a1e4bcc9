package triggers_test

import (
	"context"
	"encoding/json"
	"regexp"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// askForCode goes to round two.
func (p *pool) askForCode(user string, times int) *session {
	p.t.Helper()
	s := p.initiate(user)
	s.answer(challenge.AnswerAuthParameters, bySMS)
	if err := s.challenge(bySMS, times); err != nil {
		p.t.Fatal(err)
	}
	return s
}

func code(jwt, code string) string {
	b, err := json.Marshal(challenge.SMSAnswer{AccessToken: jwt, SecretCode: code})
	if err != nil {
		panic(err)
	}
	return string(b)
}

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

func TestSMSStepUp(t *testing.T) {
	p := newPool(t)
	s := p.askForCode(alice, 3)
	if len(p.outbox.texts) != 1 {
		t.Fatalf("%d messages", len(p.outbox.texts))
	}
	if got := s.public[challenge.ParamPhoneNumber]; got != "+*******5678" || len(s.public) != 1 {
		t.Errorf("public parameters %v", s.public)
	}
	sent := sixDigits.FindString(p.outbox.texts[0].Body)
	if s.answer(code("alice's", "000000"), bySMS) {
		t.Fatal("a wrong code passed")
	}
	// The next round keeps the code and sends nothing.
	if err := s.challenge(bySMS, 2); err != nil || len(p.outbox.texts) != 1 {
		t.Fatalf("%v, %d messages", err, len(p.outbox.texts))
	}
	for range 2 {
		if !s.answer(code("alice's", sent), bySMS) {
			t.Error("the code did not pass")
		}
	}
	if !s.decide(bySMS).IssueTokens {
		t.Error("no tokens")
	}
}

func TestSMSAttacks(t *testing.T) {
	p := newPool(t)
	s := p.askForCode(alice, 1)
	sent := sixDigits.FindString(p.outbox.texts[0].Body)
	for name, answer := range map[string]any{
		"no first factor":           code("forged", sent),
		"another user's token":      code("bob's", sent),
		"another client's token":    code("of another client", sent),
		"ID token for access token": code("alice's ID token", sent),
		"code of another length":    code("alice's", sent+"0"),
		"malformed":                 "{",
		"a bare code":               sent,
		"a number":                  123456,
	} {
		if s.answer(answer, bySMS) {
			t.Errorf("%s passed", name)
		}
	}
	if p.initiate(alice).answer(code("alice's", sent), bySMS) {
		t.Error("a code passed in the parameters round")
	}
	if p.askForCode(alice, 1).answer(code("alice's", sent), bySMS) {
		t.Error("a code passed in another session")
	}
}

// Defect 4: no limit across sessions, so that codes could be guessed by starting over.
func TestGuessingOverManySessions(t *testing.T) {
	p := newPool(t)
	p.create.SMS.PerDay = 100
	for i := range 10 {
		if p.askForCode(alice, 1).answer(code("alice's", string(rune('a'+i))), bySMS) {
			t.Fatal("a wrong code passed")
		}
	}
	s := p.askForCode(alice, 1)
	if s.answer(code("alice's", s.private[challenge.ParamSecretCode]), bySMS) {
		t.Error("the right code passed after ten wrong ones")
	}
	// Without a token nobody can use up the tries of another.
	p = newPool(t)
	for range 20 {
		p.askForCode(alice, 1).answer(code("bob's", "1"), bySMS)
	}
	s = p.askForCode(alice, 1)
	if !s.answer(code("alice's", s.private[challenge.ParamSecretCode]), bySMS) {
		t.Error("a stranger used up the tries")
	}
	// The right code is no wrong try.
	p = newPool(t)
	p.create.SMS.PerDay = 100
	for range 20 {
		s := p.askForCode(alice, 1)
		if !s.answer(code("alice's", s.private[challenge.ParamSecretCode]), bySMS) {
			t.Fatal("denied")
		}
	}
}

// Defect 4: messages could be pumped without end. The answer does not tell that none went out.
func TestSMSPumping(t *testing.T) {
	p := newPool(t)
	for range 30 {
		s := p.askForCode(alice, 1)
		if s.public[challenge.ParamPhoneNumber] != "+*******5678" {
			t.Fatal("the answer changed")
		}
	}
	if len(p.outbox.texts) != 10 {
		t.Errorf("%d messages", len(p.outbox.texts))
	}
}

func TestCodesDifferBetweenSessions(t *testing.T) {
	p := newPool(t)
	seen := map[string]bool{}
	for range 20 {
		seen[p.askForCode(alice, 1).private[challenge.ParamSecretCode]] = true
	}
	if len(seen) < 15 {
		t.Errorf("%d different codes in 20 sessions", len(seen))
	}
}

// Defect 3: an unknown user got a computable number, a known one without a phone an error text.
func TestSMSForThoseWithoutAPhone(t *testing.T) {
	p := newPool(t)
	p.users["carol"] = map[string]string{"phone_number": "+31687654321", "phone_number_verified": "false"}
	mask := regexp.MustCompile(`^\+\*{7}[0-9]{4}$`)
	for _, user := range []string{bob, "carol", "nobody@example.com"} {
		s := p.askForCode(user, 1)
		number := s.public[challenge.ParamPhoneNumber]
		if !mask.MatchString(number) || len(s.public) != 1 || number == "+*******4321" {
			t.Errorf("%s: %v", user, s.public)
		}
		if again := p.askForCode(user, 1); again.public[challenge.ParamPhoneNumber] != number {
			t.Errorf("%s: the number changes", user)
		}
		p.tokens["theirs"] = p.tokens["alice's"]
		c := p.tokens["theirs"]
		c.Username = user
		p.tokens["theirs"] = c
		if s.answer(code("theirs", s.private[challenge.ParamSecretCode]), bySMS) {
			t.Errorf("%s: a code that was never sent passed", user)
		}
	}
	if len(p.outbox.texts) != 0 {
		t.Errorf("%d messages", len(p.outbox.texts))
	}
}

// Defect 6: an SMS-only deployment without allowed origins could not start.
func TestSMSOnly(t *testing.T) {
	p := newPool(t)
	p.create.MagicLink, p.create.Passkeys, p.verify.MagicLink, p.verify.Passkeys = nil, nil, nil, nil
	if err := p.create.Validate(); err != nil {
		t.Error(err)
	}
	if err := p.verify.Validate(); err != nil {
		t.Error(err)
	}
	s := p.askForCode(alice, 1)
	if !s.answer(code("alice's", s.private[challenge.ParamSecretCode]), bySMS) {
		t.Error("denied")
	}
}

func TestSMSRefusedThenRetried(t *testing.T) {
	p := newPool(t)
	p.outbox.refuse = 1
	s := p.initiate(alice)
	e := s.createEvent(bySMS)
	if _, err := p.create.Handle(context.Background(), e); err == nil || err.Error() != "the code could not be sent" {
		t.Errorf("got %v", err)
	}
	if _, err := p.create.Handle(context.Background(), e); err != nil || len(p.outbox.texts) != 1 {
		t.Errorf("%v, %d messages", err, len(p.outbox.texts))
	}
}

// Attack: an account adds a number of a country that costs a fortune. It is treated as one without a phone.
func TestSMSToOtherCountries(t *testing.T) {
	for code, want := range map[string]int{"+49": 1, "+1": 0} {
		p := newPool(t)
		p.create.SMS.CallingCodes = []string{code}
		p.users[alice]["phone_number"] = "+4915112345678"
		p.askForCode(alice, 1)
		if len(p.outbox.texts) != want {
			t.Errorf("%s allowed: %d messages, want %d", code, len(p.outbox.texts), want)
		}
	}
}

// Attack: many accounts, each below its own limit. The day's budget for all holds, and the next day begins a new one.
func TestSMSBudgetForAll(t *testing.T) {
	p := newPool(t)
	p.create.SMS.AllPerDay = 3
	for range 5 {
		p.askForCode(alice, 1)
	}
	if len(p.outbox.texts) != 3 {
		t.Errorf("%d messages, want 3", len(p.outbox.texts))
	}
}
