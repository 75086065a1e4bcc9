package triggers_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// askCode asks for a mail with a code; byCode answers with what it says.
var (
	askCode = map[string]string{
		challenge.KeySignInMethod: "MAGIC_LINK", challenge.KeyRedirectURI: redirect, challenge.KeyAlreadyHaveMagicLink: "no", challenge.KeyMagicLinkCode: "yes",
	}
	byCode = map[string]string{challenge.KeySignInMethod: "MAGIC_LINK", challenge.KeyAlreadyHaveMagicLink: "no", challenge.KeyAttemptID: "attempt"}
)

const wrongCode = "code:22222222"

// askForMailedCode goes to round two, calling Create as often as asked.
func (p *pool) askForMailedCode(user string, times int) *session {
	p.t.Helper()
	s := p.initiate(user)
	s.answer(challenge.AnswerAuthParameters, askCode)
	if got := s.decide(askCode).ChallengeName; got != challenge.CustomChallenge {
		p.t.Fatalf("Define answered %q", got)
	}
	if err := s.challenge(askCode, times); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// mailedCode is the code in the newest mail, as it is shown there.
func (p *pool) mailedCode() string {
	p.t.Helper()
	return p.outbox.mails[len(p.outbox.mails)-1].Subject
}

// Someone reads mail on the phone and types the code on the computer.
func TestCodeSignsIn(t *testing.T) {
	p := newPool(t)
	s := p.askForMailedCode(alice, 3)
	shown := p.mailedCode()
	if len(p.outbox.mails) != 1 || len(shown) != 9 || len(s.public) != 0 || s.rounds[1].ChallengeMetadata != "MAGIC_LINK_CODE" {
		t.Fatalf("%d mails, code %q, public %v, metadata %s", len(p.outbox.mails), shown, s.public, s.rounds[1].ChallengeMetadata)
	}
	for k, v := range s.public {
		t.Errorf("the client sees %s=%s", k, v)
	}
	if !s.answer(challenge.CodeAnswer(strings.ToLower(shown)+" "), byCode) || !s.decide(byCode).IssueTokens {
		t.Fatal("the code did not pass")
	}
	receipt := p.memory.receipts[challenge.ReceiptKey(clientID, alice, "attempt")]
	if receipt.Method != "MAGIC_LINK_CODE" {
		t.Errorf("receipt of %q", receipt.Method)
	}
	if len(p.memory.proven) != 1 {
		t.Error("the address was not proven")
	}
}

// The mail as it comes names the host where the code may be entered.
func TestMailWithCodeNamesTheHost(t *testing.T) {
	p := newPool(t)
	p.create.MagicLink.Content = nil
	s := p.askForMailedCode(alice, 1)
	m := p.outbox.mails[0]
	shown := challenge.FormatCode(s.private[challenge.ParamSecretCode])
	for _, part := range []string{m.Text, m.HTML} {
		if !strings.Contains(part, shown) || strings.Count(part, "on auth.example.com only") != 1 {
			t.Errorf("code or host missing: %s", part)
		}
	}
	if !s.answer(challenge.CodeAnswer(shown), byCode) {
		t.Error("the code of the mail does not pass")
	}
}

// Mistyping twice costs no mail and no new code; the third wrong answer ends the session.
func TestCodeTries(t *testing.T) {
	p := newPool(t)
	s := p.askForMailedCode(alice, 1)
	for try := range 2 {
		if s.answer(wrongCode, byCode) || s.decide(byCode).ChallengeName != challenge.CustomChallenge {
			t.Fatalf("wrong code %d ended the session", try+1)
		}
		before := maps.Clone(s.private)
		if err := s.challenge(byCode, 3); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(s.private, before) || len(p.outbox.mails) != 1 {
			t.Fatalf("the next round asks for another code, or mailed one: %d mails", len(p.outbox.mails))
		}
	}
	if !s.answer(challenge.CodeAnswer(p.mailedCode()), byCode) || !s.decide(byCode).IssueTokens {
		t.Error("the third try did not pass")
	}
	p = newPool(t)
	s = p.askForMailedCode(alice, 1)
	for range 2 {
		s.answer(wrongCode, byCode)
		if err := s.challenge(byCode, 1); err != nil {
			t.Fatal(err)
		}
	}
	s.answer(wrongCode, byCode)
	for _, metadata := range []map[string]string{byCode, askCode, askLink, bySMS} {
		if got := s.decide(metadata); !got.FailAuthentication {
			t.Errorf("a fourth try is offered by %s", metadata[challenge.KeySignInMethod])
		}
	}
}

// The link and the code of one mail are one proof: using either voids the other, and every other mail's too.
func TestCodeAndLinkVoidEachOther(t *testing.T) {
	p := newPool(t)
	s := p.askForMailedCode(alice, 1)
	if !p.initiate(alice).answer(p.lastLink(), bringLink) {
		t.Fatal("the link beside a code does not pass in another browser")
	}
	if s.answer(challenge.CodeAnswer(p.mailedCode()), byCode) {
		t.Error("the code passed after its link was used")
	}

	p = newPool(t)
	first := p.askForMailedCode(alice, 1)
	firstCode, firstLink := p.mailedCode(), p.lastLink()
	p.now = p.now.Add(time.Minute)
	second := p.askForMailedCode(alice, 1)
	if !second.answer(challenge.CodeAnswer(p.mailedCode()), byCode) {
		t.Fatal("the code did not pass")
	}
	if p.initiate(alice).answer(p.lastLink(), bringLink) || p.initiate(alice).answer(firstLink, bringLink) {
		t.Error("a link passed after a code was used")
	}
	if first.answer(challenge.CodeAnswer(firstCode), byCode) {
		t.Error("the code of an earlier mail passed after a later one was used")
	}
	// The link may also answer the round that waits for a code, in the browser that asked.
	p = newPool(t)
	s = p.askForMailedCode(alice, 1)
	if !s.answer(p.lastLink(), byCode) || s.answer(challenge.CodeAnswer(p.mailedCode()), nil) {
		t.Error("the link did not pass in the code's round")
	}
}

func TestCodeAttacks(t *testing.T) {
	for name, attack := range map[string]func(p *pool, s *session, code string) (*session, string, map[string]string){
		"code in another session of the same user": func(p *pool, _ *session, code string) (*session, string, map[string]string) {
			p.now = p.now.Add(time.Minute)
			return p.askForMailedCode(alice, 1), code, byCode
		},
		"code in the parameters round": func(p *pool, _ *session, code string) (*session, string, map[string]string) {
			return p.initiate(alice), code, bringLink
		},
		"another user's code": func(p *pool, _ *session, code string) (*session, string, map[string]string) {
			return p.askForMailedCode(bob, 1), code, byCode
		},
		"code in the round of a link without one": func(p *pool, _ *session, code string) (*session, string, map[string]string) {
			p.now = p.now.Add(time.Minute)
			return p.askForLink(alice), code, byCode
		},
		"code after the link's end": func(p *pool, s *session, code string) (*session, string, map[string]string) {
			p.now = p.now.Add(901 * time.Second)
			return s, code, byCode
		},
		"code as an SMS code": func(_ *pool, s *session, answer string) (*session, string, map[string]string) {
			return s, code("alice's", strings.TrimPrefix(answer, "code:")), bySMS
		},
		"code as a passkey": func(_ *pool, s *session, code string) (*session, string, map[string]string) {
			return s, code, byPasskey
		},
		"code without a prefix": func(p *pool, s *session, _ string) (*session, string, map[string]string) {
			return s, p.mailedCode(), byCode
		},
		"code and more": func(_ *pool, s *session, code string) (*session, string, map[string]string) {
			return s, code + "A", byCode
		},
		"no code": func(_ *pool, s *session, _ string) (*session, string, map[string]string) { return s, "code:", byCode },
		"codes are off": func(p *pool, s *session, code string) (*session, string, map[string]string) {
			p.verify.MagicLink.Code = false
			return s, code, byCode
		},
		"code for a user who is gone": func(p *pool, s *session, code string) (*session, string, map[string]string) {
			delete(p.users, alice)
			return s, code, byCode
		},
		"session without a nonce": func(_ *pool, s *session, code string) (*session, string, map[string]string) {
			delete(s.private, challenge.ParamNonce)
			return s, code, byCode
		},
		"link withdrawn": func(p *pool, s *session, code string) (*session, string, map[string]string) {
			p.memory.links = nil
			return s, code, byCode
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t)
			s := p.askForMailedCode(alice, 1)
			s, answer, metadata := attack(p, s, challenge.CodeAnswer(p.mailedCode()))
			if s.answer(answer, metadata) {
				t.Error("passed")
			}
			if len(p.memory.receipts) != 0 {
				t.Error("a receipt for nothing")
			}
		})
	}
}

