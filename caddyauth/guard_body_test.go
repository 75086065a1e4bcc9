package caddyauth

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// form is what a browser sends when the person submits one on the application's own page.
func form(target, contentType, body string, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

const urlencoded = "application/x-www-form-urlencoded"

// received makes the upstream note the bodies that reach it.
func (g *guarded) received() *[]string {
	var bodies []string
	g.upstream = func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			g.tb.Error(err)
		}
		bodies = append(bodies, describe(r, body))
	}
	return &bodies
}

func describe(r *http.Request, body []byte) string {
	return r.Method + " " + r.URL.RequestURI() + " " + r.Header.Get("Content-Type") + " " + string(body)
}

// keptFlow posts r, which needs a step-up, and returns where the portal is to lead back to.
func (g *guarded) keptFlow(r *http.Request, guards ...*Guard) Flow {
	g.tb.Helper()
	w := g.serve(r, guards...)
	if w.Code != http.StatusSeeOther || g.reached != nil || w.Header().Get("Cache-Control") != "no-store" {
		g.tb.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	flow := g.stepUpFlow(w.Header().Get("Location"))
	if !strings.HasPrefix(flow.Return, appOrigin+"/auth/send-again?kept=") {
		g.tb.Fatalf("flow %+v", flow)
	}
	return flow
}

var formAction = regexp.MustCompile(`<form method="post" action="([^"]+)"`)

// sendAgain opens the page that offers to send the form, and returns what its button sends.
func (g *guarded) sendAgain(flow Flow, cookie *http.Cookie, guards ...*Guard) *http.Request {
	g.tb.Helper()
	w := g.serve(navigation(flow.Return, cookie), guards...)
	action := formAction.FindStringSubmatch(w.Body.String())
	if w.Code != http.StatusOK || action == nil {
		g.tb.Fatalf("%d %s", w.Code, w.Body)
	}
	r := form(appOrigin+strings.ReplaceAll(action[1], "&amp;", "&"), urlencoded, "", cookie)
	r.Header.Set("Origin", "null")
	return r
}

func TestFormSurvivesAStepUp(t *testing.T) {
	g := newGuarded(t)
	bodies := g.received()
	guard := g.guard(Guard{StepUp: fiveMinutes("sms")})
	s, cookie := g.signIn("alice", appOrigin)
	boundary := "multipart/form-data; boundary=x"
	file := "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n" + strings.Repeat("\x00\xff", keptPart) + "\r\n--x--\r\n"
	first := g.keptFlow(form(appOrigin+"/orders?shop=2&q=a%20b", urlencoded, "amount=5&note=%C3%BC", cookie), guard)
	second := g.keptFlow(form(appOrigin+"/upload", boundary, file, cookie), guard)
	if len(*bodies) != 0 {
		t.Fatal("something was sent before the step-up")
	}
	_, cookie = g.steppedUp(s, session.SMS)
	again := g.sendAgain(first, cookie, guard)
	if len(*bodies) != 0 {
		t.Fatal("the form was sent before the person pressed the button")
	}
	if w := g.serve(again, guard); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got := g.reached.Header.Get("Origin"); got != appOrigin {
		t.Errorf("Origin %q", got)
	}
	if w := g.serve(g.sendAgain(second, cookie, guard), guard); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	want := []string{"POST /orders?shop=2&q=a%20b " + urlencoded + " amount=5&note=%C3%BC", "POST /upload " + boundary + " " + file}
	if len(*bodies) != 2 || (*bodies)[0] != want[0] || (*bodies)[1] != want[1] {
		t.Errorf("upstream got %.200q", *bodies)
	}
}

// One form, sent once: neither the button pressed twice nor a reload sends it again. A button without fields, as in "Confirm order 3", is a form, too,
// and leaves no room for endless ones.
func TestAttackKeptFormIsReplayed(t *testing.T) {
	for path, body := range map[string]string{"/pay": "amount=5", "/orders/3/confirm": ""} {
		t.Run(path, func(t *testing.T) {
			g := newGuarded(t)
			bodies := g.received()
			guard := g.guard(Guard{StepUp: fiveMinutes("sms")})
			s, cookie := g.signIn("alice", appOrigin)
			flow := g.keptFlow(form(appOrigin+path, urlencoded, body, cookie), guard)
			_, cookie = g.steppedUp(s, session.SMS)
			again := g.sendAgain(flow, cookie, guard)
			for i, want := range []int{http.StatusOK, http.StatusGone, http.StatusGone} {
				if w := g.serve(again.Clone(t.Context()), guard); w.Code != want {
					t.Errorf("time %d: %d", i+1, w.Code)
				}
			}
			if want := "POST " + path + " " + urlencoded + " " + body; !slices.Equal(*bodies, []string{want}) {
				t.Errorf("upstream got %q, want %q once", *bodies, want)
			}
		})
	}
}

// A form that another site sends must not come out of our page as if the person had filled it in here, nor may another site press the
// button.
func TestAttackKeptFormLaundersCSRF(t *testing.T) {
	g := newGuarded(t)
	bodies := g.received()
	guard := g.guard(Guard{StepUp: fiveMinutes("sms")})
	s, cookie := g.signIn("alice", appOrigin)
	for name, change := range map[string]func(http.Header){
		"another site":            func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
		"a sibling subdomain":     func(h http.Header) { h.Set("Sec-Fetch-Site", "same-site") },
		"two sites":               func(h http.Header) { h.Add("Sec-Fetch-Site", "cross-site") },
		"old browser, elsewhere":  func(h http.Header) { delete(h, "Sec-Fetch-Site"); h.Set("Origin", "https://evil.example.org") },
		"old browser, no origin":  func(h http.Header) { delete(h, "Sec-Fetch-Site") },
		"another listed origin":   func(h http.Header) { delete(h, "Sec-Fetch-Site"); h.Set("Origin", otherOrigin) },
		"a JSON body as form":     func(h http.Header) { h.Set("Content-Type", "application/json") },
		"an encoded body":         func(h http.Header) { h.Set("Content-Encoding", "gzip") },
		"nonsense as a site word": func(h http.Header) { h.Set("Sec-Fetch-Site", "") },
	} {
		r := form(appOrigin+"/pay", urlencoded, "to=mallory", cookie)
		change(r.Header)
		w := g.serve(r, guard)
		if w.Code != http.StatusForbidden || w.Header().Get("Location") != "" || strings.Contains(w.Body.String(), "send-again") {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
	flow := g.keptFlow(form(appOrigin+"/pay", urlencoded, "amount=5", cookie), guard)
	_, cookie = g.steppedUp(s, session.SMS)
	again := g.sendAgain(flow, cookie, guard)
	again.Header.Set("Sec-Fetch-Site", "cross-site")
	if w := g.serve(again, guard); w.Code != http.StatusForbidden {
		t.Errorf("another site's button: %d", w.Code)
	}
	if len(*bodies) != 0 {
		t.Errorf("upstream got %q", *bodies)
	}
}

// The name of a form is worth nothing without the session that it belongs to, on the host and for the address it was meant for.
func TestAttackKeptFormOfSomebodyElse(t *testing.T) {
	g := newGuarded(t)
	bodies := g.received()
	guard := g.guard(Guard{StepUp: fiveMinutes("sms")})
	s, cookie := g.signIn("alice", appOrigin)
	flow := g.keptFlow(form(appOrigin+"/pay", urlencoded, "amount=5", cookie), guard)
	stepped, cookie := g.steppedUp(s, session.SMS)
	again := g.sendAgain(flow, cookie, guard)

	bob, _ := g.signIn("bob", appOrigin)
	_, bobs := g.steppedUp(bob, session.SMS)
	second, _ := g.signIn("alice", appOrigin)
	_, elsewhere := g.steppedUp(second, session.SMS)
	for name, r := range map[string]*http.Request{
		"another person":          form(again.URL.String(), urlencoded, "", bobs),
		"another session of hers": form(again.URL.String(), urlencoded, "", elsewhere),
		"another address":         form(strings.Replace(again.URL.String(), "/pay", "/delete-all", 1), urlencoded, "", cookie),
		"another query":           form(strings.Replace(again.URL.String(), "/pay?", "/pay?all=1&", 1), urlencoded, "", cookie),
		"another host":            form(strings.Replace(again.URL.String(), appOrigin, otherOrigin, 1), urlencoded, "", g.cookie(stepped, otherOrigin)),
		"made up":                 form(appOrigin+"/pay?passwordless_kept=AAAA", urlencoded, "", cookie),
		"empty":                   form(appOrigin+"/pay?passwordless_kept=", urlencoded, "", cookie),
	} {
		if w := g.serve(r, guard); w.Code != http.StatusGone || g.reached != nil {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	g.flowOf(g.serve(navigation(flow.Return), guard)) // nobody is asked to sign in, not shown the form
	if w := g.serve(navigation(flow.Return, bobs), guard); w.Code != http.StatusGone || strings.Contains(w.Body.String(), "/pay") {
		t.Errorf("bob sees %d %s", w.Code, w.Body)
	}
	// All these tries have not used it up.
	if w := g.serve(again, guard); w.Code != http.StatusOK || len(*bodies) != 1 {
		t.Errorf("alice: %d %q", w.Code, *bodies)
	}
}

// A name of a form in a request that sends none is taken off; and a form that is not fresh enough any more waits on.
func TestKeptFormThatNeedsAnotherStepUpWaitsOn(t *testing.T) {
	g := newGuarded(t)
	bodies := g.received()
	guard, strict := g.guard(Guard{StepUp: fiveMinutes("sms")}), g.guard(Guard{StepUp: fiveMinutes("passkey")})
	s, cookie := g.signIn("alice", appOrigin)
	flow := g.keptFlow(form(appOrigin+"/pay", urlencoded, "amount=5", cookie), guard)
	s, cookie = g.steppedUp(s, session.SMS)
	again := g.sendAgain(flow, cookie, guard)
	if w := g.serve(navigation(again.URL.String(), cookie), guard); w.Code != http.StatusOK || g.reached.RequestURI != "/pay" || g.reached.URL.RawQuery != "" {
		t.Errorf("GET: %d %s", w.Code, g.reached.RequestURI)
	}
	*bodies = nil
	g.clock.Advance(6 * time.Minute)
	later := g.keptFlow(again.Clone(t.Context()), guard)
	if later.Return != flow.Return {
		t.Error("it was kept anew")
	}
	s, cookie = g.steppedUp(s, session.SMS)
	// Behind the guard that lets it through another one wants a passkey: then the form itself is kept again.
	next := g.keptFlow(g.sendAgain(flow, cookie, guard), guard, strict)
	if next.Return == flow.Return || len(*bodies) != 0 {
		t.Errorf("flow %+v, upstream got %q", next, *bodies)
	}
	_, cookie = g.steppedUp(s, session.Passkey)
	if w := g.serve(g.sendAgain(next, cookie, guard), guard, strict); w.Code != http.StatusOK || len(*bodies) != 1 || (*bodies)[0] != "POST /pay "+urlencoded+" amount=5" {
		t.Errorf("%d %q", w.Code, *bodies)
	}
}

// Slow, huge and many bodies: what is kept is bounded.
func TestAttackFormsThatFillTheStore(t *testing.T) {
	g := newGuarded(t)
	s, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{StepUp: fiveMinutes("sms"), KeepBody: 1000})
	unknown := form(appOrigin+"/pay", urlencoded, "", cookie)
	unknown.Body, unknown.ContentLength = io.NopCloser(io.LimitReader(endless{}, 1<<30)), -1
	broken := form(appOrigin+"/pay", urlencoded, "", cookie)
	broken.Body, broken.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader("a"), failing{})), -1
	for name, r := range map[string]*http.Request{
		"too large":      form(appOrigin+"/pay", urlencoded, strings.Repeat("a", 1001), cookie),
		"unknown length": unknown,
		"broken":         broken,
		"long address":   form(appOrigin+"/pay?"+strings.Repeat("a", keptTarget), urlencoded, "", cookie),
	} {
		if w := g.serve(r, guard); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), g.rt.portal.String()+"step-up?flow=") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := g.serve(form(appOrigin+"/pay", urlencoded, "a=b", cookie), g.guard(Guard{StepUp: fiveMinutes("sms"), KeepBody: -1})); w.Code != http.StatusForbidden {
		t.Errorf("keep_body off: %d", w.Code)
	}
	for range keptPerPerson {
		g.keptFlow(form(appOrigin+"/pay", urlencoded, "a=b", cookie), guard)
	}
	if w := g.serve(form(appOrigin+"/pay", urlencoded, "a=b", cookie), guard); w.Code != http.StatusForbidden {
		t.Errorf("one too many: %d", w.Code)
	}
	_, again := g.signIn("alice", appOrigin)
	if w := g.serve(form(appOrigin+"/pay", urlencoded, "a=b", again), guard); w.Code != http.StatusForbidden {
		t.Errorf("one too many, in another session of the same person: %d", w.Code)
	}
	_, bobs := g.signIn("bob", appOrigin)
	g.keptFlow(form(appOrigin+"/pay", urlencoded, "a=b", bobs), guard)
	g.clock.Advance(keptLifetime)
	flow := g.keptFlow(form(appOrigin+"/pay", urlencoded, "a=b", cookie), guard)
	g.clock.Advance(keptLifetime)
	_, cookie = g.steppedUp(s, session.SMS)
	if w := g.serve(navigation(flow.Return, cookie), guard); w.Code != http.StatusGone {
		t.Errorf("after its time: %d", w.Code)
	}
}

// On a host that the portal shares there is no place for the page that sends a form, so the person is told to fill it in again.
func TestFormOnThePortalsHostIsNotKept(t *testing.T) {
	g := newGuarded(t, func(r *Realm) { r.SharedHost, r.Applications = true, []string{portalOrigin} })
	_, cookie := g.signIn("alice", portalOrigin)
	w := g.serve(form(portalOrigin+"/pay", urlencoded, "amount=5", cookie), g.guard(Guard{StepUp: fiveMinutes("sms")}))
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), g.rt.portal.String()+"step-up?flow=") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestKeepQuota(t *testing.T) {
	now := time.Unix(1000, 0)
	var q keepQuota
	if q.take("a", keptBytes/keptShare+1, now.Add(time.Minute), now) {
		t.Error("one person takes more than the share")
	}
	for i := range keptShare {
		if !q.take(string(rune('a'+i)), keptBytes/keptShare, now.Add(time.Minute), now) {
			t.Fatal("refused within the bounds")
		}
	}
	if q.take("a", 1, now.Add(time.Minute), now) || q.take("z", 1, now.Add(time.Minute), now) {
		t.Error("more bytes than there is room for")
	}
	if !q.take("z", 1, now.Add(2*time.Minute), now.Add(time.Minute)) || len(q.forms) != 1 || q.bytes != 1 {
		t.Errorf("what is over still counts: %d forms, %d bytes", len(q.forms), q.bytes)
	}
}

