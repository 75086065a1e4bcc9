package triggers_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// Defect 1: Create said "try again" after the mail had gone out, and a cold start sent three mails.
func TestCreateRetriedSendsOneMail(t *testing.T) {
	for _, times := range []int{2, 3} {
		p := newPool(t)
		s := p.initiate(alice)
		if err := s.challenge(askLink, times); err != nil {
			t.Fatal(err)
		}
		if len(p.outbox.mails) != 1 || len(p.memory.links) != 1 {
			t.Errorf("%d calls: %d mails, %d links", times, len(p.outbox.mails), len(p.memory.links))
		}
	}
}

func TestCreateRetriedConcurrentlySendsOneMail(t *testing.T) {
	p := newPool(t)
	s := p.initiate(alice)
	e := s.createEvent(askLink)
	answers := make([]string, 8)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			got, err := p.create.Handle(context.Background(), e)
			if err != nil {
				t.Error(err)
			}
			answers[i] = got.Response.ChallengeMetadata + got.Response.PrivateChallengeParameters["nonce"]
		})
	}
	wg.Wait()
	for _, a := range answers {
		if a != answers[0] {
			t.Errorf("answers %q and %q", a, answers[0])
		}
	}
	if len(p.outbox.mails) != 1 {
		t.Errorf("%d mails", len(p.outbox.mails))
	}
}

// The process died after storing the link: the retry comes while the lease lasts, then after it.
func TestCreateRetriedAfterACrash(t *testing.T) {
	p := newPool(t)
	s := p.initiate(alice)
	e := s.createEvent(askLink)
	op := challenge.OperationKey(s.private[challenge.ParamNonce], 1)
	if _, err := p.memory.Lease(context.Background(), op, p.now, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := p.create.Handle(context.Background(), e); err != nil || len(p.outbox.mails) != 0 {
		t.Errorf("while the lease lasts: %v, %d mails", err, len(p.outbox.mails))
	}
	p.now = p.now.Add(5 * time.Second)
	if _, err := p.create.Handle(context.Background(), e); err != nil || len(p.outbox.mails) != 1 {
		t.Errorf("after the lease: %v, %d mails", err, len(p.outbox.mails))
	}
}

// A refused mail is an error, and the retry of the same event sends it.
func TestMailRefusedThenRetried(t *testing.T) {
	p := newPool(t)
	p.outbox.refuse = 1
	s := p.initiate(alice)
	err := s.challenge(askLink, 1)
	var failure *challenge.Failure
	if !errors.As(err, &failure) || strings.Contains(err.Error(), "secret things") {
		t.Fatalf("got %v", err)
	}
	if err := s.challenge(askLink, 1); err != nil || len(p.outbox.mails) != 1 || len(p.memory.links) != 1 {
		t.Errorf("retry: %v, %d mails, %d links", err, len(p.outbox.mails), len(p.memory.links))
	}
	// A new session need not wait for the least time between two mails either.
	p = newPool(t)
	p.outbox.refuse = 1
	if err := p.initiate(alice).challenge(askLink, 1); err == nil {
		t.Fatal("no error")
	}
	p.askForLink(alice)
	if len(p.outbox.mails) != 1 {
		t.Errorf("new session: %d mails", len(p.outbox.mails))
	}
}

// The mail is out and cannot be marked as sent: an error would only bring a second one.
func TestMarkingFailsAfterSending(t *testing.T) {
	p := newPool(t)
	p.memory.fail["Sent"] = true
	s := p.initiate(alice)
	if err := s.challenge(askLink, 3); err != nil || len(p.outbox.mails) != 1 {
		t.Errorf("%v, %d mails", err, len(p.outbox.mails))
	}
}

// Defect 1: Verify burned the link and then denied it to its own retry.
func TestVerifyRetriedPassesAgain(t *testing.T) {
	p := newPool(t)
	s := p.askForLink(alice)
	link := p.lastLink()
	for i := range 3 {
		if !s.answer(link, askLink) {
			t.Errorf("call %d was denied", i+1)
		}
	}
	var wg sync.WaitGroup
	e := s.verifyEvent(link, askLink)
	for range 8 {
		wg.Go(func() {
			if got, err := p.verify.Handle(context.Background(), e); err != nil || !got.Response.AnswerCorrect {
				t.Errorf("concurrent call: %v, %v", got.Response.AnswerCorrect, err)
			}
		})
	}
	wg.Wait()
	// The very same link in any other Cognito session is a replay.
	if p.initiate(alice).answer(link, bringLink) {
		t.Error("replay from another session passed")
	}
}

// Without a nonce (a session begun by another implementation's Create) there is no exemption for retries.
func TestVerifyWithoutNonceHasNoExemption(t *testing.T) {
	p := newPool(t)
	p.askForLink(alice)
	for i, want := range []bool{true, false, false} {
		s := p.initiate(alice)
		delete(s.private, challenge.ParamNonce)
		if got := s.answer(p.lastLink(), bringLink); got != want {
			t.Errorf("use %d: %v", i+1, got)
		}
	}
}
