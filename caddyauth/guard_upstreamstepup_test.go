package caddyauth

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/token"
)

// wanting is an upstream that takes what it is sent and then asks for a step-up, until satisfied.
func (g *guarded) wanting(challenge string, satisfied func() bool) *[]string {
	bodies := g.received()
	note := g.upstream
	g.upstream = func(w http.ResponseWriter, r *http.Request) {
		note(w, r)
		if satisfied() {
			_, _ = io.WriteString(w, "done")
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", "14")
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "upstream's own")
	}
	return bodies
}

const upstreamChallenge = `Bearer error="insufficient_user_authentication", acr_values="urn:other sms", max_age=120`

func never() bool { return false }

func TestUpstreamAsksForAStepUp(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{UpstreamStepUp: true})
	s, cookie := g.signIn("alice", appOrigin)
	g.wanting(upstreamChallenge, never)

	w := g.serve(navigation(appOrigin+"/reports?x=1", cookie), guard)
	flow := g.stepUpFlow(w.Header().Get("Location"))
	if w.Code != http.StatusFound || w.Body.Len() != 0 || flow.Return != appOrigin+"/reports?x=1" || flow.StepUp.MaxAge != 2*time.Minute ||
		!reflect.DeepEqual(flow.StepUp.Factors, []session.Factor{session.SMS}) || w.Header().Get("Content-Length") != "" || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("%d %v %+v", w.Code, w.Header(), flow.StepUp)
	}
	w = g.serve(script(appOrigin+"/api", cookie), guard)
	if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), `"step_up_url"`) || strings.Contains(w.Body.String(), "upstream's own") ||
		len(w.Header()["Www-Authenticate"]) != 1 || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("script: %d %s %v", w.Code, w.Body, w.Header())
	}
	// Whoever has done what is asked sees what the upstream says: no circle.
	_, fresh := g.steppedUp(s, session.SMS)
	if w := g.serve(navigation(appOrigin+"/reports", fresh), guard); w.Code != http.StatusUnauthorized || w.Body.String() != "upstream's own" {
		t.Errorf("met already: %d %s", w.Code, w.Body)
	}
	// Not even where it asks for a factor of this very moment, which nobody can bring: the way back takes a few seconds.
	g.wanting(`Bearer error="insufficient_user_authentication", max_age=0`, never)
	_, fresh = g.steppedUp(s, session.SMS)
	g.clock.Advance(10 * time.Second)
	if w := g.serve(navigation(appOrigin+"/reports", fresh), guard); w.Code != http.StatusUnauthorized || w.Body.String() != "upstream's own" {
		t.Errorf("asked for what is never fresh enough: %d %s", w.Code, w.Header())
	}
	// Without the option the upstream's answer is its own affair.
	if w := g.serve(navigation(appOrigin+"/reports", cookie), g.guard(Guard{})); w.Body.String() != "upstream's own" {
		t.Errorf("not asked to listen: %d %s", w.Code, w.Body)
	}
}

// An upstream that reads tokens knows of the last step-up alone: one by another factor, a moment earlier, does not count for what it asks.
func TestUpstreamAsksForFactorsInTurn(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{UpstreamStepUp: true})
	s, _ := g.signIn("alice", appOrigin)
	s, _ = g.steppedUp(s, session.SMS)
	g.clock.Advance(time.Second)
	s, cookie := g.steppedUp(s, session.Passkey)
	g.wanting(upstreamChallenge, never)
	w := g.serve(navigation(appOrigin+"/slip", cookie), guard)
	flow := g.stepUpFlow(w.Header().Get("Location"))
	if w.Code != http.StatusFound || !flow.pending(&s, g.clock.Now()) {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	g.clock.Advance(time.Second)
	s, cookie = g.steppedUp(s, session.SMS)
	if flow.pending(&s, g.clock.Now()) {
		t.Error("the portal would ask again")
	}
	if w := g.serve(navigation(appOrigin+"/slip", cookie), guard); w.Body.String() != "upstream's own" {
		t.Errorf("the guard asks again: %d %v", w.Code, w.Header())
	}
	// A rule of the guard's own takes either.
	own := g.guard(Guard{StepUp: []StepUpRule{{MaxAge: caddy.Duration(time.Minute), Factors: []string{"passkey"}}}})
	if w := g.serve(navigation(appOrigin+"/slip", cookie), own); w.Body.String() != "upstream's own" {
		t.Errorf("the guard's own rule: %d %v", w.Code, w.Header())
	}
}

// The upstream has read the form by the time it asks; it is kept all the same.
func TestFormSurvivesAStepUpThatTheUpstreamAsksFor(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{UpstreamStepUp: true})
	s, cookie := g.signIn("alice", appOrigin)
	fresh := false
	bodies := g.wanting(upstreamChallenge, func() bool { return fresh })
	w := g.serve(form(appOrigin+"/pay", urlencoded, "amount=5", cookie), guard)
	flow := g.stepUpFlow(w.Header().Get("Location"))
	if w.Code != http.StatusSeeOther || !strings.Contains(flow.Return, "/auth/send-again?kept=") {
		t.Fatalf("%d %+v", w.Code, flow)
	}
	_, cookie = g.steppedUp(s, session.SMS)
	fresh = true
	if w := g.serve(g.sendAgain(flow, cookie, guard), guard); w.Code != http.StatusOK || w.Body.String() != "done" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if len(*bodies) != 2 || (*bodies)[0] != (*bodies)[1] {
		t.Errorf("upstream got %q", *bodies)
	}
	// One that is too large to keep reaches the upstream whole.
	small := g.guard(Guard{UpstreamStepUp: true, KeepBody: 10})
	long := form(appOrigin+"/pay", urlencoded, strings.Repeat("a", 100), cookie)
	long.ContentLength = -1
	if w := g.serve(long, small); w.Code != http.StatusOK || !strings.HasSuffix((*bodies)[2], strings.Repeat("a", 100)) {
		t.Errorf("%d %q", w.Code, *bodies)
	}
}

