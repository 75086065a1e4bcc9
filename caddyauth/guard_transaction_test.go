package caddyauth

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/internal/session"
)

func TestTransactionIsApprovedOnce(t *testing.T) {
	s := newShop(t) // a passkey of just now, and asked all the same
	s.approve(s.open("/tx/release?order=17"))
	r := navigation(s.host + "/tx/release?order=17")
	r.Header.Set(headerTransaction, "forged")
	s.wantApproved(s.visit(s.tx, r), "GET /tx/release?order=17", "")
	s.approve(s.open("/tx/release?order=17"))
	s.wantApproved(s.open("/tx/release?order=17"), "GET /tx/release?order=17", "")
	if s.got[0].approval == s.got[1].approval {
		t.Error("two approvals have one ID")
	}
	if s.pool.answered[keyTransaction] != s.got[1].approval {
		t.Errorf("the pool learns of %q, the application of %q", s.pool.answered[keyTransaction], s.got[1].approval)
	}
	if s.logs.FilterMessage("stepped_up").FilterFieldKey("transaction").Len() != 2 {
		t.Error("the audit log does not name what was approved")
	}
	s.wantAsked("once more", s.open("/tx/release?order=17"), 2)
	if w := s.visit(s.guard(Guard{}), navigation(s.host+"/")); w.Code != http.StatusOK || s.got[2].approval != "" {
		t.Errorf("where nothing was approved: %d %+v", w.Code, s.got)
	}
}

// The page asks for each transaction afresh, says what it is about in words, and never shows an ID: reloaded, gone back to, in several tabs.
func TestTransactionPageAsksEachTime(t *testing.T) {
	s := newShop(t)
	address := s.asked(s.open("/tx/caf%C3%A9?id=5"))
	for range 3 {
		w := s.get(address)
		text := w.Body.String()
		if w.Code != http.StatusOK || !strings.Contains(text, "<dd>Open</dd>") || !strings.Contains(text, "/tx/café?id=5") || !strings.Contains(text, ">app.example.com<") {
			t.Fatalf("%d %s", w.Code, text)
		}
		if flow := s.transactionIn(s.found(w, dataField("flow"))); flow.ID == "" || strings.Contains(text, flow.ID) {
			t.Error("the page shows an ID, or has none")
		}
	}
	one, two := s.stepUpPage(address), s.stepUpPage(address)
	if s.transactionIn(one).ID == s.transactionIn(two).ID {
		t.Error("two tabs confirm under one ID")
	}
	s.handOver(s.ceremony(two))
	s.wantApproved(s.open("/tx/caf%C3%A9?id=5"), "GET /tx/caf%C3%A9?id=5", "")
	s.wantAsked("the other tab is not confirmed", s.open("/tx/caf%C3%A9?id=5"), 1)
	s.handOver(s.ceremony(one))
	s.wantApproved(s.open("/tx/caf%C3%A9?id=5"), "GET /tx/caf%C3%A9?id=5", "")
}

func (s *shop) transactionIn(sealed string) *Transaction {
	s.Helper()
	flow, err := s.rt.openFlow(sealed)
	if err != nil || flow.transaction() == nil {
		s.Fatalf("flow %+v: %v", flow, err)
	}
	return flow.transaction()
}

// Two transactions wait at once and are confirmed the other way round: each passes once.
func TestTwoTransactionsWait(t *testing.T) {
	s := newShop(t)
	pay, remove := s.stepUpPage(s.asked(s.xhr("/tx/pay", `{"n":1}`))), s.stepUpPage(s.asked(s.open("/tx/delete")))
	s.handOver(s.ceremony(remove))
	s.wantAsked("the one that still waits", s.xhr("/tx/pay", `{"n":1}`), 0)
	s.handOver(s.ceremony(pay))
	s.wantApproved(s.xhr("/tx/pay", `{"n":1}`), "POST /tx/pay", `{"n":1}`)
	s.wantApproved(s.open("/tx/delete"), "GET /tx/delete", "")
}