// Guessing over many sessions: after ten wrong codes in an hour even the right one is denied. The link still works, and codes that
// were mailed to nobody cannot be used to use up somebody's tries.
func TestGuessingCodesOverManySessions(t *testing.T) {
	p := newPool(t)
	p.create.MagicLink.Outstanding = 100
	var s *session
	for range 4 {
		s = p.askForMailedCode(alice, 1)
		for i := range 3 {
			s.answer("code:2222222"+string(rune('3'+i)), byCode)
		}
		p.now = p.now.Add(time.Minute)
	}
	if s = p.askForMailedCode(alice, 1); s.answer(challenge.CodeAnswer(p.mailedCode()), byCode) {
		t.Error("the right code passed after ten wrong ones")
	}
	if !p.initiate(alice).answer(p.lastLink(), bringLink) {
		t.Error("guessing codes stopped the link too")
	}
	p = newPool(t)
	first := p.askForMailedCode(alice, 1)
	right := p.mailedCode()
	for i := range 30 { // within the least time between two mails: none goes out
		p.askForMailedCode(alice, 1).answer("code:222222"+string(challenge.CodeAlphabet[i%10])+string(challenge.CodeAlphabet[i/10]), byCode)
	}
	if !first.answer(challenge.CodeAnswer(right), byCode) {
		t.Error("a stranger used up the tries without a single mail")
	}
}

