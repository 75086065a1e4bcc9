package localpool

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// endpoint is the base URL of the in-process transport. The name is reserved (RFC 8375 and ICANN's .internal) and never
// resolved.
const endpoint = "http://passwordless.internal"

// Endpoint is the base URL to give an AWS SDK client together with [Pool.Client].
func (p *Pool) Endpoint() string { return endpoint }

// Issuer is the "iss" of the pool's tokens.
func (p *Pool) Issuer() string { return p.issuer(p.current.Load()) }

// FormerIssuers are those under which the pool may have signed tokens that are still valid: a server accepts them so that a new address of the
// pool signs nobody out.
func (p *Pool) FormerIssuers() []string { return p.formerIssuers(p.current.Load()) }

// Client reaches the pool in process, without a socket. Requests to other hosts fail.
func (p *Pool) Client() *http.Client { return &http.Client{Transport: transport{handler: p.Handler()}} }

// serveDocument answers the discovery documents.
// https://docs.aws.amazon.com/cognito/latest/developerguide/federation-endpoints.html
func (p *Pool) serveDocument(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the documents can be read only", http.StatusMethodNotAllowed)
		return
	}
	var document any
	switch strings.TrimPrefix(r.URL.Path, "/"+p.UserPoolID()+"/.well-known/") {
	case "jwks.json":
		document = p.keys.public()
	case "openid-configuration":
		document = map[string]any{
			"issuer":                                p.Issuer(),
			"jwks_uri":                              p.Issuer() + "/.well-known/jwks.json",
			"response_types_supported":              []string{"code", "token"},
			"subject_types_supported":               []string{"public"},
			"id_token_signing_alg_values_supported": []string{"RS256"},
			"scopes_supported":                      []string{"openid", "email", "phone", "profile"},
		}
	default:
		http.NotFound(w, r)
		return
	}
	body, err := json.Marshal(document)
	if err != nil {
		p.answerError(w, r, "discovery", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(body) // the caller has gone
}

// transport is an http.RoundTripper that calls a handler.
type transport struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if "http://"+r.URL.Host != endpoint {
		return nil, &hostError{r.URL.Host}
	}
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	if in.URL.Path == "" {
		in.URL.Path = "/"
	}
	in.RequestURI = in.URL.RequestURI()
	in.Host = in.URL.Host
	in.RemoteAddr = "in-process"
	w := &recorder{header: make(http.Header)}
	t.handler.ServeHTTP(w, in)
	return w.response(r), nil
}

type hostError struct{ host string }

func (e *hostError) Error() string {
	return "the in-process client of the user pool reaches " + endpoint + " only, not " + e.host
}

// recorder keeps a handler's answer in memory.
type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

func (w *recorder) response(r *http.Request) *http.Response {
	w.WriteHeader(http.StatusOK)
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(strings.NewReader(w.body.String())), ContentLength: int64(w.body.Len()), Request: r,
	}
}
