package templates

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"math"
	"strings"
	"sync"
	texttemplate "text/template"
	"time"
	"unicode"
)

//go:embed mail/*.txt mail/*.html
var mailFiles embed.FS

// Message is one mail, without addresses.
type Message struct {
	Subject string // one line
	Text    string
	HTML    string
}

// MagicLinkData is what the mail with a sign-in link tells.
type MagicLinkData struct {
	Product  string
	Link     string
	Host     string        // that asked; "" leaves it out
	ValidFor time.Duration // 0 leaves it out; shown in minutes
	Code     string        // short code beside the link; "" leaves it out. It needs Host: where it may be entered
}

// PasskeyMailData is what the mail about a changed passkey tells.
type PasskeyMailData struct {
	Product      string
	Event        string // "created" or "deleted"
	FriendlyName string
}

// PhoneMailData is what the mail about a changed phone number tells.
type PhoneMailData struct {
	Product string
	Event   string // "changed" or "removed"
	Digits  string // the last two of a changed number: a mail may be read by others, so it has never more
}

// MagicLinkMail writes the mail with a sign-in link. The locale may be a tag such as "de-AT", an Accept-Language header or "";
// English where we have no translation.
func MagicLinkMail(locale string, d MagicLinkData) (Message, error) {
	d.Product, d.Host, d.Link, d.Code = oneLine(d.Product), oneLine(d.Host), oneLine(d.Link), oneLine(d.Code)
	if d.Link == "" {
		return Message{}, errors.New("writing the mail: there is no link")
	}
	if d.Code != "" && d.Host == "" {
		return Message{}, errors.New("writing the mail: a code without the host where it may be entered")
	}
	lang := match(locale)
	subject, err := localize(lang, "mail.link.subject", "Product", d.Product)
	if err != nil {
		return Message{}, fmt.Errorf("writing the mail: %w", err)
	}
	return mailSet().write(lang, "magic-link", subject, struct {
		MagicLinkData
		Lang, Subject string
		Minutes       int
	}{d, lang, subject, int(math.Ceil(d.ValidFor.Minutes()))})
}

// PasskeyMail writes the mail that tells of a passkey added or deleted.
func PasskeyMail(locale string, d PasskeyMailData) (Message, error) {
	if d.Event != "created" && d.Event != "deleted" {
		return Message{}, fmt.Errorf("writing the mail: unknown event %q", d.Event)
	}
	d.Product, d.FriendlyName = oneLine(d.Product), oneLine(d.FriendlyName)
	lang := match(locale)
	subject, err := localize(lang, "mail."+d.Event+".subject", "Product", d.Product)
	if err != nil {
		return Message{}, fmt.Errorf("writing the mail: %w", err)
	}
	return mailSet().write(lang, "passkey", subject, struct {
		PasskeyMailData
		Lang, Subject string
	}{d, lang, subject})
}

// PhoneMail writes the mail that tells of a phone number changed or removed.
func PhoneMail(locale string, d PhoneMailData) (Message, error) {
	switch {
	case d.Event == "changed" && len(d.Digits) == 2 && strings.Trim(d.Digits, "0123456789") == "":
	case d.Event == "changed":
		return Message{}, errors.New("writing the mail: a changed number is told by its last two digits")
	case d.Event == "removed":
		d.Digits = ""
	default:
		return Message{}, fmt.Errorf("writing the mail: unknown event %q", d.Event)
	}
	d.Product, d.Event = oneLine(d.Product), "phone_"+d.Event
	lang := match(locale)
	subject, err := localize(lang, "mail."+d.Event+".subject", "Product", d.Product)
	if err != nil {
		return Message{}, fmt.Errorf("writing the mail: %w", err)
	}
	return mailSet().write(lang, "phone", subject, struct {
		PhoneMailData
		Lang, Subject string
	}{d, lang, subject})
}

// mails holds the parsed templates of every language.
type mails struct {
	html map[string]*template.Template
	text map[string]*texttemplate.Template
}

var (
	mailsOnce sync.Once
	allMails  mails
)

// mailSet parses at first use; the files are compiled in.
func mailSet() *mails {
	mailsOnce.Do(func() {
		allMails = mails{html: map[string]*template.Template{}, text: map[string]*texttemplate.Template{}}
		for _, lang := range Locales() {
			functions := map[string]any{
				"t":  func(id string, pairs ...any) (string, error) { return localize(lang, id, pairs...) },
				"tn": func(id string, count int) (string, error) { return localizeCount(lang, id, count) },
			}
			allMails.html[lang] = template.Must(template.New("").Funcs(functions).ParseFS(mailFiles, "mail/*.html"))
			allMails.text[lang] = texttemplate.Must(texttemplate.New("").Funcs(functions).ParseFS(mailFiles, "mail/*.txt"))
		}
	})
	return &allMails
}

func (m *mails) write(lang, name, subject string, data any) (Message, error) {
	var text, html bytes.Buffer
	if err := m.text[lang].ExecuteTemplate(&text, name+".txt", data); err != nil {
		return Message{}, fmt.Errorf("writing the mail: %w", err)
	}
	if err := m.html[lang].ExecuteTemplate(&html, name+".html", data); err != nil {
		return Message{}, fmt.Errorf("writing the mail: %w", err)
	}
	return Message{Subject: subject, Text: text.String(), HTML: html.String()}, nil
}

// oneLine drops what could begin a header or a line of its own, or turn text around.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r != ' ' && !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s))
}
