package caddyauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/templates"
)

// Forms that wait for a step-up.
const (
	keptPurpose  = "kept-form"
	keptParam    = "passwordless_kept" // of the query; names the form to send again
	keptLifetime = 15 * time.Minute
	keptPart     = 256 << 10 // bytes of a stored item: less than any session store takes
	keptReading  = 30 * time.Second
	keptTarget   = 2048 // bytes of a target, which has to fit, sealed twice, into an address

	defaultKeepBody = 1 << 20  // bytes
	maxKeepBody     = 16 << 20 // bytes
)

// keptForm says where a form waits. Sealed, it is what the browser carries; the form itself is on the server, and only a browser with
// the same session can have it sent, once.
type keptForm struct {
	ID      string    `json:"i"`
	Session string    `json:"s"` // [session.PublicID]
	Target  string    `json:"t"` // path and query
	Type    string    `json:"c"` // Content-Type
	Size    int       `json:"n"` // bytes
	Digest  string    `json:"d"` // [digestOf] the body
	Expires time.Time `json:"e"`
}

// parts are at least one, for the first says whether the form was sent already.
func (f *keptForm) parts() int { return max(1, (f.Size+keptPart-1)/keptPart) }

// part is the one-time item's id: nobody without the session can name it.
func (f *keptForm) part(s *session.Session, i int) string {
	return s.ID + "." + f.ID + "." + strconv.Itoa(i)
}

// isForm reports whether a person has sent a form from a page of this very origin: a top-level navigation with the browser's own word for
// where it began. A form of another site must not be kept: its data would be sent in the person's name from our page.
func (v *visit) isForm(r *http.Request) bool {
	contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(contentType)) {
	case "application/x-www-form-urlencoded", "multipart/form-data", "text/plain", "":
	default:
		return false
	}
	if !isFormNavigation(r) || len(r.Header["Content-Encoding"]) > 0 {
		return false
	}
	if site := r.Header["Sec-Fetch-Site"]; len(site) > 0 {
		return len(site) == 1 && site[0] == "same-origin"
	}
	sender := r.Header["Origin"]
	return len(sender) == 1 && sender[0] == v.origin
}

// isFormNavigation reports whether a browser shows what comes back for a POST.
func isFormNavigation(r *http.Request) bool {
	if r.Method != http.MethodPost || len(r.Header["X-Requested-With"]) > 0 || isUpgrade(r) {
		return false
	}
	mode, dest := r.Header["Sec-Fetch-Mode"], r.Header["Sec-Fetch-Dest"]
	if len(mode)+len(dest) > 0 {
		return len(mode) == 1 && mode[0] == "navigate" && len(dest) == 1 && dest[0] == "document"
	}
	return acceptsHTML(r.Header["Accept"])
}

// errNotKept says that a form is too large, or that too many wait already.
var errNotKept = errors.New("the form cannot be kept")

// keepForm stores the request's form and returns the address of the page that offers to send it.
func (v *visit) keepForm(w http.ResponseWriter, r *http.Request) (address string, err error) {
	form := keptForm{
		Session: session.PublicID(v.session), Target: targetOf(r), Type: r.Header.Get("Content-Type"), Expires: v.rt.now().Add(keptLifetime),
	}
	// On the portal's own host its pages are where ours would be.
	if v.shared || v.family == nil || r.ContentLength > int64(v.keepBody) || len(form.Target)+len(form.Type) > keptTarget || !sameOriginPath(form.Target) {
		return "", errNotKept
	}
	body, err := v.rt.readBounded(w, r.Body, v.keepBody)
	if err != nil {
		return "", fmt.Errorf("reading a form: %w", err)
	}
	if len(body) > v.keepBody {
		v.rt.limitBody(w, r, math.MaxInt64) // its rest
	}
	if len(body) > v.keepBody || !v.family.kept.take(v.session.Subject, len(body), form.Expires, v.rt.now()) {
		return "", errNotKept
	}
	form.Size, form.Digest = len(body), digestOf(r.Header, body)
	if form.ID, err = randomCode(v.rt.rand); err != nil {
		return "", err
	}
	for i := range form.parts() {
		part := body[i*keptPart : min((i+1)*keptPart, len(body))]
		if err := v.rt.sessions.PutOnce(r.Context(), keptPurpose, form.part(&v.session, i), part, form.Expires); err != nil {
			return "", fmt.Errorf("keeping a form: %w", err)
		}
	}
	sealed, err := v.sealForm(form)
	if err != nil {
		return "", err
	}
	return v.sendAgainURL(sealed), nil
}

func (v *visit) sendAgainURL(sealed string) string {
	return v.origin + v.rt.portal.Path + "send-again?kept=" + url.QueryEscape(sealed)
}

func (v *visit) keptBinding() session.Binding {
	return session.Binding{Purpose: keptPurpose, Realm: v.rt.name, Host: v.host}
}

func (v *visit) sealForm(form keptForm) (string, error) {
	plaintext, err := json.Marshal(form)
	if err != nil {
		return "", fmt.Errorf("encoding a form's name: %w", err)
	}
	return v.rt.sessions.Keys.Seal(v.keptBinding(), plaintext)
}

