package caddyauth

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/userpool"
)

// mailedCode is a code that the fake pool awaits.
type mailedCode struct {
	want  string
	tries int
}

func (f *fakePool) newCode(user poolUser) *mailedCode {
	var b strings.Builder
	for _, letter := range rand.Text()[:challenge.CodeLength] {
		b.WriteByte(challenge.CodeAlphabet[int(letter)%len(challenge.CodeAlphabet)])
	}
	if user.email != "" {
		f.lastCode = b.String()
	}
	return &mailedCode{want: b.String()}
}

func (f *fakePool) awaitCode(user poolUser, code *mailedCode) *userpool.Challenge {
	id := "session-code-" + rand.Text()
	f.sessions[id], f.codes[id] = user, code
	return &userpool.Challenge{Session: id}
}

func (f *fakePool) checkCode(user poolUser, in userpool.Response) (*userpool.Challenge, error) {
	code := f.codes[in.Session]
	if code == nil {
		return nil, userpool.ErrNotAuthorized
	}
	if code.tries++; challenge.CodeAnswer(code.want) == in.Answer && user.email != "" {
		return nil, nil
	}
	if code.tries >= codeTries {
		return nil, userpool.ErrNotAuthorized
	}
	return f.awaitCode(user, code), nil
}

func withCodes(r *Realm, _ *Portal) { r.MagicLink.Code = true }

// wrongCodes are none that the pool has mailed.
func (p *portalTest) wrongCode() string {
	if p.pool.lastCode == "22222222" {
		return "33333333"
	}
	return "22222222"
}

func (b *browser) giveMailCode(flow, code string) *httptest.ResponseRecorder {
	b.Helper()
	return b.call("/auth/check-mail/code", map[string]string{"flow": flow, "code": code})
}

// The code is typed as people type it, where the link was asked for, and leads to the very page.
func TestMailedCodeSignsIn(t *testing.T) {
	p := newPortal(t, withCodes)
	b := p.browser()
	flow, _ := b.askForLink(anna, appOrigin+"/reports?year=2026")
	if page := b.get("/auth/check-mail?flow=" + url.QueryEscape(flow)); !strings.Contains(page.Body.String(), `id="code"`) {
		t.Errorf("the page takes no code: %s", page.Body)
	}
	b.wantError(b.giveMailCode(flow, p.wrongCode()), http.StatusForbidden, "code_wrong")
	typed := strings.ToLower(p.pool.lastCode[:4]) + "-" + p.pool.lastCode[4:] + " "
	var answer locationAnswer
	p.decode(b.giveMailCode(flow, typed), http.StatusOK, &answer)
	s, ok := b.session()
	if !ok || s.Email != anna || len(s.Factors) != 1 || s.Factors.At(session.EmailCode).IsZero() {
		t.Fatalf("session %+v", s)
	}
	if taken := p.handedOff(answer.Location); taken.Location != "/reports?year=2026#q3" {
		t.Errorf("leads to %s", taken.Location)
	}
	if p.logs.FilterMessage("signed_in").FilterField(zapOutcome("success")).Len() != 1 {
		t.Error("the audit log does not tell")
	}
	b.wantError(b.giveMailCode(flow, p.pool.lastCode), http.StatusForbidden, "code_spent")
}

// Attack: guess. Three tries for a mail, and few over all mails.
func TestMailedCodeIsGuessed(t *testing.T) {
	p := newPortal(t, withCodes)
	b := p.browser()
	flow, _ := b.askForLink(anna, appOrigin+"/")
	for range codeTries - 1 {
		b.wantError(b.giveMailCode(flow, p.wrongCode()), http.StatusForbidden, "code_wrong")
	}
	for range 2 {
		b.wantError(b.giveMailCode(flow, p.wrongCode()), http.StatusForbidden, "code_spent")
	}
	b.wantError(b.giveMailCode(flow, p.pool.lastCode), http.StatusForbidden, "code_spent")
	refused := 0
	for range 20 {
		p.clock.Advance(2 * time.Second)
		if w := b.giveMailCode(flow, p.wrongCode()); w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") != "" {
			refused++
		}
	}
	if refused == 0 {
		t.Error("guessing never ends")
	}
	if _, ok := b.session(); ok {
		t.Error("signed in")
	}
	// What is no code at all is no try.
	b.wantError(b.giveMailCode(flow, "hello"), http.StatusUnprocessableEntity, "code_wrong")
}

var randomText = regexp.MustCompile(`[A-Za-z0-9_-]{40,}`)

// Attack: ask for codes of strangers, to learn who has an account. Answers are the same byte for byte, and so are the calls.
func TestMailedCodesTellNothingOfAccounts(t *testing.T) {
	var stories []string
	for _, email := range []string{anna, "nobody@example.com"} {
		p := newPortal(t, withCodes)
		b := p.browser()
		flow, _ := b.askForLink(email, appOrigin+"/")
		var story strings.Builder
		story.WriteString(strings.ReplaceAll(randomText.ReplaceAllString(b.get("/auth/check-mail?flow="+url.QueryEscape(flow)).Body.String(), "*"), email, "someone"))
		for range codeTries + 1 {
			w := b.giveMailCode(flow, p.wrongCode())
			story.WriteString(http.StatusText(w.Code) + w.Body.String())
		}
		for _, call := range p.pool.calls {
			story.WriteString("\n" + call)
		}
		stories = append(stories, story.String())
	}
	if stories[0] != stories[1] {
		t.Errorf("with an account:\n%s\n\nwithout:\n%s", stories[0], stories[1])
	}
}

