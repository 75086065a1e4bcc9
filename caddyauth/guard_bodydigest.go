package caddyauth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-cognito/passwordless/templates"
)

// How much of the bodies that approvals are bound to is held in memory at a time, in one realm of one process.
const (
	heldBytes = 64 << 20 // of all
	heldShare = 4        // the part of heldBytes that one person can have
)

// digestOf is a SHA-256, in base64url, of a body and of what says how to read it.
func digestOf(h http.Header, body []byte) string {
	sum := sha256.New()
	var described []string
	for name, values := range h {
		if foldedMatch(name, "contenttype", false) || foldedMatch(name, "contentencoding", false) { // CGI reads Content_Type, too
			described = append(described, name+"\n"+strings.Join(values, "\n"))
		}
	}
	slices.Sort(described)
	for _, header := range described {
		fmt.Fprintf(sum, "%d:%s,", len(header), header)
	}
	sum.Write(body)
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

// bodyLimit is the largest body of a request that is approved on its own, in bytes.
func (g *Guard) bodyLimit() int {
	if g.KeepBody > 0 {
		return int(g.KeepBody)
	}
	return defaultKeepBody
}

// digestBody is the digest of what the upstream will read: the request's body, which is held in memory meanwhile, or the kept form that is
// put in its place once all guards have agreed.
func (g *Guard) digestBody(v *visit, w http.ResponseWriter, r *http.Request) (digest string, refused *refusal) {
	// The proxy has the body, and does not always say that there is one. So forward auth approves only methods whose body means nothing.
	if g.remote {
		if size := r.Header.Get("Content-Length"); size != "" && size != "0" {
			return "", &refusal{status: http.StatusForbidden, reason: "body_unseen", detail: "a request with a body cannot be confirmed on its own here"}
		}
		return digestOf(r.Header, nil), nil
	}
	if sealed := claimed(r); sealed != "" && r.Method == http.MethodPost && !v.sent {
		if form, err := v.openForm(sealed); err == nil && form.Target == targetOf(r) {
			return form.Digest, nil
		}
	}
	if r.Body == nil || r.Body == http.NoBody || r.Method == http.MethodConnect { // a CONNECT's body is the tunnel
		return digestOf(r.Header, nil), nil
	}
	limit := g.bodyLimit()
	reserved := limit
	if r.ContentLength >= 0 {
		reserved = int(min(r.ContentLength, int64(limit)))
	}
	if r.ContentLength > int64(limit) {
		return "", tooLarge(limit)
	}
	if !g.family.held.take(v.session.Subject, reserved) {
		return "", &refusal{status: http.StatusServiceUnavailable, reason: "unavailable", detail: "too many requests wait for a confirmation of their own"}
	}
	v.held += reserved
	body, err := v.rt.readBounded(w, r.Body, limit)
	switch {
	case err != nil:
		return "", &refusal{status: http.StatusBadRequest, reason: "body_unreadable", detail: "the request's body did not arrive"}
	case len(body) > limit:
		return "", tooLarge(limit)
	}
	g.family.held.give(v.session.Subject, reserved-len(body)) // of one that did not say its length
	v.held -= reserved - len(body)
	r.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(body), r.Body}
	return digestOf(r.Header, body), nil
}

func tooLarge(limit int) *refusal {
	return &refusal{
		status: http.StatusRequestEntityTooLarge, reason: "body_too_large",
		detail: fmt.Sprintf("a request that is confirmed on its own has a body of at most %d bytes", limit),
	}
}

// readBounded reads a body, and a byte more than the limit of one that is too large. One that trickles in must not hold us.
// After an error the deadline stays: see [realm.limitBody].
func (rt *realm) readBounded(w http.ResponseWriter, body io.Reader, limit int) ([]byte, error) {
	within := rt.bodyTimeout
	if within == 0 {
		within = keptReading
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(within)) // not every server can
	read, err := io.ReadAll(io.LimitReader(body, int64(limit)+1))
	if err == nil {
		_ = control.SetReadDeadline(time.Time{})
	}
	return read, err
}

// formTooLarge tells the sender of a form in words.
func (v *visit) formTooLarge(w http.ResponseWriter, r *http.Request) error {
	return v.rt.guardPage(w, r, http.StatusRequestEntityTooLarge, templates.ErrorPage{
		Status: http.StatusRequestEntityTooLarge, Code: "body_too_large", Reference: reference(r), ActionURL: "/", Action: "back",
	})
}

// release gives back the memory of a body once its request is answered.
func (v *visit) release(f *guardFamily) {
	if v.held > 0 {
		f.held.give(v.session.Subject, v.held)
		v.held = 0
	}
}

// holdQuota bounds the bodies in memory, of each person by subject. The zero value is ready.
type holdQuota struct {
	mu    sync.Mutex
	bytes map[string]int
	total int
}

func (q *holdQuota) take(subject string, n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.total+n > heldBytes || q.bytes[subject]+n > heldBytes/heldShare {
		return false
	}
	if q.bytes == nil {
		q.bytes = make(map[string]int)
	}
	q.bytes[subject] += n
	q.total += n
	return true
}

func (q *holdQuota) give(subject string, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.total -= n
	if q.bytes[subject] -= n; q.bytes[subject] <= 0 {
		delete(q.bytes, subject)
	}
}
