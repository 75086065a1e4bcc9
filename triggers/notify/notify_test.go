package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/templates"
	"github.com/caddy-cognito/passwordless/triggers/notify"
)

type users map[string]notify.User

func (u users) User(_ context.Context, name string) (notify.User, error) {
	if name == "broken" {
		return notify.User{}, errors.New("unreachable")
	}
	v, ok := u[name]
	if !ok {
		return v, notify.ErrUserNotFound
	}
	return v, nil
}

type outbox struct {
	mails []notify.Mail
	err   error
}

func (o *outbox) Send(_ context.Context, m notify.Mail) error {
	if o.err != nil {
		return o.err
	}
	o.mails = append(o.mails, m)
	return nil
}

func handler(o *outbox) *notify.Handler {
	return &notify.Handler{
		Users: users{
			"alice": {Email: "alice@example.com", EmailVerified: "true", Locale: "de"},
			"bob":   {Email: "bob@example.com", EmailVerified: "false"},
			"carol": {EmailVerified: "true"},
		},
		Mailer: o, Product: "Example",
		Content: func(locale string, d templates.PasskeyMailData) (templates.Message, error) {
			return templates.Message{Subject: locale + " " + d.Product, Text: d.Event + " " + d.FriendlyName}, nil
		},
	}
}

func TestNotification(t *testing.T) {
	for what, want := range map[string]string{"FIDO2_CREDENTIAL_CREATED": "created My key", "FIDO2_CREDENTIAL_DELETED": "deleted My key"} {
		var e notify.Event
		if err := json.Unmarshal([]byte(`{"cognitoUsername":"alice","friendlyName":"My key","eventType":"`+what+`"}`), &e); err != nil {
			t.Fatal(err)
		}
		o := &outbox{}
		if err := handler(o).Handle(context.Background(), e); err != nil {
			t.Fatal(err)
		}
		if len(o.mails) != 1 || o.mails[0].To != "alice@example.com" || o.mails[0].Text != want || o.mails[0].Subject != "de Example" {
			t.Errorf("%+v", o.mails)
		}
	}
}

// A phone number was changed, then removed: its owner reads so, in their language, with no more of it than two digits.
func TestNotificationOfAPhone(t *testing.T) {
	for what, want := range map[string]string{
		`"PHONE_NUMBER_CHANGED","lastDigits":"78"`: "auf 78 endet", `"PHONE_NUMBER_REMOVED"`: "Telefonnummer entfernt",
	} {
		var e notify.Event
		if err := json.Unmarshal([]byte(`{"cognitoUsername":"alice","eventType":`+what+`}`), &e); err != nil {
			t.Fatal(err)
		}
		o := &outbox{}
		if err := handler(o).Handle(context.Background(), e); err != nil {
			t.Fatal(err)
		}
		if len(o.mails) != 1 || o.mails[0].To != "alice@example.com" || !strings.Contains(o.mails[0].Text, want) || !strings.Contains(o.mails[0].HTML, want) {
			t.Errorf("%+v", o.mails)
		}
	}
	o := &outbox{}
	whole := notify.Event{CognitoUsername: "alice", EventType: notify.PhoneChanged, LastDigits: "+4915112345678"}
	if err := handler(o).Handle(context.Background(), whole); err == nil || strings.Contains(err.Error(), "5678") || len(o.mails) != 0 {
		t.Errorf("a whole number: %v, %d mails", err, len(o.mails))
	}
}

// Defect 5: the notification went to unverified addresses, for "false" counted as true.
func TestNoNotificationToUnverifiedAddresses(t *testing.T) {
	for _, name := range []string{"bob", "carol", "gone"} {
		o := &outbox{}
		if err := handler(o).Handle(context.Background(), notify.Event{CognitoUsername: name, EventType: notify.CredentialCreated}); err != nil || len(o.mails) != 0 {
			t.Errorf("%s: %v, %d mails", name, err, len(o.mails))
		}
	}
}

// Defect 5: the passkey's name stood unescaped in HTML. Escaping is the template's; what could break lines or turn text around never
// gets there.
func TestFriendlyNameIsCleaned(t *testing.T) {
	o := &outbox{}
	e := notify.Event{CognitoUsername: "alice", EventType: notify.CredentialCreated, FriendlyName: "a\r\nBcc: eve\u202e\x00" + strings.Repeat("x", 1000)}
	if err := handler(o).Handle(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(o.mails[0].Text, "created ")
	if !strings.HasPrefix(name, "aBcc: evex") || len([]rune(name)) != 256 {
		t.Errorf("name %q", name)
	}
}

// The mail as it comes: the name cannot become markup.
func TestFriendlyNameIsEscapedInTheMail(t *testing.T) {
	o := &outbox{}
	h := handler(o)
	h.Content = nil
	e := notify.Event{CognitoUsername: "alice", EventType: notify.CredentialDeleted, FriendlyName: `<img src=x onerror=alert(1)>`}
	if err := h.Handle(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(o.mails[0].HTML, "<img src=x") {
		t.Errorf("markup in %s", o.mails[0].HTML)
	}
}

func TestErrors(t *testing.T) {
	for name, e := range map[string]notify.Event{
		"unknown event": {CognitoUsername: "alice", EventType: "X"}, "no user": {EventType: notify.CredentialCreated},
		"directory unreachable": {CognitoUsername: "broken", EventType: notify.CredentialCreated},
	} {
		if err := handler(&outbox{}).Handle(context.Background(), e); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	o := &outbox{err: errors.New("throttled")}
	if err := handler(o).Handle(context.Background(), notify.Event{CognitoUsername: "alice", EventType: notify.CredentialCreated}); !errors.Is(err, o.err) {
		t.Errorf("refused mail: %v", err)
	}
}
