package caddyauth

import (
	"io"
	"net/http"
	"time"
)

// bodyTimeout bounds the time that a whole request body may take to arrive: forms and assertions are small.
const bodyTimeout = 20 * time.Second

// limitBody caps a request body: size in bytes, and the time until its end. Call whole once the body was read to its end; it lifts
// the deadline, which would otherwise end the rest of the request. After a body that was read in part, or not at all, the deadline
// has to stay: net/http reads what a handler has left, and would wait for a client that sends a byte now and then.
func (rt *realm) limitBody(w http.ResponseWriter, r *http.Request, size int64) (whole func()) {
	within := rt.bodyTimeout
	if within == 0 {
		within = bodyTimeout
	}
	return limitBodyWithin(w, r, size, within)
}

func limitBodyWithin(w http.ResponseWriter, r *http.Request, size int64, within time.Duration) (whole func()) {
	if r.Body == nil || r.Body == http.NoBody {
		return func() {}
	}
	r.Body = http.MaxBytesReader(w, r.Body, size)
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(within)) != nil {
		return func() {} // not a network connection
	}
	return func() { _ = control.SetReadDeadline(time.Time{}) }
}

// skipBody reads a body that nothing is made of, so that what follows cannot wait for it.
func (rt *realm) skipBody(w http.ResponseWriter, r *http.Request, size int64) error {
	if r.Body == nil {
		return nil
	}
	whole := rt.limitBody(w, r, size)
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return err
	}
	whole()
	return nil
}
