package templates

import (
	"net/mail"
	"strings"
	"testing"
	"time"
)

const link = "https://auth.example.com/auth/link?flow=f1&x=2#eyJ1c2VyTmFtZSI6ImFkYSJ9.c2ln"

func TestMails(t *testing.T) {
	seen := map[string]bool{}
	for _, locale := range append(Locales(), "de_AT", "pt", "") {
		m, err := MagicLinkMail(locale, MagicLinkData{Product: "Example", Link: link, Host: "auth.example.com", ValidFor: 15 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		seen[m.Subject] = true
		if !strings.Contains(m.Text, "\n"+link+"\n") || !strings.Contains(m.Text, "15") || !strings.Contains(m.Text, "auth.example.com") {
			t.Errorf("%s: %s", locale, m.Text)
		}
		if !strings.Contains(m.HTML, `href="https://auth.example.com/auth/link?flow=f1&amp;x=2#eyJ1c2VyTmFtZSI6ImFkYSJ9.c2ln"`) {
			t.Errorf("%s: the link is not in %s", locale, m.HTML)
		}
		for _, event := range []string{"created", "deleted"} {
			m, err := PasskeyMail(locale, PasskeyMailData{Product: "Example", Event: event, FriendlyName: "Blue key"})
			if err != nil {
				t.Fatal(err)
			}
			seen[m.Subject] = true
			if !strings.Contains(m.Text, "Blue key") || !strings.Contains(m.HTML, "Blue key") || !strings.Contains(m.Subject, "Example") {
				t.Errorf("%s %s: %+v", locale, event, m)
			}
		}
		for event, digits := range map[string]string{"changed": "78", "removed": ""} {
			m, err := PhoneMail(locale, PhoneMailData{Product: "Example", Event: event, Digits: digits})
			if err != nil {
				t.Fatal(err)
			}
			seen[m.Subject] = true
			if !strings.Contains(m.Text, digits) || !strings.Contains(m.HTML, digits) || !strings.Contains(m.Subject, "Example") || strings.Contains(m.Text+m.HTML, "<no value>") {
				t.Errorf("%s %s: %+v", locale, event, m)
			}
		}
	}
	if len(seen) != 5*len(Locales()) {
		t.Errorf("%d subjects", len(seen))
	}
}

// Attack (WIRE section 7, 2): a redirect address with markup in it, mailed to the victim.
func TestLinkWithMarkup(t *testing.T) {
	for _, attack := range []string{
		`https://allowed.example/"><img src=x>#a.b`, `https://allowed.example/'onmouseover='x#a.b`, "javascript:alert(1)//#a.b", "data:text/html,<script>x</script>",
	} {
		for _, locale := range Locales() {
			m, err := MagicLinkMail(locale, MagicLinkData{Product: `<b>"Corp"</b>`, Link: attack, Host: "<i>evil</i>", ValidFor: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			for _, bad := range []string{"<img", "<script", "<i>", "<b>", `href="javascript`, `href="data`, `'onmouseover`} {
				if strings.Contains(m.HTML, bad) {
					t.Errorf("%s: %s is in the mail: %s", locale, bad, m.HTML)
				}
			}
		}
	}
}

// Attack: a name that begins a mail header or a line of its own.
func TestHeaderInjection(t *testing.T) {
	m, err := PasskeyMail("en", PasskeyMailData{Product: "Example\r\nBcc: evil@example.com", Event: "created", FriendlyName: "key\r\n\r\nVisit evil.example\u202e <script>"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(m.Subject, "\r\n") || strings.Contains(m.Text, "\nVisit") || strings.Contains(m.HTML, "<script>") || strings.Contains(m.Text, "\u202e") {
		t.Errorf("%+v", m)
	}
	if parsed, err := mail.ReadMessage(strings.NewReader("Subject: " + m.Subject + "\r\n\r\n")); err != nil || len(parsed.Header) != 1 {
		t.Errorf("%v %v", parsed, err)
	}
}

// A code is shown with the host where it may be entered, in every language; without a code nothing speaks of one.
func TestMailWithCode(t *testing.T) {
	for _, locale := range Locales() {
		d := MagicLinkData{Product: "Example", Link: link, Host: "auth.example.com", ValidFor: 15 * time.Minute}
		without, err := MagicLinkMail(locale, d)
		if err != nil {
			t.Fatal(err)
		}
		d.Code = "ABCD-2345"
		m, err := MagicLinkMail(locale, d)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(m.Text, "\nABCD-2345\n") || !strings.Contains(m.HTML, ">ABCD-2345<") || m.Subject != without.Subject {
			t.Errorf("%s: %s", locale, m.Text)
		}
		if n := strings.Count(m.Text, "auth.example.com"); n != strings.Count(without.Text, "auth.example.com")+1 {
			t.Errorf("%s: the host of the code is missing: %s", locale, m.Text)
		}
		if strings.Contains(without.Text, "ABCD") || strings.Contains(without.Text, "\n\n\n") || strings.Contains(m.Text, "\n\n\n") {
			t.Errorf("%s: %q", locale, without.Text)
		}
	}
	if m, err := MagicLinkMail("en", MagicLinkData{Link: link, Code: "ABCD-2345"}); err == nil || m != (Message{}) {
		t.Error("a code without the host where it may be entered")
	}
}

func TestMailRefuses(t *testing.T) {
	if m, err := MagicLinkMail("en", MagicLinkData{Product: "Example"}); err == nil || m != (Message{}) {
		t.Error("a mail without a link")
	}
	if m, err := PasskeyMail("en", PasskeyMailData{Event: "changed"}); err == nil || m != (Message{}) {
		t.Error("a mail about an unknown event")
	}
	for name, d := range map[string]PhoneMailData{
		"about an unknown event": {Event: "verified", Digits: "78"}, "with a whole number": {Event: "changed", Digits: "+4915112345678"},
		"with no digits": {Event: "changed", Digits: "<b"}, "with none of the number": {Event: "changed"},
	} {
		if m, err := PhoneMail("en", d); err == nil || m != (Message{}) {
			t.Errorf("a mail %s", name)
		}
	}
}

func FuzzMagicLinkMail(f *testing.F) {
	f.Add("en", link, "Example")
	f.Add("ja", "https://a/\"><img src=x>", "<b>")
	f.Add("", "\r\n.", "\u202e")
	f.Fuzz(func(t *testing.T, locale, link, product string) {
		m, err := MagicLinkMail(locale, MagicLinkData{Product: product, Link: link})
		if err != nil {
			return
		}
		if strings.ContainsAny(m.Subject, "\r\n") {
			t.Errorf("subject %q", m.Subject)
		}
		if n := strings.Count(m.HTML, "<a "); n != 2 {
			t.Errorf("%d links", n)
		}
	})
}