// openForm is the inverse of sealForm, for the session that the form belongs to.
func (v *visit) openForm(sealed string) (keptForm, error) {
	plaintext, err := v.rt.sessions.Keys.Open(v.keptBinding(), sealed)
	if err != nil {
		return keptForm{}, err
	}
	var form keptForm
	if err := json.Unmarshal(plaintext, &form); err != nil {
		return keptForm{}, session.ErrInvalid
	}
	if !v.authenticated || form.Session != session.PublicID(v.session) || !v.rt.now().Before(form.Expires) {
		return keptForm{}, session.ErrInvalid
	}
	return form, nil
}

// takeForm returns a form's body and forgets it. The first part decides who gets it.
func (v *visit) takeForm(ctx context.Context, form keptForm) ([]byte, error) {
	body := make([]byte, 0, form.Size)
	for i := range form.parts() {
		part, err := v.rt.sessions.TakeOnce(ctx, keptPurpose, form.part(&v.session, i))
		if err != nil {
			return nil, err
		}
		body = append(body, part...)
	}
	return body, nil
}

// serveSendAgain shows the page that offers to send a form. It sends nothing: the person does.
func (g *Guard) serveSendAgain(w http.ResponseWriter, r *http.Request, v *visit) error {
	if refused := v.open(w, r); refused != nil {
		return v.refuse(w, r, *refused)
	}
	sealed := r.URL.Query().Get("kept")
	form, err := v.openForm(sealed)
	if err != nil {
		return v.formGone(w, r)
	}
	path, query, _ := strings.Cut(form.Target, "?")
	if query != "" {
		query += "&"
	}
	return v.rt.guardPage(w, r, http.StatusOK, templates.SendAgainPage{
		Target: v.host + path, Action: path + "?" + query + keptParam + "=" + url.QueryEscape(sealed), DiscardURL: "/",
	})
}

func (v *visit) formGone(w http.ResponseWriter, r *http.Request) error {
	return v.rt.guardPage(w, r, http.StatusGone, templates.ErrorPage{
		Status: http.StatusGone, Code: "form_gone", Reference: reference(r), ActionURL: "/", Action: "back",
	})
}

// claimed is the form that a request names, which it does in its query; sealed is "" when it names none.
func claimed(r *http.Request) (sealed string) {
	for pair := range strings.SplitSeq(originalURL(r).RawQuery, "&") {
		if value, ok := strings.CutPrefix(pair, keptParam+"="); ok {
			if sealed, err := url.QueryUnescape(value); err == nil {
				return sealed
			}
		}
	}
	return ""
}

// namesForm is a cheap look at whether claimed and withoutClaim are worth it.
func namesForm(r *http.Request) bool {
	return strings.Contains(r.URL.RawQuery, keptParam+"=") || r.Method == http.MethodPost && strings.Contains(originalURL(r).RawQuery, keptParam+"=")
}

func withoutClaim(query string) string {
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		if !strings.HasPrefix(pair, keptParam+"=") {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// originalURL is what the browser asked for, before rewrites.
func originalURL(r *http.Request) *url.URL {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		return original.URL
	}
	return r.URL
}

// targetOf is the request's path and query as a form's target.
func targetOf(r *http.Request) string {
	u := originalURL(r)
	target := u.EscapedPath()
	if query := withoutClaim(u.RawQuery); query != "" {
		target += "?" + escapeQuery(query)
	}
	return target
}

// sendForm puts the form that a request names in place of its body, once every guard so far has let it through. Whatever is wrong with it,
// nothing goes upstream.
func (v *visit) sendForm(w http.ResponseWriter, r *http.Request) (answered bool, err error) {
	sealed := claimed(r)
	r.URL.RawQuery = withoutClaim(r.URL.RawQuery)
	r.RequestURI = r.URL.RequestURI()
	if r.Method != http.MethodPost || v.sent {
		return false, nil
	}
	form, err := v.openForm(sealed)
	if err != nil || form.Target != targetOf(r) {
		return true, v.formGone(w, r)
	}
	if !v.isForm(r) {
		return true, v.refuse(w, r, refusal{status: http.StatusForbidden, reason: "cross_origin", detail: "a form is sent again from its own page only"})
	}
	if err := v.rt.skipBody(w, r, maxHandoffBody); err != nil { // ours is empty
		return true, v.refuse(w, r, refusal{status: http.StatusBadRequest, reason: "body", detail: "this request needs no body"})
	}
	body, err := v.takeForm(r.Context(), form)
	switch {
	case errors.Is(err, session.ErrUnavailable):
		return true, v.refuse(w, r, refusal{status: http.StatusServiceUnavailable, reason: "unavailable", detail: "the form cannot be read now"})
	case err != nil || len(body) != form.Size:
		return true, v.formGone(w, r)
	}
	v.sent = true
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	r.Header["Origin"] = []string{v.origin} // the page that sent it tells no referrer, which browsers take to mean no origin either
	r.Header.Del("Content-Type")
	if form.Type != "" {
		r.Header.Set("Content-Type", form.Type)
	}
	return false, nil
}
