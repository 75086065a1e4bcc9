package templates

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func render(t testing.TB, pages *Pages, lang string, page Page) string {
	t.Helper()
	var out bytes.Buffer
	if err := pages.Render(&out, lang, page); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEveryPageInEveryLocale(t *testing.T) {
	pages := newPages(t, Options{Branding: Branding{Name: "Example Corp", LogoURL: "/logo.svg", Accent: "#0f766e"}})
	for name, page := range samples() {
		texts := map[string]string{}
		for _, lang := range Locales() {
			html := render(t, pages, lang, page)
			if !strings.Contains(html, `<html lang="`+lang+`">`) || !strings.Contains(html, `id="notice"`) || !strings.Contains(html, "</html>") {
				t.Errorf("%s in %s is not whole", name, lang)
			}
			if strings.Contains(html, "<no value>") || strings.Contains(html, "ZgotmplZ") {
				t.Errorf("%s in %s has a value that was refused", name, lang)
			}
			if other, same := texts[html]; same {
				t.Errorf("%s reads the same in %s and %s", name, lang, other)
			}
			texts[html] = lang
		}
	}
}

func TestIdsForBrowserTests(t *testing.T) {
	pages := newPages(t, Options{})
	for name, ids := range map[string][]string{
		"sign-in":    {"email", "send-link", "passkey-button", "notice"},
		"check-mail": {"resend", "other-address", "notice"},
		"step-up":    {"passkey-button", "send-code", "code-form", "code", "verify-code", "resend-code", "phone", "send-link", "notice"},
		"link":       {"continue", "notice"},
		"account":    {"change-phone", "phone", "phone-send", "phone-code", "phone-verify", "phone-resend", "remove-phone", "add-passkey", "sign-out", "sign-out-everywhere", "confirm-delete", "notice"},
		"sign-out":   {"sign-out", "notice"},
	} {
		html := render(t, pages, "en", samples()[name])
		for _, id := range ids {
			if n := strings.Count(html, ` id="`+id+`"`); n != 1 {
				t.Errorf("%s has %d elements #%s", name, n, id)
			}
		}
	}
	if html := render(t, pages, "en", samples()["sign-in"]); !strings.Contains(html, `autocomplete="username webauthn"`) {
		t.Error("the e-mail field asks for no passkey autofill")
	}
}

// Attack: markup, script addresses and quotes in whatever a stranger can choose.
func TestStringsAreEscaped(t *testing.T) {
	const attack = `"'><script>alert(1)</script><img src=x onerror=alert(1)>javascript:alert(1)`
	pages := newPages(t, Options{Branding: Branding{Name: attack}})
	for name, page := range samples() {
		v := reflect.New(reflect.TypeOf(page)).Elem()
		v.Set(reflect.ValueOf(page))
		poison(v, attack)
		for _, lang := range Locales() {
			html := render(t, pages, lang, v.Interface().(Page))
			if strings.Contains(html, "<script>") || strings.Contains(html, "<img") {
				t.Errorf("%s in %s lets markup through", name, lang)
			}
			if strings.Contains(html, `"'>`) {
				t.Errorf("%s in %s lets an attribute be closed", name, lang)
			}
		}
	}
}

// Attack: a script address where a link or a form leads.
func TestScriptAddressesAreRefused(t *testing.T) {
	pages := newPages(t, Options{})
	const attack = "javascript:alert(1)"
	for name, page := range map[string]Page{
		"account":    AccountPage{Applications: []string{attack, " " + attack, "data:text/html,x"}},
		"signed-out": SignedOutPage{SignInURL: attack},
		"error":      ErrorPage{ActionURL: attack},
		"forbidden":  ForbiddenPage{SignOutURL: attack},
		"send-again": SendAgainPage{Action: attack, DiscardURL: attack},
		"pass-on":    PassOnPage{Next: attack},
	} {
		if html := render(t, pages, "en", page); regexp.MustCompile(`(href|action)="\s*(javascript|data:text)`).MatchString(html) {
			t.Errorf("%s leads to a script", name)
		}
	}
}

func poison(v reflect.Value, s string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Slice:
		fresh := reflect.MakeSlice(v.Type(), max(v.Len(), 1), max(v.Len(), 1))
		reflect.Copy(fresh, v)
		for i := range fresh.Len() {
			poison(fresh.Index(i), s)
		}
		v.Set(fresh)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			poison(v.Field(i), s)
		}
	}
}