// Known and unknown users: the same answers, the same calls, and never a pass.
func TestCodeForNobody(t *testing.T) {
	p := newPool(t)
	p.users["carol"] = map[string]string{"sub": "s", "phone_number": "+31687654321"}
	known := p.askForMailedCode(alice, 1)
	created := slices.Clone(p.memory.calls)
	for _, user := range []string{"nobody@example.com", "carol"} {
		p.memory.calls = nil
		s := p.askForMailedCode(user, 1)
		if !maps.Equal(s.public, known.public) || len(s.private) != len(known.private) || s.rounds[1].ChallengeMetadata != known.rounds[1].ChallengeMetadata {
			t.Errorf("%s: %v", user, s.public)
		}
		if !slices.Equal(p.memory.calls, created) {
			t.Errorf("%s: calls %v, want %v", user, p.memory.calls, created)
		}
		if s.answer(challenge.CodeAnswer(s.private[challenge.ParamSecretCode]), byCode) || s.decide(byCode).IssueTokens {
			t.Errorf("%s got in", user)
		}
		if s.decide(byCode).ChallengeName != challenge.CustomChallenge {
			t.Errorf("%s: a wrong code ends the session at once", user)
		}
	}
	if len(p.outbox.mails) != 1 {
		t.Errorf("%d mails", len(p.outbox.mails))
	}
}

// A code is an option of the deployment and of the call.
func TestCodeOnlyWhereAskedFor(t *testing.T) {
	p := newPool(t)
	if s := p.askForLink(alice); p.mailedCode() != "" || s.private[challenge.ParamSecretCode] != "" || s.rounds[1].ChallengeMetadata != "MAGIC_LINK" {
		t.Error("a code nobody asked for")
	}
	p = newPool(t)
	p.create.MagicLink.Code = false
	if s := p.askForMailedCode(alice, 1); p.mailedCode() != "" || s.private[challenge.ParamSecretCode] != "" || s.rounds[1].ChallengeMetadata != "MAGIC_LINK" {
		t.Error("a code though codes are off")
	}
	p = newPool(t)
	s := p.initiate(alice)
	s.rounds[0].ChallengeMetadata = challenge.ProvideAuthParameters // made by another implementation: nothing hidden to derive a code from
	if err := s.challenge(askCode, 1); err != nil || s.private[challenge.ParamSecretCode] != "" || p.mailedCode() != "" {
		t.Errorf("a code without a nonce: %v", err)
	}
}

// The same event three times, then eight times at once: one answer, one link consumed.
func TestCodeRetriedPassesAgain(t *testing.T) {
	p := newPool(t)
	s := p.askForMailedCode(alice, 1)
	answer := challenge.CodeAnswer(p.mailedCode())
	for i := range 3 {
		if !s.answer(answer, byCode) {
			t.Errorf("call %d was denied", i+1)
		}
	}
	e := s.verifyEvent(answer, byCode)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got, err := p.verify.Handle(context.Background(), e); err != nil || !got.Response.AnswerCorrect {
				t.Errorf("concurrent call: %v, %v", got.Response.AnswerCorrect, err)
			}
		})
	}
	wg.Wait()
	for _, down := range []string{"FindOperation", "Find", "Take", "AddressVerified", "Consume", "Return"} {
		p := newPool(t)
		s := p.askForMailedCode(alice, 1)
		e := s.verifyEvent(challenge.CodeAnswer(p.mailedCode()), byCode)
		p.memory.fail[down] = true
		if _, err := p.verify.Handle(context.Background(), e); err == nil || strings.Contains(err.Error(), "secret things") {
			t.Errorf("%s unreachable: %v", down, err)
		}
		p.memory.fail[down] = false
		if got, err := p.verify.Handle(context.Background(), e); err != nil || !got.Response.AnswerCorrect {
			t.Errorf("retry after %s: %v, %v", down, got.Response.AnswerCorrect, err)
		}
	}
}

// Codes differ between sessions, whoever asks.
func TestMailedCodesDiffer(t *testing.T) {
	p := newPool(t)
	codes := map[string]bool{}
	for range 200 {
		codes[p.askForMailedCode(bob, 1).private[challenge.ParamSecretCode]] = true
	}
	if len(codes) != 200 {
		t.Errorf("%d codes in 200 sessions", len(codes))
	}
}
