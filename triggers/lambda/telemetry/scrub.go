package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// What stands in for a secret.
const removed = "[removed]"

// longest is the length from which a run of base64url characters counts as a token, key, signature or link.
const longest = 40

// Scrub takes out of a text what may be a mail address, a phone number, a code, a link or a token: words with "@", runs of four
// and more digits, runs of forty and more letters and digits, and everything behind "#" or "?" of a URL. Texts of AWS quote such values:
// "Email address is not verified. The following identities failed the check: …".
func Scrub(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return r == '@' || r == '#' || r == '?' || unicode.IsDigit(r) }) && len(text) < longest {
		return text
	}
	var b strings.Builder
	b.Grow(len(text))
	for len(text) > 0 {
		end := strings.IndexFunc(text, unicode.IsSpace)
		if end < 0 {
			end = len(text)
		}
		b.WriteString(scrubWord(text[:end]))
		text = text[end:]
		for len(text) > 0 {
			r, size := utf8.DecodeRuneInString(text)
			if !unicode.IsSpace(r) {
				break
			}
			b.WriteString(text[:size])
			text = text[size:]
		}
	}
	return b.String()
}

func scrubWord(word string) string {
	if strings.ContainsRune(word, '@') || strings.Contains(word, "%40") {
		return removed
	}
	if at := strings.IndexAny(word, "#?"); at >= 0 && strings.Contains(word[:at], "://") {
		word = word[:at+1] + removed
	}
	var b strings.Builder
	for len(word) > 0 {
		end := strings.IndexFunc(word, func(r rune) bool { return !inToken(r) })
		if end < 0 {
			end = len(word)
		}
		if run := word[:end]; len(run) >= longest {
			b.WriteString(removed)
		} else {
			b.WriteString(scrubDigits(run))
		}
		word = word[end:]
		if len(word) > 0 {
			_, size := utf8.DecodeRuneInString(word)
			b.WriteString(word[:size])
			word = word[size:]
		}
	}
	return b.String()
}

// inToken says which characters a token may consist of; "." joins the parts of links and JWTs.
func inToken(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_+.=", r)
}

// scrubDigits takes out numbers of four and more digits, unless letters touch them as in IDs in hexadecimal.
func scrubDigits(run string) string {
	var b strings.Builder
	for len(run) > 0 {
		end := strings.IndexFunc(run, func(r rune) bool { return !alphanumeric(r) })
		if end < 0 {
			end = len(run)
		}
		part := run[:end]
		if len(part) >= 4 && !strings.ContainsFunc(part, func(r rune) bool { return r < '0' || r > '9' }) {
			part = removed
		}
		b.WriteString(part)
		if end < len(run) {
			b.WriteByte(run[end])
			end++
		}
		run = run[end:]
	}
	return b.String()
}

func alphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// apiError is an answer of AWS: the code says what was wrong, the message may quote whom it concerned.
type apiError interface{ ErrorCode() string }

// scrubbing cleans every text on its way into a line, and notes which call the line is about.
type scrubbing struct{ slog.Handler }

func (s scrubbing) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = scrubAttr(a)
	}
	return scrubbing{s.Handler.WithAttrs(clean)}
}

func (s scrubbing) WithGroup(name string) slog.Handler { return scrubbing{s.Handler.WithGroup(name)} }

func (s scrubbing) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, Scrub(r.Message), r.PC)
	identified := false
	r.Attrs(func(a slog.Attr) bool {
		identified = identified || a.Key == FieldRequestID
		var api apiError
		if err, ok := a.Value.Any().(error); ok && errors.As(err, &api) {
			clean.AddAttrs(slog.String("error_code", Scrub(api.ErrorCode())))
		}
		clean.AddAttrs(scrubAttr(a))
		return true
	})
	if call, ok := lambdacontext.FromContext(ctx); ok && !identified {
		clean.AddAttrs(slog.String(FieldRequestID, call.AwsRequestID))
	}
	return s.Handler.Handle(ctx, clean)
}

// scrubAttr leaves the request ID, which is Lambda's, and the metrics as they are.
func scrubAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		if a.Key == FieldRequestID {
			return slog.String(a.Key, v.String())
		}
		return slog.String(a.Key, Scrub(v.String()))
	case slog.KindGroup:
		group := v.Group()
		clean := make([]slog.Attr, len(group))
		for i, inner := range group {
			clean[i] = scrubAttr(inner)
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(clean...)}
	case slog.KindAny:
		switch x := v.Any().(type) {
		case metadata:
			return slog.Any(a.Key, x)
		case error:
			return slog.String(a.Key, Scrub(x.Error()))
		default:
			return slog.String(a.Key, Scrub(fmt.Sprint(x)))
		}
	default:
		return slog.Attr{Key: a.Key, Value: v}
	}
}
