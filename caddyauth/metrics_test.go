package caddyauth

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/caddy-cognito/passwordless/userpool"
)

// scrape is what Prometheus would read of one realm: name and labels, and the count.
func scrape(t *testing.T, registry *prometheus.Registry, realmName string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]float64)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := make(map[string]string)
			for _, l := range metric.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["realm"] != realmName {
				continue
			}
			delete(labels, "realm")
			key := family.GetName()
			for _, name := range slices.Sorted(maps.Keys(labels)) {
				key += " " + name + "=" + labels[name]
			}
			found[key] = countOf(metric)
		}
	}
	return found
}

func countOf(m *dto.Metric) float64 {
	if h := m.GetHistogram(); h != nil {
		return float64(h.GetSampleCount())
	}
	return m.GetCounter().GetValue()
}

// Sign-ins and backend calls are counted, and counts outlive the registry of one configuration.
func TestMetricsOfASignIn(t *testing.T) {
	p := newPortal(t)
	p.rt.metrics = newMetrics(t.Name())
	p.rt.pool = observedPool{p.pool, probe{&p.rt.metrics, backendPool}}
	before, after := prometheus.NewRegistry(), prometheus.NewRegistry()
	for range 2 { // as when two realms or a reload meet one registry
		if err := registerMetrics(before); err != nil {
			t.Fatal(err)
		}
	}
	b := p.browser()
	b.signInByLink(anna)
	p.pool.respond = func(userpool.Response) (userpool.Result, error) { return userpool.Result{}, userpool.ErrThrottled }
	_, _ = p.rt.pool.Respond(t.Context(), userpool.Response{})
	if err := registerMetrics(after); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"passwordless_events_total event=link_requested factor= reason=":                                             1,
		"passwordless_events_total event=signed_in factor=magic_link reason=":                                        1,
		"passwordless_backend_duration_seconds backend=user_pool operation=InitiateAuth outcome=success":             2,
		"passwordless_backend_duration_seconds backend=user_pool operation=RespondToAuthChallenge outcome=throttled": 1,
	}
	for name, registry := range map[string]*prometheus.Registry{"before": before, "after": after} {
		got := scrape(t, registry, t.Name())
		for key, n := range want {
			if got[key] != n {
				t.Errorf("%s the reload: %s is %v, want %v; there are %v", name, key, got[key], n, slices.Sorted(maps.Keys(got)))
			}
		}
	}
}

// Each decision of a guard is counted once, however many guards a request meets.
func TestMetricsOfTheGuard(t *testing.T) {
	g := newGuarded(t)
	g.rt.metrics = newMetrics(t.Name())
	registry := prometheus.NewRegistry()
	if err := registerMetrics(registry); err != nil {
		t.Fatal(err)
	}
	_, cookie := g.signIn("alice", appOrigin)
	guard := g.guard(Guard{Bypass: []string{"/health"}})
	for range 3 {
		g.serve(navigation(appOrigin+"/", cookie), guard)
	}
	g.serve(navigation(appOrigin+"/health"), guard)
	g.serve(script(appOrigin+"/"), guard)
	g.serve(script(appOrigin+"/", cookie), guard, g.guard(Guard{Allow: []Rule{{Groups: []string{"admins"}}}}))
	got := scrape(t, registry, t.Name())
	for decision, n := range map[string]float64{"session": 3, "open": 1, "no_session": 1, "forbidden": 1} {
		if key := "passwordless_guard_requests_total decision=" + decision; got[key] != n {
			t.Errorf("%s is %v, want %v; there are %v", key, got[key], n, got)
		}
	}
}

// Attack: make a label for each request, until the server has no memory left.
func TestAttackEndlessLabels(t *testing.T) {
	p := newPortal(t)
	p.rt.metrics = newMetrics(t.Name())
	registry := prometheus.NewRegistry()
	if err := registerMetrics(registry); err != nil {
		t.Fatal(err)
	}
	b := p.browser()
	for _, odd := range []string{"a", "b", "c"} {
		b.get("/auth/link?flow=" + odd)
		page := b.get("/auth/sign-in?flow=" + odd)
		b.submit("/auth/sign-in", "flow", b.found(page, flowField), "email", odd+"@example.com")
		b.submit("/auth/link", "flow", odd, "link", odd)
		b.call("/auth/passkey/sign-in", map[string]string{"flow": odd, "state": odd})
	}
	for key := range scrape(t, registry, t.Name()) {
		for _, odd := range []string{"example.com", "=a ", "=b ", "=c "} {
			if strings.Contains(key+" ", odd) {
				t.Errorf("what a client wrote is a label: %s", key)
			}
		}
	}
}

// Where Caddy traces a request, spans tell the portal's part and each call to a backend; none of them has a secret.
func TestSpans(t *testing.T) {
	p := newPortal(t)
	p.rt.pool = observedPool{p.pool, probe{&p.rt.metrics, backendPool}}
	recorder := tracetest.NewSpanRecorder()
	tracer := trace.NewTracerProvider(trace.WithSpanProcessor(recorder)).Tracer("test")
	b := p.browser()
	_, mailed := b.askForLink(anna, appOrigin+"/")
	page := b.get(mailed)
	r := posted("/auth/link", "application/x-www-form-urlencoded", "flow="+b.found(page, flowField)+"&link="+p.pool.lastLink)
	ctx, root := tracer.Start(r.Context(), "request")
	if w := b.send(r.WithContext(ctx)); p.passedOn(w) == "" {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	root.End()
	var names []string
	for _, span := range recorder.Ended() {
		names = append(names, span.Name())
		if span.SpanContext().TraceID() != root.SpanContext().TraceID() {
			t.Errorf("%s is no part of the request", span.Name())
		}
		for _, a := range span.Attributes() {
			if value := a.Value.AsString(); len(value) > 32 || strings.Contains(value, "@") {
				t.Errorf("%s has %s=%q", span.Name(), a.Key, value)
			}
		}
	}
	want := []string{"passwordless.user_pool InitiateAuth", "passwordless.user_pool RespondToAuthChallenge",
		"passwordless.signing_keys Verify", "passwordless.portal link", "request"}
	if !slices.Equal(names, want) {
		t.Errorf("spans %q, want %q", names, want)
	}
}

// A refusal is an answer; everything else that goes wrong is the backend's fault.
func TestOutcomes(t *testing.T) {
	for err, want := range map[error]string{
		nil: "success", userpool.ErrNotAuthorized: "refused", userpool.ErrThrottled: "throttled", userpool.ErrUnavailable: "error", errors.New("odd"): "error",
	} {
		if got := outcomeOf(err); got != want {
			t.Errorf("%v is %s, want %s", err, got, want)
		}
	}
}