// Whoever is asked twice for the same and confirms twice has one approval, not a stock of them.
func TestSameTransactionAskedTwice(t *testing.T) {
	s := newShop(t)
	one, two := s.stepUpPage(s.asked(s.open("/tx/pay"))), s.stepUpPage(s.asked(s.open("/tx/pay")))
	s.handOver(s.ceremony(one))
	s.handOver(s.ceremony(two))
	s.wantApproved(s.open("/tx/pay"), "GET /tx/pay", "")
	s.wantAsked("again", s.open("/tx/pay"), 1)
}

// The session is refreshed, and its cookie set anew, between confirming and sending.
func TestApprovalOutlivesARefresh(t *testing.T) {
	s := newShop(t)
	s.approve(s.xhr("/tx/pay", "{}"))
	of, err := s.rt.sessions.Open(s.app[s.rt.sessionCookie.Name], "app.example.com")
	if err != nil {
		t.Fatal(err)
	}
	of.Generation++
	s.keepSession(of)
	s.wantApproved(s.xhr("/tx/pay", "{}"), "POST /tx/pay", "{}")
}

// A ceremony that fails confirms nothing, and the same page takes the next try.
func TestTransactionConfirmedOnTheSecondTry(t *testing.T) {
	s := newShop(t)
	flow := s.stepUpPage(s.asked(s.open("/tx/pay")))
	asked := s.passkeyPrompt(flow)
	wrong := asked.PublicKey
	wrong.Challenge = "d3JvbmctY2hhbGxlbmdlLW9mLTMyLWJ5dGVzLTEyMzQ"
	if w := s.passkeyAnswer(flow, asked, s.device.Get(t, wrong)); w.Code < 400 {
		t.Fatalf("a wrong answer: %d", w.Code)
	}
	s.wantAsked("after a failure", s.open("/tx/pay"), 0)
	s.handOver(s.ceremony(flow))
	s.wantApproved(s.open("/tx/pay"), "GET /tx/pay", "")
}

// Storage fails while an approval is made: nobody is let through, and the person confirms again.
func TestApprovalWhileStorageFails(t *testing.T) {
	s := newShop(t)
	flow := s.stepUpPage(s.asked(s.open("/tx/pay")))
	asked := s.passkeyPrompt(flow)
	answer := s.device.Get(t, asked.PublicKey)
	s.storage.Fail(func(op, key string) error {
		if op == "store" && strings.Contains(key, "/once/") {
			return http.ErrHandlerTimeout
		}
		return nil
	})
	if w := s.passkeyAnswer(flow, asked, answer); w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	s.storage.Fail(nil)
	s.wantAsked("after a failure", s.open("/tx/pay"), 0)
	s.approve(s.open("/tx/pay"))
	s.storage.Fail(func(op, key string) error {
		if op == "load" && strings.Contains(key, "/once/") {
			return http.ErrHandlerTimeout
		}
		return nil
	})
	if w := s.open("/tx/pay"); w.Code != http.StatusServiceUnavailable || len(s.got) != 0 {
		t.Errorf("an approval that cannot be read: %d %+v", w.Code, s.got)
	}
	s.storage.Fail(nil)
	s.wantApproved(s.open("/tx/pay"), "GET /tx/pay", "")
}

func TestApprovalEndsWithItsAge(t *testing.T) {
	s := newShop(t)
	s.approve(s.open("/tx/pay"))
	s.clock.Advance(5*time.Minute + time.Second)
	s.wantAsked("too late", s.open("/tx/pay"), 0)
	flow := s.stepUpPage(s.asked(s.open("/tx/pay")))
	s.clock.Advance(flowLifetime + time.Second)
	s.wantError(s.call("/auth/step-up/passkey/options", map[string]string{"flow": flow}), http.StatusBadRequest, "expired_flow")
}

