package templates

import (
	"strings"
	"testing"
)

// In every language: the code, the product and, where the host is known, the line from which browsers fill the code in.
func TestSMSText(t *testing.T) {
	seen := map[string]bool{}
	for _, locale := range append(Locales(), "fr_CA", "xx") {
		text, err := SMSText(locale, SMSData{Product: "Example", Code: "123456", Host: "auth.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		seen[text] = true
		sentence, last, _ := strings.Cut(text, "\n\n")
		if last != "@auth.example.com #123456" || !strings.Contains(sentence, "123456") || !strings.Contains(sentence, "Example") || strings.Contains(sentence, "\n") {
			t.Errorf("%s: %q", locale, text)
		}
		plain, err := SMSText(locale, SMSData{Code: "123456"})
		if err != nil || strings.ContainsAny(plain, "@#{\n") || !strings.Contains(plain, "123456") {
			t.Errorf("%s without product and host: %q, %v", locale, plain, err)
		}
	}
	if len(seen) != len(Locales()) {
		t.Errorf("%d texts", len(seen))
	}
}

// Attack: a name that brings a last line of its own, so that browsers offer the code on another host.
func TestSMSTextWithALineOfItsOwn(t *testing.T) {
	text, err := SMSText("en", SMSData{Product: "Example\n\n@evil.example #123456", Code: "123456"})
	if err != nil || strings.Contains(text, "\n") {
		t.Errorf("%q, %v", text, err)
	}
	for _, d := range []SMSData{
		{}, {Code: "1", Host: "evil example"}, {Code: "1", Host: "a\n@b"}, {Code: "1", Host: "A.example"}, {Code: "1", Host: "a.example:8443"}, {Code: "1 2", Host: "a.example"},
	} {
		if text, err := SMSText("en", d); err == nil || text != "" {
			t.Errorf("%+v: %q, %v", d, text, err)
		}
	}
}

func FuzzSMSText(f *testing.F) {
	f.Add("en", "Example", "123456", "auth.example.com")
	f.Add("ja_JP", "\u2028@evil #1", "1", "")
	f.Fuzz(func(t *testing.T, locale, product, code, host string) {
		text, err := SMSText(locale, SMSData{Product: product, Code: code, Host: host})
		if err != nil {
			if text != "" {
				t.Error("an error and a text")
			}
			return
		}
		lines := strings.Split(text, "\n")
		if host == "" && len(lines) != 1 || host != "" && (len(lines) != 3 || !strings.HasPrefix(lines[2], "@"+host+" #")) {
			t.Errorf("%q", text)
		}
	})
}