var (
	inlineScript  = regexp.MustCompile(`(?i)<script(>|\s+(?:[^s>]|s[^r])[^>]*>[^<\s])|<style|\sstyle=|\son[a-z]+\s*=`)
	scriptElement = regexp.MustCompile(`<script[^>]*>([^<]*)</script>`)
	address       = regexp.MustCompile(`(?:src|href|action|formaction|poster)="([^"]*)"`)
)

func TestNothingInlineAndNoOtherHost(t *testing.T) {
	pages := newPages(t, Options{Base: "/login/", Branding: Branding{Name: "Example", Accent: "#0f766e", CSS: "h1{color:red}"}})
	assets := pages.Assets()
	for name, page := range samples() {
		html := render(t, pages, "en", page)
		if found := inlineScript.FindString(html); found != "" {
			t.Errorf("%s: %q", name, found)
		}
		for _, s := range scriptElement.FindAllStringSubmatch(html, -1) {
			if s[1] != "" || !strings.Contains(s[0], `src="/login/assets/`) {
				t.Errorf("%s has the script %q", name, s[0])
			}
		}
		for _, a := range address.FindAllStringSubmatch(html, -1) {
			path, isAsset := strings.CutPrefix(a[1], "/login/assets")
			switch {
			case isAsset:
				if w := get(assets, path, nil); w.Code != 200 {
					t.Errorf("%s loads %s: %d", name, a[1], w.Code)
				}
			case a[1] == "data:,", a[1] == "https://app.example.com", strings.HasPrefix(a[1], "https://app.example.com/"), strings.HasPrefix(a[1], "/") && !strings.HasPrefix(a[1], "//"):
			default:
				t.Errorf("%s leads to %s", name, a[1])
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"base without slash":                {Base: "/auth"},
		"base on another host":              {Base: "//evil.example/"},
		"accent":                            {Branding: Branding{Accent: "red;}body{display:none"}},
		"logo elsewhere":                    {Branding: Branding{LogoURL: "https://cdn.example/logo.svg"}},
		"logo by two slashes":               {Branding: Branding{LogoURL: "//cdn.example/logo.svg"}},
		"page does not parse":               {Directory: fstest.MapFS{"sign-in.html": {Data: []byte(`{{define "main"}}{{if}}{{end}}`)}}},
		"page asks for what does not exist": {Directory: fstest.MapFS{"link.html": {Data: []byte(`{{define "main"}}{{.Nothing}}{{end}}`)}}},
		"a mistake where there is a list":   {Directory: fstest.MapFS{"sign-in.html": {Data: []byte(`{{define "main"}}{{range .People}}{{.Nothing}}{{end}}{{end}}`)}}},
		"a mistake in what is rarely shown": {Directory: fstest.MapFS{"step-up.html": {Data: []byte(`{{define "main"}}{{if .Instead}}{{t "no.such"}}{{end}}{{end}}`)}}},
		"page names no message":             {Directory: fstest.MapFS{"link.html": {Data: []byte(`{{define "main"}}{{t "no.such"}}{{end}}`)}}},
		"name that is misspelt":             {Directory: fstest.MapFS{"signin.html": {Data: []byte(`{{define "main"}}<h1>Hello</h1>{{end}}`)}}},
		"folder that is not there":          {Directory: os.DirFS(filepath.Join(t.TempDir(), "pages"))},
		"layout does not parse":             {Directory: fstest.MapFS{"layout.html": {Data: []byte(`{{`)}}},
	} {
		if pages, err := New(o); !errors.Is(err, ErrOptions) || pages != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOperatorsOwnPage(t *testing.T) {
	pages := newPages(t, Options{Directory: fstest.MapFS{"signed-out.html": {Data: []byte(`{{define "main"}}<h1>Bye {{.SignInURL}}</h1>{{end}}`)}}})
	if html := render(t, pages, "en", SignedOutPage{SignInURL: "<b>"}); !strings.Contains(html, "<h1>Bye &lt;b&gt;</h1>") || !strings.Contains(html, "<header") {
		t.Error(html)
	}
	if html := render(t, pages, "en", samples()["sign-in"]); !strings.Contains(html, `id="send-link"`) {
		t.Error("the other pages are ours")
	}
}

// Whoever is shown an error is told what happened and where to go on.
func TestNoticesAreDistinct(t *testing.T) {
	pages := newPages(t, Options{})
	for _, lang := range Locales() {
		seen := map[string]string{}
		for _, code := range []string{"no_passkey", "cancelled", "link_expired", "link_used", "link_replaced", "link_malformed", "link_elsewhere",
			"too_many", "unavailable", "expired_flow", "wrong_account", "invalid", "reauthentication_required", "unknown_credential",
			"backup_eligibility_changed", "passkey_unreadable",
			"cookies_refused", "handoff_failed", "handoff_lost", "not_found", "forbidden", "internal", "sign_up_closed", "email_invalid", "cross_origin",
			"code_wrong", "code_spent", "code_sent", "step_up_other", "step_up_elsewhere",
			"phone_invalid", "phone_verified", "phone_removed"} {
			text := pages.Text(lang, code)
			if text == "" || seen[text] != "" {
				t.Errorf("%s in %s reads as %s: %q", code, lang, seen[text], text)
			}
			seen[text] = code
		}
	}
	if pages.Text("en", "no such code") != pages.Text("en", "internal") {
		t.Error("an unknown code needs the text of an unexpected error")
	}
	if html := render(t, pages, "en", ErrorPage{Code: "too_many", RetryAfter: 150}); !strings.Contains(html, "Try again in 3 minutes.") {
		t.Error("the page does not say when to try again")
	}
	if html := render(t, pages, "en", SignInPage{Error: "cancelled"}); !strings.Contains(html, `class="notice quiet" role="status"`) {
		t.Error("cancelling is no error")
	}
}

func TestDeviceName(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                         "Chrome · Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1": "Safari · iPhone",
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":        "Samsung Internet · Android",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                  "Firefox · Linux",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":     "Edge · macOS",
		"curl/8.5.0":              "curl/8.5.0",
		"Ada's phone":             "Ada's phone",
		"":                        "",
		strings.Repeat("é", 1000): strings.Repeat("é", 79) + "…",
	} {
		if got := deviceName(agent); got != want {
			t.Errorf("%q is %q, not %q", agent, got, want)
		}
	}
}

func BenchmarkRenderSignIn(b *testing.B) {
	pages := newPages(b, Options{})
	page := samples()["sign-in"]
	b.ReportAllocs()
	for b.Loop() {
		_ = render(b, pages, "de-AT,de;q=0.9,en;q=0.5", page)
	}
}

// Operators who write pages of their own find every field of every page in the documentation, and its example is a page.
func TestPagesAreDocumented(t *testing.T) {
	raw, err := os.ReadFile("../docs/templates.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	section := func(title string) string {
		_, rest, found := strings.Cut(text, "### `"+title+"`\n")
		if !found {
			t.Errorf("%s is not documented", title)
		}
		rest, _, _ = strings.Cut(rest, "\n### ")
		return rest
	}
	check := func(title string, of reflect.Type) {
		documented := section(title)
		if of.NumField() != strings.Count(documented, "\n| `") {
			t.Errorf("%s has %d fields, %d are documented", title, of.NumField(), strings.Count(documented, "\n| `"))
		}
		for i := range of.NumField() {
			if !strings.Contains(documented, "| `"+of.Field(i).Name+"` | `") {
				t.Errorf("%s: %s is not documented", title, of.Field(i).Name)
			}
		}
	}
	for _, page := range allPages {
		check(page.page()+".html", reflect.TypeOf(page))
	}
	for title, row := range map[string]any{"Person": Person{}, "PasskeyRow": PasskeyRow{}, "SessionRow": SessionRow{}} {
		check(title, reflect.TypeOf(row))
	}
	_, example, _ := strings.Cut(text, "```html\n")
	example, _, _ = strings.Cut(example, "```")
	pages := newPages(t, Options{Branding: Branding{Name: "Example Corp"}, Directory: fstest.MapFS{"signed-out.html": {Data: []byte(example)}}})
	if html := render(t, pages, "en", SignedOutPage{}); !strings.Contains(html, "See you soon at Example Corp.") || !strings.Contains(html, `href="/auth/sign-in"`) {
		t.Errorf("the example renders %s", html)
	}
	for name := range new(Pages).functions("en") {
		if !strings.Contains(text, "`"+name) {
			t.Errorf("the function %s is not documented", name)
		}
	}
}