// A form waits on the server: the approval is for what was in it, and another body needs its own.
func TestAttackApprovalOfAnotherForm(t *testing.T) {
	s := newShop(t)
	send := func(body string) *httptest.ResponseRecorder {
		return s.visit(s.tx, form(s.host+"/tx/pay", urlencoded, body))
	}
	address := s.asked(send("amount=5"))
	page := s.get(address)
	if !strings.Contains(page.Body.String(), "<dd>Send</dd>") || !strings.Contains(page.Body.String(), ">/tx/pay<") {
		t.Errorf("the page says %s", page.Body)
	}
	back, _, _ := strings.Cut(ledTo(s.handOver(s.ceremony(s.found(page, dataField("flow"))))), "#")
	s.wantAsked("another form", send("amount=5000"), 0)
	offer := s.visit(s.tx, navigation(s.host+back))
	action := formAction.FindStringSubmatch(offer.Body.String())
	if action == nil {
		t.Fatalf("%d %s", offer.Code, offer.Body)
	}
	again := form(s.host+strings.ReplaceAll(action[1], "&amp;", "&"), urlencoded, "amount=5000") // the body is not the browser's to choose
	again.Header.Set("Origin", "null")
	s.wantApproved(s.visit(s.tx, again), "POST /tx/pay", "amount=5")
}

// A form that another guard let through, put in place of the body, is approved by a later guard as what it is.
func TestApprovalOfAFormThatAnEarlierGuardSent(t *testing.T) {
	g := newGuarded(t)
	g.withNonce()
	bodies := g.received()
	early, late := g.guard(Guard{StepUp: fiveMinutes("sms")}), g.guard(Guard{StepUp: eachTime()})
	s, _ := g.signIn("alice", appOrigin)
	_, cookie := g.steppedUp(s, session.MagicLink)
	flow := g.keptFlow(form(appOrigin+"/pay", urlencoded, "amount=5", cookie), early, late)
	s, cookie = g.steppedUp(s, session.SMS)
	w := g.serve(g.sendAgain(flow, cookie, early, late), early, late)
	flow = g.stepUpFlow(w.Header().Get("Location"))
	if flow.transaction() == nil || len(*bodies) != 0 {
		t.Fatalf("%d %+v %q", w.Code, flow.StepUp, *bodies)
	}
	g.approved(flow, s, session.SMS)
	if w := g.serve(g.sendAgain(flow, cookie, early, late), early, late); w.Code != http.StatusOK || len(*bodies) != 1 || !strings.HasSuffix((*bodies)[0], " amount=5") {
		t.Errorf("%d %q", w.Code, *bodies)
	}
}

// What does not fit is refused in clear words, to a script and to the sender of a form; what just fits is not.
func TestTransactionWithALargeBody(t *testing.T) {
	s := newShop(t)
	s.tx = s.guard(Guard{StepUp: eachTime(), KeepBody: 1000})
	fits := strings.Repeat("a", 1000)
	s.approve(s.xhr("/tx/upload", fits))
	s.wantApproved(s.xhr("/tx/upload", fits), "POST /tx/upload", fits)
	for name, length := range map[string]int64{"announced": 1001, "chunked": -1} {
		r := jsonPost(s.host+"/tx/upload", fits+"a")
		r.ContentLength = length
		var answer struct{ Reason, Message string }
		s.decode(s.visit(s.tx, r), http.StatusRequestEntityTooLarge, &answer)
		if answer.Reason != "body_too_large" || !strings.Contains(answer.Message, "1000 bytes") {
			t.Errorf("%s: %+v", name, answer)
		}
	}
	w := s.visit(s.tx, form(s.host+"/tx/upload", urlencoded, fits+"a"))
	if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "too large to confirm") || strings.Contains(w.Body.String(), "step-up?flow=") {
		t.Errorf("form: %d %s", w.Code, w.Body)
	}
	if len(s.got) != 1 {
		t.Errorf("the application got %+v", s.got)
	}
	r := jsonPost(s.host+"/tx/upload", "{}")
	r.ContentLength = -1 // a small one that does not say so
	s.asked(s.visit(s.tx, r))
	if held := s.tx.family.held.total; held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
}

