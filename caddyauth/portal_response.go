package caddyauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/token"
	"github.com/caddy-cognito/passwordless/templates"
	"github.com/caddy-cognito/passwordless/userpool"
)

const (
	maxPortalBody = 64 << 10         // bytes
	poolTimeout   = 20 * time.Second // for what one request asks of the user pool
	strictHTTPS   = "max-age=31536000"
	// referrerPolicy keeps sealed values of our addresses out of the header Referer, which upstreams get and access logs show. With
	// no-referrer, browsers would send `Origin: null` with our forms.
	referrerPolicy = "strict-origin"
)

// failure is what a request could not have: a status, a code that pages and scripts have a text for, and the cause, which only
// the log sees.
type failure struct {
	status     int
	code       string
	retryAfter time.Duration
	cause      error
}

func (f failure) Error() string {
	if f.cause == nil {
		return f.code
	}
	return f.code + ": " + f.cause.Error()
}

func (f failure) Unwrap() error { return f.cause }

// failureOf maps every error to the few codes that reach a browser.
func failureOf(err error) failure {
	var f failure
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &tooLarge):
		return failure{status: http.StatusRequestEntityTooLarge, code: "invalid", cause: err}
	case errors.Is(err, errNoSession):
		return failure{status: http.StatusUnauthorized, code: "expired_flow", cause: err}
	case errors.Is(err, errFlowInvalid), errors.Is(err, errFlowExpired), errors.Is(err, userpool.ErrSessionExpired):
		return failure{status: http.StatusBadRequest, code: "expired_flow", cause: err}
	case errors.Is(err, session.ErrDuplicate):
		return failure{status: http.StatusBadRequest, code: "invalid", cause: err}
	case errors.Is(err, userpool.ErrThrottled):
		return failure{status: http.StatusTooManyRequests, code: "too_many", retryAfter: time.Minute, cause: err}
	case errors.Is(err, userpool.ErrNotAuthorized), errors.Is(err, token.ErrInvalid):
		return failure{status: http.StatusForbidden, code: "invalid", cause: err}
	case errors.Is(err, userpool.ErrUnavailable), errors.Is(err, session.ErrUnavailable), errors.Is(err, token.ErrUnavailable),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return failure{status: http.StatusServiceUnavailable, code: "unavailable", retryAfter: retryAfter * time.Second, cause: err}
	default:
		return failure{status: http.StatusInternalServerError, code: "internal", cause: err}
	}
}

// commonHeaders protect whatever the portal answers.
func (v *portalVisit) commonHeaders() {
	h := v.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", portalPolicy)
	h.Set("Referrer-Policy", referrerPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self)")
	if v.rt.secure {
		h.Set("Strict-Transport-Security", strictHTTPS)
	}
}

// page renders a page; one that cannot be rendered is plain text.
func (v *portalVisit) page(status int, page templates.Page) error {
	var body bytes.Buffer
	if err := v.rt.pages.Render(&body, v.language(), page); err != nil {
		v.rt.logger.Error("rendering a page", zap.Error(err))
		body.Reset()
		status = http.StatusInternalServerError
		fmt.Fprintln(&body, http.StatusText(status))
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Add("Vary", "Accept-Language")
	v.w.WriteHeader(status)
	_, err := body.WriteTo(v.w)
	return err
}

// json answers a script.
func (v *portalVisit) json(status int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.WriteHeader(status)
	_, err = v.w.Write(body)
	return err
}

// locationAnswer tells a script where to go.
type locationAnswer struct {
	Location string `json:"location"`
}

// seeOther redirects after a form, or to where a flow goes on. The caller has checked the location.
func (v *portalVisit) seeOther(location string) error {
	v.w.Header().Set("Location", location)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// fail answers with a failure: JSON for scripts, else a page with a reference.
func (v *portalVisit) fail(f failure) error {
	v.note(f)
	if v.script {
		return v.json(f.status, struct {
			Error   string `json:"error"`
			Message string `json:"message"`
		}{f.code, v.rt.pages.TextUntil(v.language(), f.code, seconds(f.retryAfter))})
	}
	if f.status == http.StatusUnauthorized && errors.Is(f.cause, errNoSession) {
		return v.seeOther(v.rt.portal.Path + "sign-in")
	}
	return v.page(f.status, templates.ErrorPage{
		Status: f.status, Code: f.code, Reference: reference(v.r), RetryAfter: seconds(f.retryAfter), ActionURL: v.again,
	})
}

// note logs a failure and sets Retry-After. Causes carry no secrets: see the packages they come from.
func (v *portalVisit) note(f failure) {
	if f.retryAfter > 0 {
		v.w.Header().Set("Retry-After", strconv.Itoa(seconds(f.retryAfter)))
	}
	log := v.rt.logger.Debug
	switch {
	case f.status == http.StatusServiceUnavailable:
		log = v.rt.logger.Warn
	case f.status >= http.StatusInternalServerError:
		log = v.rt.logger.Error
	}
	log("a portal request failed", zap.String("path", v.r.URL.Path), zap.Int("status", f.status), zap.String("code", f.code),
		zap.String("reference", reference(v.r)), zap.Error(f.cause))
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// plainAnswer says in one line of text why a request is not served.
func plainAnswer(w http.ResponseWriter, status int, detail string) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, err := fmt.Fprintf(w, "%s: %s.\n", http.StatusText(status), detail)
	return err
}

// form reads a form that our pages post.
func (v *portalVisit) form() error {
	if mediaType(v.r) != "application/x-www-form-urlencoded" {
		return failure{status: http.StatusUnsupportedMediaType, code: "invalid", cause: errors.New("the body is no form")}
	}
	whole := v.limitBody()
	if err := v.r.ParseForm(); err != nil {
		return badBody(err)
	}
	whole()
	return nil
}

// body reads the JSON of a script. Unknown members are ignored, trailing data is not.
func (v *portalVisit) body(into any) error {
	if mediaType(v.r) != "application/json" {
		return failure{status: http.StatusUnsupportedMediaType, code: "invalid", cause: errors.New("the body is not application/json")}
	}
	whole := v.limitBody()
	decoder := json.NewDecoder(v.r.Body)
	if err := decoder.Decode(into); err != nil {
		return badBody(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return badBody(errors.New("data after the JSON value"))
	}
	whole()
	return nil
}

func badBody(err error) error {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return err
	}
	return failure{status: http.StatusBadRequest, code: "invalid", cause: fmt.Errorf("reading the body: %w", err)}
}

// limitBody caps size and time of the body; see [realm.limitBody].
func (v *portalVisit) limitBody() (whole func()) { return v.rt.limitBody(v.w, v.r, maxPortalBody) }

func mediaType(r *http.Request) string {
	values := r.Header["Content-Type"]
	if len(values) != 1 {
		return ""
	}
	name, _, err := mime.ParseMediaType(values[0])
	if err != nil {
		return ""
	}
	return name
}
