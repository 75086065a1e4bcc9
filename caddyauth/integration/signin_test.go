package integration

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// visitor goes through the portal's pages as a browser without scripts does; what the scripts would send, it sends.
type visitor struct {
	n      *nodes
	client *http.Client
}

type page struct {
	at       *url.URL
	body     string
	response *http.Response
}

var (
	flowPattern   = regexp.MustCompile(`name="flow" value="([^"]+)"`)
	onwardPattern = regexp.MustCompile(`id="onward" href="([^"]+)"`)
	linkPattern   = regexp.MustCompile(`https?://\S+#\S+`)
)

// signIn signs somebody in on the first node, by a link, and returns the application's session cookie before anything was opened with it.
func (n *nodes) signIn(email string) *http.Cookie {
	n.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		n.t.Fatal(err)
	}
	return (&visitor{n, n.browser(addresses[0], jar)}).signIn(email)
}

func (v *visitor) signIn(email string) *http.Cookie {
	v.n.t.Helper()
	return v.signInAt(v.n.app+"/", email)
}

// signInAt begins with the address of a page.
func (v *visitor) signInAt(address, email string) *http.Cookie {
	v.n.t.Helper()
	v.submit(v.open(address), url.Values{"email": {email}})
	mailed := v.link(email)
	_, link, _ := strings.Cut(mailed, "#")
	at := v.submit(v.open(mailed), url.Values{"link": {link}})
	onward := onwardPattern.FindStringSubmatch(at.body)
	if onward == nil {
		v.n.t.Fatalf("the link led to %s: %.300s", at.at, at.body)
	}
	next := html.UnescapeString(onward[1])
	_, code, _ := strings.Cut(next, "#")
	arrived := v.open(next)
	if !strings.HasSuffix(arrived.at.Path, "/handoff") || !strings.Contains(arrived.body, "/assets/handoff") {
		v.n.t.Fatalf("the sign-in ends at %s with %.300s", arrived.at, arrived.body)
	}
	taken := v.post(arrived.at, url.Values{"code": {code}})
	cookie := sessionOf(taken.response)
	if cookie == nil {
		v.n.t.Fatalf("no session: %s %.300s", taken.response.Status, taken.body)
	}
	return cookie
}

// open follows redirects.
func (v *visitor) open(address string) page {
	v.n.t.Helper()
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		v.n.t.Fatal(err)
	}
	return v.follow(v.do(r))
}

// submit sends the page's form, with its state, and follows redirects.
func (v *visitor) submit(at page, fields url.Values) page {
	v.n.t.Helper()
	flow := flowPattern.FindStringSubmatch(at.body)
	if flow == nil {
		v.n.t.Fatalf("the page %s has no form: %s %.300s", at.at.Path, at.response.Status, at.body)
	}
	fields.Set("flow", html.UnescapeString(flow[1]))
	return v.follow(v.post(at.at, fields))
}

func (v *visitor) post(at *url.URL, fields url.Values) page {
	v.n.t.Helper()
	target := *at
	target.RawQuery, target.Fragment = "", ""
	r, err := http.NewRequest(http.MethodPost, target.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		v.n.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", target.Scheme+"://"+target.Host)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return v.do(r)
}

func (v *visitor) follow(p page) page {
	v.n.t.Helper()
	for range 5 {
		if p.response.StatusCode/100 != 3 {
			return p
		}
		next, err := p.response.Location()
		if err != nil {
			v.n.t.Fatal(err)
		}
		r, err := http.NewRequest(http.MethodGet, next.String(), nil)
		if err != nil {
			v.n.t.Fatal(err)
		}
		p = v.do(r)
		p.at = next // with its fragment
	}
	v.n.t.Fatalf("redirects do not end: %s", p.at)
	return p
}

func (v *visitor) do(r *http.Request) page {
	v.n.t.Helper()
	r.Header.Set("Accept", "text/html")
	response, err := v.client.Do(r)
	if err != nil {
		v.n.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		v.n.t.Fatal(err)
	}
	return page{r.URL, string(body), response}
}

// link is what the pool mailed.
func (v *visitor) link(email string) string {
	v.n.t.Helper()
	for _, m := range v.n.pool.Inbox().Messages() {
		if link := linkPattern.FindString(m.Text); m.To == email && link != "" {
			return link
		}
	}
	v.n.t.Fatal("no mail with a link came")
	return ""
}