// One person's bodies do not fill the memory for all others.
func TestHeldBodiesAreShared(t *testing.T) {
	var q holdQuota
	for range heldBytes / heldShare / maxKeepBody {
		if !q.take("alice", maxKeepBody) {
			t.Fatal("refused within the share")
		}
	}
	if q.take("alice", 1) || !q.take("bob", maxKeepBody) {
		t.Error("alice has more than her share, or bob none")
	}
	q.give("alice", maxKeepBody)
	if !q.take("alice", 1) {
		t.Error("what was given back is lost")
	}
	q.give("alice", 1)
	q.give("bob", maxKeepBody)
	if len(q.bytes) != 0 || q.total != 0 {
		t.Errorf("%v %d", q.bytes, q.total)
	}
}

// Attack: a request that is not sent as a form names a form that waits. What is approved is its own body, not the form's.
func TestAttackWaitingFormStandsInForABody(t *testing.T) {
	s := newShop(t)
	address := s.asked(s.visit(s.tx, form(s.host+"/tx/pay", urlencoded, "amount=5")))
	flow, err := s.rt.openFlow(strings.TrimPrefix(address, s.rt.portal.String()+"step-up?flow="))
	if err != nil {
		t.Fatal(err)
	}
	waits, err := url.Parse(flow.Return)
	if err != nil || waits.Query().Get("kept") == "" {
		t.Fatalf("leads to %q: %v", flow.Return, err)
	}
	target := "/tx/pay?" + keptParam + "=" + url.QueryEscape(waits.Query().Get("kept"))
	put := func(body string) *http.Request {
		r := jsonPost(s.host+target, body)
		r.Method = http.MethodPut
		return r
	}
	s.approve(s.visit(s.tx, put(`{"amount":5}`)))
	s.wantAsked("another body", s.visit(s.tx, put(`{"amount":5000}`)), 0)
	s.wantApproved(s.visit(s.tx, put(`{"amount":5}`)), "PUT /tx/pay", `{"amount":5}`)
}

// A body that says that it is too large is not read at all.
func TestTransactionReadsNothingOfALargeBody(t *testing.T) {
	s := newShop(t)
	s.tx = s.guard(Guard{StepUp: eachTime(), KeepBody: 1000})
	r := jsonPost(s.host+"/tx/upload", "")
	body := &slowBody{content: strings.NewReader(strings.Repeat("a", 2<<20))}
	r.Body, r.ContentLength = io.NopCloser(body), 2<<20
	if w := s.visit(s.tx, r); w.Code != http.StatusRequestEntityTooLarge || body.read != 0 {
		t.Errorf("%d after %d reads", w.Code, body.read)
	}
}

// A client with a token has no page on which to approve anything, and its body is not read for it.
func TestTransactionOfATokenIsRefused(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	guard := g.guard(Guard{Bearer: "access", StepUp: []StepUpRule{{MaxAge: caddy.Duration(time.Hour), Transaction: true}}})
	w := g.serve(client(appOrigin+"/x", g.token("access", nil)), guard)
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusUnauthorized || answer["step_up_url"] != nil {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Where the application is on the portal's own host nothing is handed over: an approval is bound to the portal's cookie for the browser.
func TestTransactionOnTheSharedHost(t *testing.T) {
	p := newPortal(t, func(config *Realm, _ *Portal) {
		config.Applications, config.SharedHost = []string{appOrigin, portalOrigin}, true
	})
	s := p.shop(appOrigin)
	s.host, s.app = portalOrigin, s.cookies
	address := s.asked(s.open("/tx/pay"))
	page := s.get(address)
	if !strings.Contains(page.Body.String(), ">auth.example.com<") {
		t.Errorf("the page names no host: %s", page.Body)
	}
	if to := s.ceremony(s.found(page, dataField("flow"))); to != "/tx/pay#q3" {
		t.Fatalf("leads to %q", to)
	}
	thief := s.thief()
	thief.app = map[string]string{s.rt.sessionCookie.Name: s.cookies[s.rt.sessionCookie.Name]}
	thief.wantAsked("a copied cookie", thief.open("/tx/pay"), 0)
	s.wantApproved(s.open("/tx/pay"), "GET /tx/pay", "")
	s.wantAsked("again", s.open("/tx/pay"), 1)
}
