package caddyauth

import (
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// unlessAnswered hands the request on and, when nothing answers it, gives an answer instead of Caddy's empty page.
func unlessAnswered(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, instead func() error) error {
	noting := &notingWriter{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
	if err := next.ServeHTTP(noting, r); err != nil || noting.wrote {
		return err
	}
	return instead()
}

// notingWriter notes whether an answer was begun.
type notingWriter struct {
	*caddyhttp.ResponseWriterWrapper
	wrote bool
}

// WriteHeader implements [http.ResponseWriter]. Informational responses are no answer.
func (n *notingWriter) WriteHeader(status int) {
	n.wrote = n.wrote || status >= http.StatusOK || status == http.StatusSwitchingProtocols
	n.ResponseWriterWrapper.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (n *notingWriter) Write(b []byte) (int, error) {
	n.wrote = true
	return n.ResponseWriterWrapper.Write(b)
}

// ReadFrom implements [io.ReaderFrom].
func (n *notingWriter) ReadFrom(r io.Reader) (int64, error) {
	n.wrote = true
	return n.ResponseWriterWrapper.ReadFrom(r)
}

// FlushError is Flush for [http.ResponseController].
func (n *notingWriter) FlushError() error {
	n.wrote = true
	return http.NewResponseController(n.ResponseWriterWrapper.ResponseWriter).Flush()
}