// Attack: somebody else's flow, from a mail or over a shoulder, in another browser.
func TestMailedCodeInAnotherBrowser(t *testing.T) {
	p := newPortal(t, withCodes)
	flow, mailed := p.browser().askForLink(anna, appOrigin+"/")
	thief := p.browser()
	for name, stolen := range map[string]string{"the page's": flow, "the mail's": mailedFlow(t, mailed)} {
		if w := thief.giveMailCode(stolen, p.pool.lastCode); w.Code != http.StatusBadRequest {
			t.Errorf("%s flow: %d %s", name, w.Code, w.Body)
		}
	}
	if _, ok := thief.session(); ok {
		t.Error("signed in")
	}
}

// Where codes are off nobody is mailed one, no page asks for one, and none works.
func TestMailedCodesAreOff(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	flow, _ := b.askForLink(anna, appOrigin+"/")
	if asked := p.pool.mails[0].ClientMetadata[challenge.KeyMagicLinkCode]; asked != "" {
		t.Errorf("the pool was asked for a code: %q", asked)
	}
	if page := b.get("/auth/check-mail?flow=" + url.QueryEscape(flow)); strings.Contains(page.Body.String(), `id="code"`) {
		t.Error("the page asks for a code")
	}
	b.wantError(b.giveMailCode(flow, "22222222"), http.StatusNotFound, "not_found")
}

// A wish for codes of one mail is over when another one goes out, and two answers at once are one try.
func TestMailedCodeRaces(t *testing.T) {
	p := newPortal(t, withCodes)
	b := p.browser()
	flow, _ := b.askForLink(anna, appOrigin+"/")
	first := p.pool.lastCode
	p.clock.Advance(2 * time.Minute)
	if w := b.submit("/auth/check-mail/resend", "flow", flow); w.Code != http.StatusSeeOther {
		t.Fatalf("got %d", w.Code)
	}
	b.wantError(b.giveMailCode(flow, first), http.StatusForbidden, "code_wrong")
	calls := len(p.pool.calls)
	codes := make(chan int, 4)
	var wg sync.WaitGroup
	for range cap(codes) {
		own := *p
		one := own.browser()
		one.cookies = map[string]string{p.rt.browserCookie.Name: b.cookies[p.rt.browserCookie.Name]}
		wg.Go(func() { codes <- one.giveMailCode(flow, p.pool.lastCode).Code })
	}
	wg.Wait()
	close(codes)
	passed := 0
	for code := range codes {
		if code == http.StatusOK {
			passed++
		}
	}
	if passed != 1 || len(p.pool.calls) != calls+1 {
		t.Errorf("%d of four answers signed in, with the calls %q", passed, p.pool.calls[calls:])
	}
}

// Cognito is busy: the code can be given again.
func TestMailedCodeOutlivesThrottling(t *testing.T) {
	p := newPortal(t, withCodes)
	b := p.browser()
	flow, _ := b.askForLink(anna, appOrigin+"/")
	p.pool.respond = func(userpool.Response) (userpool.Result, error) { return userpool.Result{}, userpool.ErrThrottled }
	b.wantError(b.giveMailCode(flow, p.pool.lastCode), http.StatusTooManyRequests, "too_many")
	p.pool.respond = nil
	if w := b.giveMailCode(flow, p.pool.lastCode); w.Code != http.StatusOK {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

// Attack: the pool, or whoever is in its place, signs in somebody else.
func TestMailedCodeOfAnotherAccount(t *testing.T) {
	p := newPortal(t, withCodes)
	b := p.browser()
	flow, _ := b.askForLink(anna, appOrigin+"/")
	p.pool.respond = func(userpool.Response) (userpool.Result, error) {
		tokens := p.tokens(poolUser{bobSub, bob}, p.clock.Now())
		return userpool.Result{Tokens: &tokens}, nil
	}
	b.wantError(b.giveMailCode(flow, p.pool.lastCode), http.StatusForbidden, "wrong_account")
	if _, ok := b.session(); ok || p.pool.revoked != 1 {
		t.Errorf("signed in: %v; revoked %d", ok, p.pool.revoked)
	}
}

// `step_up email_code` is met by the code, and the session stays the same one.
func TestMailedCodeStepsUp(t *testing.T) {
	p := newPortal(t, withCodes)
	b := p.browser()
	before := b.signInByLink(anna)
	b.later()
	flow, _ := b.askForFreshLink(b.stepUpURL(before, session.EmailCode))
	var answer locationAnswer
	p.decode(b.giveMailCode(flow, p.pool.lastCode), http.StatusOK, &answer)
	after, _ := b.session()
	if after.ID != before.ID || after.Factors.At(session.EmailCode).IsZero() {
		t.Errorf("stepped up to %+v", after)
	}
	if taken := p.handedOff(answer.Location); taken.Location != "/admin?tab=2#q3" {
		t.Errorf("leads to %s", taken.Location)
	}
	// One that asks for a link alone takes no code.
	b.later()
	flow, _ = b.askForFreshLink(b.stepUpURL(after, session.MagicLink))
	b.wantError(b.giveMailCode(flow, p.pool.lastCode), http.StatusNotFound, "not_found")
}
