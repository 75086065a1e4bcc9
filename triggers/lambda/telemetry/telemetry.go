// Package telemetry writes what operators see of a Lambda: structured logs, and metrics in CloudWatch's embedded metric format.
//
// Whatever is logged is scrubbed: no address, number of a phone, code, link or token of a person gets into a line, whichever error
// text brought it along.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"
)

// The names of the fields of a line, and of the dimensions of metrics.
const (
	FieldRequestID = "request_id"
	FieldTrigger   = "trigger"
	FieldMethod    = "method"
	FieldOutcome   = "outcome"
	FieldDuration  = "duration_ms"
	FieldCount     = "invocations"
)

// Level reads LOG_LEVEL of existing deployments: DEBUG, INFO, ERROR or NONE; ours besides: WARN. ok is false for another one.
func Level(name string) (level slog.Level, ok bool) {
	switch strings.ToUpper(name) {
	case "DEBUG":
		return slog.LevelDebug, true
	case "", "INFO":
		return slog.LevelInfo, true
	case "WARN":
		return slog.LevelWarn, true
	case "ERROR":
		return slog.LevelError, true
	case "NONE":
		return slog.LevelError + 4, true
	}
	return slog.LevelInfo, false
}

// Log writes lines of JSON and metrics.
type Log struct {
	*slog.Logger
	trigger string
	lines   slog.Handler
	metrics slog.Handler // without a level: metrics do not depend on LOG_LEVEL
	space   string
}

// New logs to w from level on. Metrics go into the namespace; "" turns them off.
func New(w io.Writer, level slog.Level, namespace, trigger string) *Log {
	lines := scrubbing{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})}
	every := scrubbing{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})}
	return &Log{Logger: slog.New(lines), trigger: trigger, lines: lines, metrics: every, space: namespace}
}

// Invocation is one call of the Lambda.
type Invocation struct {
	RequestID string
	Method    string // a method's wire name; "" where there is none
	Outcome   string
	Duration  time.Duration
	Err       error // nil, or why there is no answer
}

// Done writes the one line that every invocation ends with. It carries the metrics.
func (l *Log) Done(ctx context.Context, i Invocation) {
	level := slog.LevelInfo
	if i.Err != nil {
		level = slog.LevelError
	}
	out := l.lines
	if l.space != "" {
		out = l.metrics
	} else if !out.Enabled(ctx, level) {
		return
	}
	record := slog.NewRecord(time.Now(), level, "invocation", 0)
	record.AddAttrs(slog.String(FieldRequestID, i.RequestID), slog.String(FieldTrigger, l.trigger))
	if i.Method != "" {
		record.AddAttrs(slog.String(FieldMethod, i.Method))
	}
	record.AddAttrs(slog.String(FieldOutcome, i.Outcome),
		slog.Float64(FieldDuration, float64(i.Duration.Microseconds())/1000), slog.Int(FieldCount, 1))
	if i.Err != nil {
		record.AddAttrs(slog.Any("error", i.Err))
	}
	if l.space != "" {
		record.AddAttrs(slog.Any("_aws", l.metadata(record.Time, i.Method != "")))
	}
	_ = out.Handle(ctx, record)
}
