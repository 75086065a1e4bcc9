package integration

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
)

// sitesFile is a portal and one application, app.localhost; other.localhost is an application, too. SITES is the rest.
const sitesFile = `{
	admin off
	default_bind ADDRESS
	storage file_system STORAGE
	OPTIONS
	passwordless {
		portal http://localhost:PORT/auth/
		applications http://app.localhost:PORT http://other.localhost:PORT
` + backendsFile + `		passkeys {
			relying_party localhost "Example"
		}
		magic_link
		sign_up open
	}
}

http://localhost:PORT {
	passwordless_portal
}
SITES`

// echoed is what the application got.
type echoed struct {
	Target string // as it came
	Header http.Header
}

// site is a Caddy with a portal and sites of a test's own, before an application that answers what it got.
type site struct {
	*nodes
	jar *cookiejar.Jar
}

func newSite(t *testing.T, sites string, options ...string) *site {
	t.Helper()
	file := strings.NewReplacer("OPTIONS", strings.Join(options, "\n"), "SITES", sites).Replace(sitesFile)
	n := newNodesOf(t, file, func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(echoed{r.RequestURI, r.Header})
	}, addresses[0])
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &site{n, jar}
}

// answered is an answer, and what the application got if it was asked.
type answered struct {
	status   int
	location string
	body     string
	header   http.Header
	reached  *echoed
}

// ask sends a request with the visitor's cookies; headers are names and values in turns, `Host` included. It follows no redirect.
func (s *site) ask(method, address string, headers ...string) answered {
	s.t.Helper()
	r, err := http.NewRequest(method, address, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1]); headers[i] == "Host" { // as it is spelled
			r.Host = headers[i+1]
		}
	}
	v := visitor{s.nodes, s.browser(addresses[0], s.jar)}
	if _, ok := r.Header["Accept"]; !ok {
		r.Header.Set("Accept", "application/json")
	}
	response, err := v.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	a := answered{status: response.StatusCode, location: response.Header.Get("Location"), body: string(body), header: response.Header}
	var got echoed
	if json.Unmarshal([]byte(a.body), &got) == nil && got.Target != "" {
		a.reached = &got
	}
	return a
}
