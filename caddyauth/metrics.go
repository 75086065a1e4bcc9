package caddyauth

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Everything that is counted. The collectors are this process's and not a configuration's: counts outlive reloads. Their labels are few:
// names of realms, and words that this package knows.
var (
	countedEvents = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "passwordless_events_total",
		Help: "Happenings of the audit log by name, reason of a failure, and factor.",
	}, []string{"realm", "event", "reason", "factor"})
	countedRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "passwordless_guard_requests_total",
		Help: "Requests that guards let through (session, bearer, open) or refused (the reason).",
	}, []string{"realm", "decision"})
	measuredCalls = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "passwordless_backend_duration_seconds",
		Help:    "Time of calls to user pool, credential store and session store.",
		Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25},
	}, []string{"realm", "backend", "operation", "outcome"})
)

// collectors are all of them.
var collectors = []prometheus.Collector{countedEvents, countedRequests, measuredCalls}

// registerMetrics adds the collectors to the registry of one configuration, which Caddy's `metrics` handler and admin endpoint show.
func registerMetrics(registry *prometheus.Registry) error {
	if registry == nil {
		return nil
	}
	for _, c := range collectors {
		var known prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &known) {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}

// metrics are those of one realm. The zero value counts nothing.
type metrics struct {
	realm                 string
	session, bearer, open prometheus.Counter // of requests that pass: resolved once, for every request counts
}

func newMetrics(realmName string) metrics {
	passed := func(decision string) prometheus.Counter { return countedRequests.WithLabelValues(realmName, decision) }
	return metrics{realm: realmName, session: passed("session"), bearer: passed("bearer"), open: passed("open")}
}

// happened counts a line of the audit log.
func (m *metrics) happened(name, reason string, fields []zap.Field) {
	if m.realm == "" {
		return
	}
	factor := ""
	for _, f := range fields {
		if f.Key == "factor" && f.Type == zapcore.StringType {
			factor = f.String
		}
	}
	countedEvents.WithLabelValues(m.realm, name, reason, factor).Inc()
}

// passed counts a request that a guard let through.
func (m *metrics) passed(v *visit) {
	switch {
	case m.realm == "":
	case !v.authenticated:
		m.open.Inc()
	case v.bearer != "":
		m.bearer.Inc()
	default:
		m.session.Inc()
	}
}

// refused counts one that it did not.
func (m *metrics) refused(reason string) {
	if m.realm != "" {
		countedRequests.WithLabelValues(m.realm, reason).Inc()
	}
}

// called notes how long a backend took.
func (m *metrics) called(backend, operation, outcome string, took time.Duration) {
	if m.realm != "" {
		measuredCalls.WithLabelValues(m.realm, backend, operation, outcome).Observe(took.Seconds())
	}
}