// What waits is sealed: whoever reads the storage learns nothing of the form.
func TestKeptFormIsSealedInStorage(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{StepUp: fiveMinutes("sms")})
	s, cookie := g.signIn("alice", appOrigin)
	flow := g.keptFlow(form(appOrigin+"/pay", urlencoded, "secret-of-the-form", cookie), guard)
	for _, key := range g.storage.Keys() {
		value, err := g.storage.Load(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(value, []byte("secret-of-the-form")) || strings.Contains(key, s.ID) {
			t.Errorf("%s tells", key)
		}
	}
	if u, err := url.Parse(flow.Return); err != nil || strings.Contains(flow.Return, "pay") || strings.Contains(u.RawQuery, s.ID) {
		t.Errorf("the address tells: %s", flow.Return)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("a"), len(p))), nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the client went away") }

// However many people there are, and however small their forms, the list of those that wait has an end; each goes when its time is over.
func TestAttackManySmallFormsOfManyPeople(t *testing.T) {
	var q keepQuota
	now := time.Unix(1770000000, 0)
	expires := now.Add(keptLifetime)
	for i := range keptForms {
		if !q.take(strconv.Itoa(i/keptPerPerson), 0, expires, now) {
			t.Fatalf("form %d is refused", i)
		}
	}
	if q.take("somebody else", 0, expires, now) {
		t.Error("one more is kept")
	}
	if !q.take("somebody else", 0, expires.Add(keptLifetime), expires.Add(time.Nanosecond)) {
		t.Error("nothing is kept after all have expired")
	}
}
