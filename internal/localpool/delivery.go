package localpool

import (
	"context"

	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/notify"
)

// Mail is one message to one person.
type Mail struct {
	From    string
	To      string // one bare address
	Locale  string // BCP 47; may be empty
	Subject string
	Text    string
	HTML    string
}

// Text is one SMS.
type Text struct {
	To   string // E.164
	Body string
}

// Mailer hands a mail over for delivery.
type Mailer interface {
	SendMail(ctx context.Context, m Mail) error
}

// Texter hands an SMS over for delivery.
type Texter interface {
	SendText(ctx context.Context, t Text) error
}

type createMailer struct {
	Mailer
	from string
}

// Send implements [create.Mailer].
func (m createMailer) Send(ctx context.Context, c create.Mail) error {
	return m.SendMail(ctx, Mail{From: m.from, To: c.To, Locale: c.Locale, Subject: c.Subject, Text: c.Text, HTML: c.HTML})
}

type notifyMailer struct {
	Mailer
	from string
}

// Send implements [notify.Mailer].
func (m notifyMailer) Send(ctx context.Context, n notify.Mail) error {
	return m.SendMail(ctx, Mail{From: m.from, To: n.To, Locale: n.Locale, Subject: n.Subject, Text: n.Text, HTML: n.HTML})
}

type createTexter struct{ Texter }

// Send implements [create.Texter].
func (t createTexter) Send(ctx context.Context, c create.Text) error {
	return t.SendText(ctx, Text{To: c.To, Body: c.Body})
}

// mailer is the configured one, or the inbox.
func (p *Pool) mailer(s *settings) Mailer {
	if s.Mailer != nil {
		return s.Mailer
	}
	return p.inbox
}

// texter is the configured one, or the inbox.
func (p *Pool) texter(s *settings) Texter {
	if s.Texter != nil {
		return s.Texter
	}
	return p.inbox
}

// PasskeyChanged tells a user by mail that a passkey was added or removed. event is "created" or "deleted". A user without a verified
// address gets nothing, and that is no error.
func (p *Pool) PasskeyChanged(ctx context.Context, username, event, friendlyName string) error {
	kind := map[string]string{"created": notify.CredentialCreated, "deleted": notify.CredentialDeleted}[event]
	return p.notify(ctx, notify.Event{CognitoUsername: username, FriendlyName: friendlyName, EventType: kind})
}

// PhoneChanged tells a user by mail that the phone number was "changed", and to one with which last two digits, or "removed", as
// [Pool.PasskeyChanged] does of passkeys.
func (p *Pool) PhoneChanged(ctx context.Context, username, event, lastDigits string) error {
	kind := map[string]string{"changed": notify.PhoneChanged, "removed": notify.PhoneRemoved}[event]
	return p.notify(ctx, notify.Event{CognitoUsername: username, LastDigits: lastDigits, EventType: kind})
}

func (p *Pool) notify(ctx context.Context, e notify.Event) error {
	s := p.current.Load()
	h := notify.Handler{Users: &triggerStore{pool: p}, Mailer: notifyMailer{p.mailer(s), s.From}, Product: s.Product, Logger: s.Logger}
	return h.Handle(ctx, e)
}
