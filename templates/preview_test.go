package templates

import (
	"html/template"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

var morning = time.Date(2026, 3, 14, 9, 26, 0, 0, time.UTC)

// samples are pages as people see them, by the name that the preview shows them under.
func samples() map[string]Page {
	rows := []PasskeyRow{
		{ID: "AAECAwQ", Name: "iCloud Keychain", Provider: "iCloud Keychain", Synced: true, Created: morning.AddDate(0, -3, 0), LastUsed: morning},
		{ID: "BQYHCAk", Name: "Blue key on the ring", Provider: "YubiKey 5 Series", Created: morning.AddDate(0, -1, 0)},
	}
	sessions := []SessionRow{
		{ID: "s1", Device: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1", Address: "203.0.113.7", Started: morning.Add(-time.Hour), Seen: morning, Current: true},
		{ID: "s2", Device: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", Address: "2001:db8::7", Started: morning.AddDate(0, 0, -2), Seen: morning.AddDate(0, 0, -1)},
	}
	account := AccountPage{
		Email: "ada@example.com", Username: "ada", Passkeys: rows, Sessions: sessions, RelyingPartyID: "localhost", UserHandle: "u|ada",
		Applications: []string{"https://app.example.com", "https://*.tools.example.com"},
	}
	account.PhoneOffered, account.Phone, account.PhoneVerified = true, "+*******5678", true
	bare := account
	bare.Phone, bare.PhoneVerified = "", false
	bare.Passkeys, bare.Suggest, bare.Notice = nil, true, "session_ended"
	return map[string]Page{
		"sign-in":        SignInPage{Flow: "f1", Application: "app.example.com", SignUp: true},
		"sign-in-error":  SignInPage{Flow: "f1", Email: "ada@example.com", Error: "unavailable", Reference: "0190a7c2-55f1"},
		"sign-in-people": SignInPage{Flow: "f1", People: []Person{{Email: "ada@example.com", Passkey: true}, {Email: "a-rather-long-address-of-somebody@department.example.com"}}},
		"check-mail":     CheckMailPage{Flow: "f1", Email: "ada@example.com", ResendAfter: 42},
		"check-again":    CheckMailPage{Flow: "f1", Email: "ada@example.com", Notice: "link_sent"},
		"check-step-up":  CheckMailPage{Flow: "f1", Email: "ada@example.com", ResendAfter: 42, StepUp: true},
		"check-code":     CheckMailPage{Flow: "f1", Email: "ada@example.com", ResendAfter: 42, Code: true},
		"step-up":        StepUpPage{Flow: "f1", Application: "app.example.com", Account: "ada@example.com", Passkey: true, SMS: true, Link: true},
		"step-up-link":   StepUpPage{Flow: "f1", Account: "ada@example.com", Link: true, Instead: true, Error: "unavailable", Reference: "0190a7c2"},
		"step-up-action": StepUpPage{Flow: "f1", Account: "ada@example.com", Application: "app.example.com", Method: "DELETE", Target: "/orders/17?copies=2", Passkey: true},
		"step-up-report": StepUpPage{Flow: "f1", Account: "ada@example.com", Application: "app.example.com", Method: "REPORT", Target: "/orders", SMS: true},
		"link-action":    LinkPage{Flow: "f1", Email: "ada@example.com", SameBrowser: true, Application: "app.example.com", Method: "POST", Target: "/transfer"},
		"step-up-none":   StepUpPage{Flow: "f1", Application: "app.example.com", Account: "ada@example.com"},
		"link":           LinkPage{Flow: "f1", Email: "ada@example.com", SameBrowser: true},
		"link-other":     LinkPage{Flow: "f1", Email: "ada@example.com", Current: "grace@example.com"},
		"link-expired":   LinkPage{Flow: "f1", Email: "ada@example.com", Error: "link_expired"},
		"link-kept":      LinkPage{Flow: "f1", Email: "ada@example.com", SameBrowser: true, Error: "unavailable", Link: "a.b", Reference: "0190a7c2-55f1", RetryAfter: 5},
		"account":        account,
		"account-bare":   bare,
		"sign-out":       SignOutPage{Email: "ada@example.com", Flow: "f1"},
		"signed-out":     SignedOutPage{SignInURL: "/auth/sign-in"},
		"pass-on":        PassOnPage{Next: "https://app.example.com/auth/handoff#c0de"},
		"handoff":        HandoffPage{},
		"send-again":     SendAgainPage{Target: "app.example.com/orders", Action: "/orders?passwordless_kept=x", DiscardURL: "/"},
		"error":          ErrorPage{Status: 429, Code: "too_many", Reference: "0190a7c2-55f1", RetryAfter: 150, ActionURL: "/auth/"},
		"framed":         ErrorPage{Status: 401, Code: "framed", ActionURL: "https://app.example.com/reports", Action: "open", NewTab: true},
		"form-unsent":    ErrorPage{Status: 401, Code: "form_unsent", Reference: "0190a7c2-55f1", ActionURL: "/auth/sign-in", Action: "sign_in", NewTab: true},
		"error-unknown":  ErrorPage{Status: 500, Code: "no such code"},
		"forbidden":      ForbiddenPage{Email: "ada@example.com", SignOutURL: "/auth/sign-out", Reference: "0190a7c2-55f1"},
	}
}

// policy is what the portal sends with every page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

var sheet = template.Must(template.New("").Parse(`<!doctype html><meta name="color-scheme" content="light dark"><body>
{{range .p}}<iframe src="/{{.}}?lang={{index $.lang 0}}" width="{{index $.width 0}}" height="{{index $.height 0}}" frameborder="1"></iframe>
{{end}}`))

// TestPreview serves all samples for the eye when TEMPLATES_PREVIEW names an address, at /<sample>?lang=de, until it is stopped.
func TestPreview(t *testing.T) {
	address := os.Getenv("TEMPLATES_PREVIEW")
	if address == "" {
		t.Skip("set TEMPLATES_PREVIEW=localhost:8099 and -timeout 0 to look at the pages")
	}
	pages := newPages(t, Options{Branding: Branding{Name: "Example Corp", Accent: os.Getenv("TEMPLATES_ACCENT")}})
	mux := http.NewServeMux()
	mux.Handle("/auth/assets/", http.StripPrefix("/auth/assets", pages.Assets()))
	mux.HandleFunc("/sheet", func(w http.ResponseWriter, r *http.Request) { // several samples side by side: /sheet?p=link&p=error&width=390&height=844
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = sheet.Execute(w, r.URL.Query())
	})
	mux.HandleFunc("/mail", func(w http.ResponseWriter, r *http.Request) {
		m, err := MagicLinkMail(r.FormValue("lang"), MagicLinkData{Product: "Example Corp", Link: "https://auth.example.com/auth/link?flow=f1#" + strings.Repeat("a1B2", 90), Host: "auth.example.com", ValidFor: 15 * time.Minute})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte(m.HTML))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		page, ok := samples()[r.URL.Path[1:]]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Security-Policy", strings.Replace(policy, "ancestors 'none'", "ancestors 'self'", 1))
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := pages.Render(w, r.FormValue("lang"), page); err != nil {
			t.Error(err)
		}
	})
	t.Fatal(http.ListenAndServe(address, mux))
}

func newPages(t testing.TB, o Options) *Pages {
	t.Helper()
	pages, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

func get(h http.Handler, path string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header = header
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
