package ses_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sesv2"

	"github.com/caddy-cognito/passwordless/triggers/aws/account"
	"github.com/caddy-cognito/passwordless/triggers/aws/awstest"
	"github.com/caddy-cognito/passwordless/triggers/aws/ses"
	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/notify"
)

// The mailers of both triggers that mail.
var (
	_ create.Mailer = (*ses.Mailer[create.Mail])(nil)
	_ notify.Mailer = (*ses.Mailer[notify.Mail])(nil)
)

func mailer(t *testing.T, url string) *ses.Mailer[create.Mail] {
	t.Helper()
	env := map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_ENDPOINT_URL_SESV2": url,
	}
	a, err := account.New(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	return &ses.Mailer[create.Mail]{Client: sesv2.NewFromConfig(a.Messages("SESV2", "")), From: "Beispiel GmbH <no-reply@example.com>"}
}

func TestMail(t *testing.T) {
	local := awstest.StartSES(t)
	m := mailer(t, local.URL)
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	const html = `<p>Grüße, <a href="https://example.com/#eyJ.x">hier</a> &amp; 日本語</p>`
	if err := m.Send(t.Context(), create.Mail{To: "alice+tag@example.com", Subject: "Anmelden – サインイン", Text: "Grüße", HTML: html}); err != nil {
		t.Fatal(err)
	}
	mails := local.Mails(t)
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	got := mails[0]
	if len(got.Destination.To) != 1 || got.Destination.To[0] != "alice+tag@example.com" || len(got.Destination.Cc)+len(got.Destination.Bcc) != 0 {
		t.Errorf("to %+v", got.Destination)
	}
	if got.From != m.From || got.Subject != "Anmelden – サインイン" || got.Body.Text != "Grüße" || got.Body.HTML != html {
		t.Errorf("mail %+v", got)
	}
}

// Nobody but the one recipient gets a mail, whatever stands in a user's address or a mail's subject; and the error is fit for a log.
func TestNoOtherRecipients(t *testing.T) {
	local := awstest.StartSES(t)
	m := mailer(t, local.URL)
	for _, to := range []string{
		"", "alice", "a@example.com, eve@example.net", "a@example.com\r\nBcc: eve@example.net", "Eve <eve@example.net>", "<a@example.com>",
		"a@example.com;eve@example.net", "group: eve@example.net;", " a@example.com",
	} {
		if err := m.Send(t.Context(), create.Mail{To: to, Subject: "x", Text: "x", HTML: "x"}); err == nil || to != "" && strings.Contains(err.Error(), to) {
			t.Errorf("%q: %v", to, err)
		}
	}
	if err := m.Send(t.Context(), create.Mail{To: "a@example.com", Subject: "x\r\nBcc: eve@example.net", Text: "x", HTML: "x"}); err == nil {
		t.Error("a subject with a second line went out")
	}
	if mails := local.Mails(t); len(mails) != 0 {
		t.Errorf("sent %+v", mails)
	}
}

func TestSender(t *testing.T) {
	for _, from := range []string{"", "example.com", "a@example.com\r\nBcc: eve@example.net", "a@example.com, b@example.com"} {
		m := mailer(t, "http://127.0.0.1")
		if m.From = from; m.Validate() == nil {
			t.Errorf("%q is a sender", from)
		}
	}
}
