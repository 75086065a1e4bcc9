package embedded

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// provisionBrowserClient checks the origins whose scripts speak to the pool themselves.
func (p *UserPool) provisionBrowserClient() error {
	if len(p.BrowserClient) > 0 && p.Protocol == "" {
		return errors.New("browser_client: scripts reach nothing without protocol; write protocol localhost:9229")
	}
	for i, s := range p.BrowserClient {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
			return fmt.Errorf("browser_client: %q is not an origin; write it as http://localhost:3000", s)
		}
		p.BrowserClient[i] = u.Scheme + "://" + u.Host
	}
	return nil
}

// crossOrigin lets scripts of the browser client's origins read the answers (CORS). No operation goes by cookies.
func (p *UserPool) crossOrigin(next http.Handler) http.Handler {
	if len(p.BrowserClient) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if origin := r.Header.Get("Origin"); slices.Contains(p.BrowserClient, origin) {
			if allowOrigin(w, r, origin) {
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// allowOrigin sets the headers of CORS (https://fetch.spec.whatwg.org/#http-cors-protocol) as Cognito does, and reports whether a preflight
// was answered by that.
func allowOrigin(w http.ResponseWriter, r *http.Request, origin string) (answered bool) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "X-Amzn-Requestid, X-Amzn-Errortype, X-Amzn-Errormessage, Date")
	if r.Method != http.MethodOptions {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", corsRequestHeaders)
	h.Set("Access-Control-Max-Age", "7200")
	w.WriteHeader(http.StatusNoContent)
	return true
}
