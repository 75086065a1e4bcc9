// Package notify mails a person when a passkey was added to or removed from their account, or their phone number changed.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-cognito/passwordless/templates"
)

// The values of Event.EventType.
const (
	CredentialCreated = "FIDO2_CREDENTIAL_CREATED"
	CredentialDeleted = "FIDO2_CREDENTIAL_DELETED"
	PhoneChanged      = "PHONE_NUMBER_CHANGED" // or added
	PhoneRemoved      = "PHONE_NUMBER_REMOVED"
)

// maxFriendlyName bounds the passkey's name in the mail, in characters.
const maxFriendlyName = 256

// Event is what the FIDO2 API and the account page send, asynchronously.
type Event struct {
	CognitoUsername string `json:"cognitoUsername"`
	FriendlyName    string `json:"friendlyName"` // written by the user or whoever acts for them
	EventType       string `json:"eventType"`
	LastDigits      string `json:"lastDigits,omitempty"` // the last two of a number that was changed
}

// ErrUserNotFound says that a user is gone. Nothing is sent.
var ErrUserNotFound = errors.New("user not found")

// User is whom to tell.
type User struct {
	Email string
	// EmailVerified is the attribute as Cognito has it: only "true" counts.
	EmailVerified string
	Locale        string
}

// Users finds the person behind a name. ErrUserNotFound.
type Users interface {
	User(ctx context.Context, username string) (User, error)
}

// Mail is one message to one person.
type Mail struct {
	To      string
	Locale  string
	Subject string
	Text    string
	HTML    string
}

// Mailer hands a mail over for delivery. After an error the event is delivered again (Lambda does so twice).
type Mailer interface {
	Send(ctx context.Context, m Mail) error
}

// Handler answers events of the FIDO2 API.
type Handler struct {
	Users   Users
	Mailer  Mailer
	Product string
	// Content writes the mail; nil: [templates.PasskeyMail].
	Content func(locale string, d templates.PasskeyMailData) (templates.Message, error)
	// PhoneContent writes the mail about a phone number; nil: [templates.PhoneMail].
	PhoneContent func(locale string, d templates.PhoneMailData) (templates.Message, error)
	Logger       *slog.Logger // nil: no logs
}

// Handle mails to the user's verified address. Without one nothing is sent, and that is no error.
func (h *Handler) Handle(ctx context.Context, e Event) error {
	write, ok := map[string]func(locale string) (templates.Message, error){
		CredentialCreated: func(locale string) (templates.Message, error) { return h.passkeyMail(locale, "created", e) },
		CredentialDeleted: func(locale string) (templates.Message, error) { return h.passkeyMail(locale, "deleted", e) },
		PhoneChanged:      func(locale string) (templates.Message, error) { return h.phoneMail(locale, "changed", e) },
		PhoneRemoved:      func(locale string) (templates.Message, error) { return h.phoneMail(locale, "removed", e) },
	}[e.EventType]
	if !ok {
		return fmt.Errorf("notify: unknown event type %q", clean(e.EventType))
	}
	if e.CognitoUsername == "" {
		return errors.New("notify: the event names no user")
	}
	u, err := h.Users.User(ctx, e.CognitoUsername)
	switch {
	case errors.Is(err, ErrUserNotFound):
		h.skip(ctx, "the user is gone")
		return nil
	case err != nil:
		return fmt.Errorf("notify: finding the user: %w", err)
	case u.Email == "" || u.EmailVerified != "true":
		h.skip(ctx, "the user has no verified address")
		return nil
	}
	m, err := write(u.Locale)
	if err != nil {
		return fmt.Errorf("notify: writing the mail: %w", err)
	}
	if err := h.Mailer.Send(ctx, Mail{To: u.Email, Locale: u.Locale, Subject: m.Subject, Text: m.Text, HTML: m.HTML}); err != nil {
		return fmt.Errorf("notify: sending the mail: %w", err)
	}
	return nil
}

func (h *Handler) passkeyMail(locale, what string, e Event) (templates.Message, error) {
	content := h.Content
	if content == nil {
		content = templates.PasskeyMail
	}
	return content(locale, templates.PasskeyMailData{Product: h.Product, Event: what, FriendlyName: clean(e.FriendlyName)})
}

func (h *Handler) phoneMail(locale, what string, e Event) (templates.Message, error) {
	content := h.PhoneContent
	if content == nil {
		content = templates.PhoneMail
	}
	return content(locale, templates.PhoneMailData{Product: h.Product, Event: what, Digits: e.LastDigits})
}

func (h *Handler) skip(ctx context.Context, why string) {
	if h.Logger != nil {
		h.Logger.LogAttrs(ctx, slog.LevelInfo, "no notification: "+why, slog.String("trigger", "notify"))
	}
}

// clean drops what could break a line, turn text around or fill a page.
func clean(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name)
	if runes := []rune(name); len(runes) > maxFriendlyName {
		name = string(runes[:maxFriendlyName])
	}
	return name
}
