package triggers_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

func TestLinkSignsIn(t *testing.T) {
	p := newPool(t)
	s := p.askForLink(alice)
	m := p.outbox.mails[0]
	if m.To != "alice@example.com" || !strings.HasPrefix(m.Text, redirect+"#") || m.HTML != "auth.example.com" {
		t.Errorf("mail %+v", m)
	}
	if !s.answer(p.lastLink(), askLink) || !s.decide(askLink).IssueTokens {
		t.Error("the link did not pass in its own session")
	}
}

func TestLinkOpenedInAnotherBrowser(t *testing.T) {
	p := newPool(t)
	p.askForLink(alice)
	s := p.initiate(alice)
	if !s.answer(p.lastLink(), bringLink) || !s.decide(bringLink).IssueTokens {
		t.Error("the link did not pass in round one")
	}
	if len(p.memory.receipts) != 1 {
		t.Error("no receipt")
	}
}

// Two browsers race for one link: one wins.
func TestLinkRacedByTwoSessions(t *testing.T) {
	p := newPool(t)
	p.askForLink(alice)
	link := p.lastLink()
	var passed int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		e := p.initiate(alice).verifyEvent(link, bringLink)
		wg.Go(func() {
			got, err := p.verify.Handle(context.Background(), e)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && got.Response.AnswerCorrect {
				passed++
			}
		})
	}
	wg.Wait()
	if passed != 1 {
		t.Errorf("%d sessions passed", passed)
	}
}

func TestLinkAttacks(t *testing.T) {
	for name, attack := range map[string]func(t *testing.T, p *pool) (*session, string){
		"another user's link": func(_ *testing.T, p *pool) (*session, string) { return p.initiate(bob), p.lastLink() },
		"link of another pool": func(_ *testing.T, p *pool) (*session, string) {
			s := p.initiate(alice)
			s.poolID = "eu-west-1_Another00"
			return s, p.lastLink()
		},
		"link of another client": func(_ *testing.T, p *pool) (*session, string) {
			s := p.initiate(alice)
			s.client = "another"
			return s, p.lastLink()
		},
		"expired link": func(_ *testing.T, p *pool) (*session, string) {
			p.now = p.now.Add(901 * time.Second)
			return p.initiate(alice), p.lastLink()
		},
		"prolonged link": func(t *testing.T, p *pool) (*session, string) {
			return p.initiate(alice), altered(t, p.lastLink(), func(m *challenge.LinkMessage) { m.Expires += 3600 })
		},
		"link altered to another user": func(t *testing.T, p *pool) (*session, string) {
			return p.initiate(bob), altered(t, p.lastLink(), func(m *challenge.LinkMessage) { m.UserName = bob })
		},
		"altered signature": func(_ *testing.T, p *pool) (*session, string) {
			l, _ := challenge.ParseLink(p.lastLink())
			l.Signature[0] ^= 1
			return p.initiate(alice), l.Answer()
		},
		"link signed by a foreign key": func(t *testing.T, p *pool) (*session, string) {
			foreign, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				t.Fatal(err)
			}
			ours := p.signer.keys["current"]
			p.signer.keys["current"] = foreign
			p.now = p.now.Add(time.Minute)
			p.askForLink(alice)
			p.signer.keys["current"] = ours
			return p.initiate(alice), p.lastLink()
		},
		"link of a deleted record": func(_ *testing.T, p *pool) (*session, string) {
			p.memory.links = nil
			return p.initiate(alice), p.lastLink()
		},
		"link superseded by the use of another": func(t *testing.T, p *pool) (*session, string) {
			old := p.lastLink()
			p.now = p.now.Add(time.Minute)
			if s := p.askForLink(alice); !s.answer(p.lastLink(), askLink) {
				t.Fatal("the newer link did not pass")
			}
			return p.initiate(alice), old
		},
		"link for a user who is gone": func(_ *testing.T, p *pool) (*session, string) {
			delete(p.users, alice)
			return p.initiate(alice), p.lastLink()
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t)
			p.askForLink(alice)
			s, link := attack(t, p)
			if s.answer(link, bringLink) {
				t.Error("passed")
			}
		})
	}
}

// altered changes the message and keeps the signature.
func altered(t *testing.T, fragment string, change func(*challenge.LinkMessage)) string {
	t.Helper()
	l, err := challenge.ParseLink(fragment)
	if err != nil {
		t.Fatal(err)
	}
	change(&l.Message)
	l.Raw = challenge.EncodeLinkMessage(l.Message)
	return l.Answer()
}

