// Package product finds out what mails call the service.
package product

import (
	"net/mail"
	"strings"

	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
)

// Name is PRODUCT_NAME. Existing deployments do not set it: theirs is what their mails come from, by its display name or else its domain.
func Name(env *environment.Reader) string {
	if name := env.Text("PRODUCT_NAME", ""); name != "" {
		return name
	}
	from, err := mail.ParseAddress(env.Text("SES_FROM_ADDRESS", ""))
	if err != nil {
		return "" // the mailer complains
	}
	if from.Name != "" {
		return from.Name
	}
	return from.Address[strings.LastIndexByte(from.Address, '@')+1:]
}
