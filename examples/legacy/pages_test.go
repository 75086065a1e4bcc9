package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func ask(t *testing.T, target string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	newHandler("http://localhost:8080/auth/account", func() time.Time { return time.Unix(1770000000, 0) }).ServeHTTP(w, r)
	return w
}

func TestPages(t *testing.T) {
	for target, want := range map[string]string{
		"/": "<h1>Home</h1>", "/reports?year=2026": `<span id="path">/reports?year=2026</span>`, "/admin": "<h1>Administration</h1>",
		"/static/legacy.js": "hashchange", "/static/legacy.css": "color-scheme",
	} {
		if w := ask(t, target); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d, no %q in\n%s", target, w.Code, want, w.Body)
		}
	}
	if w := ask(t, "/nowhere"); w.Code != http.StatusNotFound {
		t.Errorf("unknown page: %d", w.Code)
	}
}

func TestIdentity(t *testing.T) {
	body := ask(t, "/", headerUser, "4c1d", headerEmail, "anna@example.com", headerGroups, "admins").Body.String()
	for _, want := range []string{`<strong id="user">anna@example.com</strong>`, `<span id="groups">admins</span>`, `data-name="X-Passwordless-User"`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if body := ask(t, "/", headerUser, "4c1d").Body.String(); !strings.Contains(body, `<strong id="user">4c1d</strong>`) {
		t.Errorf("no user name in\n%s", body)
	}
	if body := ask(t, "/").Body.String(); !strings.Contains(body, `id="stranger"`) || strings.Contains(body, `id="user"`) {
		t.Errorf("a stranger has a name in\n%s", body)
	}
}

// Headers come from the outside and stand on the page.
func TestMarkupInHeaders(t *testing.T) {
	body := ask(t, "/?<script>", headerEmail, "<script>alert(1)</script>", "X-Other", "<img src=x>").Body.String()
	if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img") {
		t.Errorf("markup of a header reached the page:\n%s", body)
	}
}

func TestTime(t *testing.T) {
	w := ask(t, "/api/time", headerEmail, "anna@example.com")
	if want := `{"time":"2026-02-02T02:40:00Z","user":"anna@example.com"}` + "\n"; w.Body.String() != want {
		t.Errorf("got %s, want %s", w.Body, want)
	}
}

func TestOrders(t *testing.T) {
	if w := ask(t, "/orders"); !strings.Contains(w.Body.String(), `id="order"`) {
		t.Errorf("no form in\n%s", w.Body)
	}
	r := httptest.NewRequest(http.MethodPost, "/orders?kind=express", strings.NewReader("article=tea&remarks=%3Cb%3Ehot%3C%2Fb%3E"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	newHandler("", time.Now).ServeHTTP(w, r)
	for _, want := range []string{"<h1>Order received</h1>", `<tr data-name="article"><th scope="row">article<td>tea`, `&lt;b&gt;hot&lt;/b&gt;`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %q in\n%s", want, w.Body)
		}
	}
}
