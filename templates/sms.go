package templates

import (
	"errors"
	"fmt"
	"strings"
)

// SMSData is what the message with a step-up code tells.
type SMSData struct {
	Product string // "" leaves it out
	Code    string
	// Host is the domain, without port, of the page where the code is entered; "" when not known. Browsers then offer the code on that
	// host's pages only, and never on those of a phisher.
	Host string
}

// SMSText writes the message with a step-up code. With a host its last line is "@host #code", for browsers to fill in.
// https://wicg.github.io/sms-one-time-codes/
func SMSText(locale string, d SMSData) (string, error) {
	d.Product, d.Code = oneLine(d.Product), oneLine(d.Code)
	if d.Code == "" {
		return "", errors.New("writing the SMS: there is no code")
	}
	lang := match(locale)
	text, err := localize(lang, "sms.code", "Product", d.Product, "Code", d.Code)
	if d.Product == "" {
		text, err = localize(lang, "sms.code_plain", "Code", d.Code)
	}
	if err != nil {
		return "", fmt.Errorf("writing the SMS: %w", err)
	}
	if d.Host == "" {
		return text, nil
	}
	if strings.Trim(d.Host, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" || strings.ContainsAny(d.Code, " #@%") {
		return "", errors.New("writing the SMS: the host is no domain in lower case, or the code has spaces or signs")
	}
	return text + "\n\n@" + d.Host + " #" + d.Code, nil
}
