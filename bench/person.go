package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// person signs in as a browser does, without a script engine: what the pages' scripts would send, it sends.
type person struct {
	client *http.Client
	inbox  string // origin of the embedded pool's inbox
	email  string
}

// newPerson is somebody whose names all lead to this machine.
func newPerson(inbox, email string) (*person, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	return &person{client: &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute}, inbox: inbox, email: email}, nil
}

// page is where the redirects ended.
type page struct {
	url  *url.URL
	body string
}

func (p *person) open(address string) (page, error) {
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return page{}, err
	}
	return p.do(r)
}

// submit sends a form to the page's own address.
func (p *person) submit(at page, fields url.Values) (page, error) {
	target := *at.url
	target.RawQuery, target.Fragment = "", ""
	r, err := http.NewRequest(http.MethodPost, target.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		return page{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", target.Scheme+"://"+target.Host)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return p.do(r)
}

func (p *person) do(r *http.Request) (page, error) {
	r.Header.Set("Accept", "text/html")
	response, err := p.client.Do(r)
	if err != nil {
		return page{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return page{}, err
	}
	if response.StatusCode != http.StatusOK {
		return page{}, fmt.Errorf("%s%s answers %s", response.Request.URL.Host, response.Request.URL.Path, response.Status)
	}
	return page{response.Request.URL, string(body)}, nil
}

var (
	flowPattern   = regexp.MustCompile(`name="flow" value="([^"]+)"`)
	linkPattern   = regexp.MustCompile(`https?://\S+/auth/link\S*#\S+`)
	onwardPattern = regexp.MustCompile(`id="onward" href="([^"]+)"`) // of a page that passes on who is signed in already
)

// arrive opens an application's page and signs in on the way if need be: by a link, the first time.
func (p *person) arrive(address string) (page, error) {
	at, err := p.open(address)
	for range 4 {
		if err != nil {
			return page{}, err
		}
		switch {
		case strings.HasSuffix(at.url.Path, "/handoff"):
			at, err = p.submit(at, url.Values{"code": {at.url.Fragment}})
		case onwardPattern.MatchString(at.body):
			at, err = p.open(html.UnescapeString(onwardPattern.FindStringSubmatch(at.body)[1]))
		case strings.HasSuffix(at.url.Path, "/sign-in"):
			at, err = p.signIn(at)
		default:
			return at, nil
		}
	}
	return page{}, fmt.Errorf("signing in does not end: at %s%s", at.url.Host, at.url.Path)
}

func (p *person) signIn(at page) (page, error) {
	flow, err := at.flow()
	if err != nil {
		return page{}, err
	}
	if _, err := p.submit(at, url.Values{"flow": {flow}, "email": {p.email}}); err != nil {
		return page{}, err
	}
	mailed, err := p.link()
	if err != nil {
		return page{}, err
	}
	confirm, err := p.open(mailed)
	if err != nil {
		return page{}, err
	}
	if flow, err = confirm.flow(); err != nil {
		return page{}, err
	}
	_, link, _ := strings.Cut(mailed, "#")
	return p.submit(confirm, url.Values{"flow": {flow}, "link": {link}})
}

func (at page) flow() (string, error) {
	found := flowPattern.FindStringSubmatch(at.body)
	if found == nil {
		return "", fmt.Errorf("the page %s has no flow", at.url.Path)
	}
	return html.UnescapeString(found[1]), nil
}

// link waits for the mail.
func (p *person) link() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		at, err := p.open(p.inbox + "/messages.json")
		if err != nil {
			return "", err
		}
		var answer struct {
			Messages []struct{ To, Text string }
		}
		if err := json.Unmarshal([]byte(at.body), &answer); err != nil {
			return "", fmt.Errorf("reading the inbox: %w", err)
		}
		for _, m := range answer.Messages {
			if link := linkPattern.FindString(m.Text); m.To == p.email && link != "" {
				return link, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", errors.New("no mail with a link came")
		case <-again.C:
		}
	}
}

// cookies are those that the person's browser sends to an address, as a header.
func (p *person) cookies(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	var pairs []string
	for _, c := range p.client.Jar.Cookies(u) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; "), nil
}