// openBody notes whether it was closed, after which nothing can be read from it.
type openBody struct {
	io.Reader
	closed bool
}

func (b *openBody) Close() error {
	b.closed = true
	return nil
}

// An upstream asks as soon as it has seen the header, while the proxy still sends it the form: closing that under the proxy's hands would break
// off the answer.
func TestFormStaysReadableWhenTheUpstreamAsksEarly(t *testing.T) {
	g := newGuarded(t)
	guard := g.guard(Guard{UpstreamStepUp: true})
	_, cookie := g.signIn("alice", appOrigin)
	r := form(appOrigin+"/pay", urlencoded, "amount=5", cookie)
	sent := &openBody{Reader: r.Body}
	r.Body = sent
	early, rest := false, ""
	g.upstream = func(w http.ResponseWriter, r *http.Request) {
		body := r.Body
		w.Header().Set("WWW-Authenticate", upstreamChallenge)
		w.WriteHeader(http.StatusUnauthorized)
		early = sent.closed
		read, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		rest = string(read)
	}
	if w := g.serve(r, guard); w.Code != http.StatusSeeOther || !strings.Contains(g.stepUpFlow(w.Header().Get("Location")).Return, "/auth/send-again?kept=") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	if early || rest != "amount=5" {
		t.Errorf("closed: %v, and the proxy reads %q", early, rest)
	}
}

// An upstream's words decide over nothing but a step-up: other answers pass, and a client with a token is sent to no page.
func TestUpstreamAnswersThatAskForNoStepUp(t *testing.T) {
	g := newGuarded(t)
	g.acceptTokens()
	guard := g.guard(Guard{UpstreamStepUp: true, Bearer: "access"})
	_, cookie := g.signIn("alice", appOrigin)
	for _, challenge := range []string{
		"", `Basic realm="x"`, `Bearer error="invalid_token"`, `Bearer error="insufficient_user_authentication`, `Bearer`,
		`Bearer error="invalid_token", error="insufficient_user_authentication"`, `BearerX error="insufficient_user_authentication"`,
	} {
		g.wanting(challenge, never)
		if w := g.serve(navigation(appOrigin+"/", cookie), guard); w.Code != http.StatusUnauthorized || w.Body.String() != "upstream's own" {
			t.Errorf("%q: %d %s", challenge, w.Code, w.Body)
		}
	}
	g.wanting(`Bearer error="insufficient_user_authentication"`, never)
	w := g.serve(client(appOrigin+"/", g.token(token.Access, nil)), guard)
	if w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "step_up_url") || w.Header().Get("Location") != "" {
		t.Errorf("token: %d %s", w.Code, w.Body)
	}
}

// The challenge of a further guard is no upstream's: were it read as one, its transaction would be forgotten and nobody ever get through.
func TestStepUpOfAFurtherGuardIsItsOwn(t *testing.T) {
	g := newGuarded(t)
	s, _ := g.signIn("alice", appOrigin)
	g.clock.Advance(time.Hour)
	_, cookie := g.steppedUp(s, session.MagicLink)
	w := g.serve(script(appOrigin+"/release", cookie), g.guard(Guard{UpstreamStepUp: true}), g.guard(Guard{StepUp: eachTime()}))
	var answer struct {
		StepUpURL string `json:"step_up_url"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusUnauthorized {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if flow := g.stepUpFlow(answer.StepUpURL); flow.StepUp.Transaction == nil {
		t.Errorf("the transaction is lost: %+v", flow.StepUp)
	}
}

func TestBearerParameters(t *testing.T) {
	for line, want := range map[string]map[string]string{
		`Bearer realm="a b", error=x,max_age = 5`: {"realm": "a b", "error": "x", "max_age": "5"},
		`bearer a="q\"\\, b=c"`:                   {"a": `q"\, b=c`},
		`Bearer a=`:                               {"a": ""},
		`Bearer a="x" b="y"`:                      nil,
		`Bearer a="x", Basic realm="y"`:           nil,
		`Bearer abc`:                              nil,
		`Digest a=b`:                              nil,
	} {
		if got, ok := bearerParameters(line); ok != (want != nil) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v", line, got)
		}
	}
}

func FuzzBearerParameters(f *testing.F) {
	for _, seed := range []string{upstreamChallenge, `Bearer a="b\"c"`, `Bearer a=b, c`, `Bearer ,,,`, `Bearer a="`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		parameters, ok := bearerParameters(line)
		if !ok && parameters != nil {
			t.Errorf("%q: %v beside a refusal", line, parameters)
		}
		for name := range parameters {
			if name == "" || name != strings.ToLower(name) {
				t.Errorf("%q: name %q", line, name)
			}
		}
	})
}
