package session_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
)

func request(lines ...string) *http.Request {
	return &http.Request{Header: http.Header{"Cookie": lines}}
}

// A sibling subdomain, or a script, plants a second cookie of our name: nothing tells which is ours.
func TestAttackDuplicateCookies(t *testing.T) {
	c := session.SessionCookie(true)
	for _, lines := range [][]string{
		{c.Name + "=a; " + c.Name + "=b"},
		{c.Name + "=a; " + c.Name + "=a"},
		{c.Name + "=a", "x=y;" + c.Name + "=b"},
		{c.Name + "=a; " + c.Name},
		{c.Name + "=a;" + c.Name + " =\"b c\""},
	} {
		if value, err := c.Read(request(lines...)); !errors.Is(err, session.ErrDuplicate) || value != "" {
			t.Errorf("%q: %q, %v", lines, value, err)
		}
	}
}

func TestCookieRead(t *testing.T) {
	c := session.SessionCookie(true)
	for line, want := range map[string]string{
		c.Name + "=value": "value",
		"a=b; " + c.Name + "=value; x" + c.Name + "=other":    "value",
		"a=\"; " + c.Name + "=value":                          "value",
		"passwordless_session=planted; " + c.Name + "=value ": "value",
	} {
		if value, err := c.Read(request(line)); err != nil || value != want {
			t.Errorf("%q: %q, %v", line, value, err)
		}
	}
	for _, line := range []string{"", "a=b", "passwordless_session=x", strings.ToLower(c.Name) + "=x", ";;"} {
		if value, err := c.Read(request(line)); !errors.Is(err, http.ErrNoCookie) || value != "" {
			t.Errorf("%q: %q, %v", line, value, err)
		}
	}
}

func TestCookieSetAndClear(t *testing.T) {
	w := httptest.NewRecorder()
	session.SessionCookie(true).Set(w, "value", time.Hour)
	session.NonceCookie(false).Set(w, "n", 0)
	session.BrowserCookie(true).Clear(w)
	session.DomainCookie("example.com").Set(w, "d", time.Minute)
	session.DomainCookie("example.com").Clear(w)
	want := []string{
		"__Host-passwordless_session=value; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax",
		"passwordless_nonce=n; Path=/; HttpOnly; SameSite=Lax",
		"__Host-passwordless_browser=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		"__Secure-passwordless_session=d; Path=/; Domain=example.com; Max-Age=60; HttpOnly; Secure; SameSite=Lax",
		"__Secure-passwordless_session=; Path=/; Domain=example.com; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
	}
	if got := w.Header()["Set-Cookie"]; strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}

func TestStripCookiesLeavesTheOthersByteForByte(t *testing.T) {
	s, n := session.SessionCookie(true).Name, session.NonceCookie(false).Name
	for line, want := range map[string]string{
		"":                              "",
		"a=b":                           "a=b",
		s + "=x":                        "",
		s + "=x; a=b":                   "a=b",
		"a=b; " + s + "=x":              "a=b",
		"a=b; " + s + "=x; c=d":         "a=b; c=d",
		s + "=x; " + n + "=y; a=b":      "a=b",
		s + "=; a; " + n + "; b;" + s:   "a; b",
		"a; " + s + "; b; " + n + "; c": "a; b; c",
		";" + s:                         "",
		s + ";":                         "",
		"a=\"q ,;z\"; " + s + " =x;c=":  "a=\"q ,;z\";c=",
		" a = b ;;" + s + ";\tc":        " a = b ;;\tc",
		"x" + s + "=x; " + s + "x=y":    "x" + s + "=x; " + s + "x=y",
		"\xff\x00=\x80; " + s + "=x":    "\xff\x00=\x80",
		"a=" + s + "; b=" + s + "=x":    "a=" + s + "; b=" + s + "=x",
	} {
		h := http.Header{"Cookie": {line}, "X": {"y"}}
		session.StripCookies(h)
		if got := strings.Join(h["Cookie"], "|"); got != want {
			t.Errorf("%q → %q, want %q", line, got, want)
		}
	}
	h := http.Header{"Cookie": {s + "=x", "a=b"}}
	if session.StripCookies(h); len(h["Cookie"]) != 1 || h.Get("Cookie") != "a=b" {
		t.Errorf("two lines: %q", h["Cookie"])
	}
	h = http.Header{"Cookie": {s + "=x"}}
	if session.StripCookies(h); len(h) != 0 {
		t.Errorf("an empty header is left: %v", h)
	}
}

func FuzzStripCookies(f *testing.F) {
	var names []string
	for _, secure := range []bool{true, false} {
		names = append(names, session.SessionCookie(secure).Name, session.NonceCookie(secure).Name, session.BrowserCookie(secure).Name)
	}
	f.Add("a=b; " + names[0] + "=x; c=d")
	f.Add(names[0])
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{"Cookie": {line}}
		session.StripCookies(h)
		for _, name := range names {
			c := session.Cookie{Name: name}
			if _, err := c.Read(&http.Request{Header: h}); !errors.Is(err, http.ErrNoCookie) {
				t.Errorf("%q → %q", line, h["Cookie"])
			}
		}
	})
}