// Defect 13: a link was consumed before its signature and expiry were checked, malformed answers were internal errors.
func TestDenialBurnsNothing(t *testing.T) {
	p := newPool(t)
	p.askForLink(alice)
	link := p.lastLink()
	for _, bad := range []any{
		"", ".", "a.b", nil, 7, []any{"x"}, map[string]any{"a": 1}, "e30.AA", link + "A", "\x00", strings.Repeat("A", 10000),
		altered(t, link, func(m *challenge.LinkMessage) { m.IssuedAt++ }), base64.StdEncoding.EncodeToString([]byte(link)),
	} {
		if p.initiate(alice).answer(bad, bringLink) {
			t.Errorf("%v passed", bad)
		}
		if p.memory.links[0].usedBy != "" || !p.memory.links[0].usedAt.IsZero() {
			t.Fatalf("%v burned the link", bad)
		}
	}
	for _, down := range []string{"Find", "AddressVerified", "Consume"} {
		p.memory.fail[down] = true
		s := p.initiate(alice)
		_, err := p.verify.Handle(context.Background(), s.verifyEvent(link, bringLink))
		if err == nil || strings.Contains(err.Error(), "secret things") {
			t.Errorf("%s unreachable: %v", down, err)
		}
		p.memory.fail[down] = false
	}
	p.memory.fail["PutReceipt"] = true // no claim, but no burned link either
	if !p.initiate(alice).answer(link, bringLink) {
		t.Error("the link did not survive")
	}
}

// A link in the parameters round counts only when the client says that it brings one.
func TestLinkInRoundOneNeedsYes(t *testing.T) {
	p := newPool(t)
	p.askForLink(alice)
	if p.initiate(alice).answer(p.lastLink(), askLink) {
		t.Error("passed")
	}
}

// Defect 14: anyone could void a pending link by asking for another.
func TestAskingAgainKeepsEarlierLinks(t *testing.T) {
	p := newPool(t)
	p.askForLink(alice)
	first := p.lastLink()
	for range 9 {
		p.now = p.now.Add(time.Minute)
		p.askForLink(alice)
	}
	if len(p.outbox.mails) != 3 {
		t.Errorf("%d mails, want the 3 that may be outstanding", len(p.outbox.mails))
	}
	if !p.initiate(alice).answer(first, bringLink) {
		t.Error("the first link is void")
	}
}

func TestLeastTimeBetweenMails(t *testing.T) {
	p := newPool(t)
	first := p.askForLink(alice)
	p.now = p.now.Add(59 * time.Second)
	second := p.askForLink(alice)
	if len(p.outbox.mails) != 1 {
		t.Errorf("%d mails", len(p.outbox.mails))
	}
	if !maps.Equal(first.public, second.public) || len(first.private) != len(second.private) {
		t.Error("the answer tells that nothing was sent")
	}
}

func TestMailsInAnHour(t *testing.T) {
	p := newPool(t)
	p.create.MagicLink.Limiter, p.create.MagicLink.PerHour = p.memory, 2
	for range 4 {
		p.askForLink(alice)
		p.now = p.now.Add(16 * time.Minute)
	}
	if len(p.outbox.mails) != 2 {
		t.Errorf("%d mails", len(p.outbox.mails))
	}
}

// Defect 5: nothing in the flow ever verified an address. A link does, if it was mailed to the one the user still has.
func TestLinkVerifiesTheCurrentAddress(t *testing.T) {
	p := newPool(t)
	p.askForLink(alice)
	s := p.initiate(alice)
	s.answer(p.lastLink(), bringLink)
	s.answer(p.lastLink(), bringLink)
	if len(p.memory.proven) != 1 || p.memory.proven[0].Email != "alice@example.com" || p.memory.proven[0].UserName != alice {
		t.Errorf("proven %+v", p.memory.proven)
	}

	p = newPool(t)
	p.askForLink(alice)
	p.users[alice]["email"] = "eve@example.com" // changed after the mail went out
	if !p.initiate(alice).answer(p.lastLink(), bringLink) || len(p.memory.proven) != 0 {
		t.Errorf("an address nobody wrote to was verified: %+v", p.memory.proven)
	}

	p = newPool(t)
	p.askForLink(bob)
	if !p.initiate(bob).answer(p.lastLink(), bringLink) || len(p.memory.proven) != 0 {
		t.Errorf("a verified address was verified again: %+v", p.memory.proven)
	}
}

// Defect 9: a cached public key outlived its alias. The key is found by what is stored with the link.
func TestKeyRotationBehindTheAlias(t *testing.T) {
	p := newPool(t)
	p.askForLink(alice)
	next, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p.memory.links[0].KeyID = "2025"
	p.signer.keys = map[string]*rsa.PrivateKey{"2025": p.signer.keys["current"], "current": next}
	if !p.initiate(alice).answer(p.lastLink(), bringLink) {
		t.Error("the link of the earlier key did not pass")
	}
	p.now = p.now.Add(time.Minute)
	p.askForLink(alice)
	if !p.initiate(alice).answer(p.lastLink(), bringLink) {
		t.Error("the link of the new key did not pass")
	}
}

// Defect 2: redirectUri was matched by its start and stood unescaped in the mail. Known and unknown users hear the same.
func TestRedirectIsRefusedForEverybody(t *testing.T) {
	p := newPool(t)
	for _, user := range []string{alice, "nobody@example.com"} {
		for _, uri := range []string{"", `https://auth.example.com/auth/link"><img src=x>`, "https://evil.example/auth/link", "https://auth.example.com/auth/linkage"} {
			metadata := maps.Clone(askLink)
			metadata[challenge.KeyRedirectURI] = uri
			if err := p.initiate(user).challenge(metadata, 1); err == nil || err.Error() != "invalid redirectUri" {
				t.Errorf("%s: %v", uri, err)
			}
		}
	}
	if len(p.outbox.mails) != 0 {
		t.Error("a mail went out")
	}
}
