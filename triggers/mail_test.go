package triggers_test

import (
	"html"
	"strings"
	"testing"
	"time"
)

// The mail as it comes: the whole link, query included, in text and HTML.
func TestMailCarriesTheLink(t *testing.T) {
	p := newPool(t)
	p.create.MagicLink.Content = nil
	p.create.MagicLink.Lifetime = 10 * time.Minute
	p.users[alice]["locale"] = "de-DE"
	metadata := map[string]string{"signInMethod": "MAGIC_LINK", "redirectUri": "https://auth.example.com/auth/link?flow=a-_b&x=1"}
	if err := p.initiate(alice).challenge(metadata, 1); err != nil {
		t.Fatal(err)
	}
	m := p.outbox.mails[0]
	start := strings.Index(m.Text, "https://auth.example.com/auth/link?flow=a-_b&x=1#")
	if start < 0 || m.Subject == "" || m.Locale != "de-DE" {
		t.Fatalf("subject %q, locale %q, text %s", m.Subject, m.Locale, m.Text)
	}
	link := strings.Fields(m.Text[start:])[0]
	if !strings.Contains(html.UnescapeString(m.HTML), `"`+link+`"`) {
		t.Errorf("the HTML part has no such link: %s", m.HTML)
	}
	_, fragment, _ := strings.Cut(link, "#")
	p.now = p.now.Add(10 * time.Minute)
	if !p.initiate(alice).answer(fragment, bringLink) {
		t.Error("the link of the mail does not pass in its last second")
	}
}
