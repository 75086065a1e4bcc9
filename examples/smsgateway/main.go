// Command smsgateway is a CreateAuthChallenge Lambda of an operator's own: it sends codes through a company's SMS gateway instead of Amazon
// SNS, words the mail itself, and shows less of a phone number.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/caddy-cognito/passwordless/templates"
	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/lambda/createlambda"
)

func main() {
	createlambda.Main(createlambda.Options{
		Texter:      gateway{url: os.Getenv("SMS_GATEWAY_URL")},
		MailContent: mail,
		PhoneMask:   func(number string) string { return "a phone ending in " + number[len(number)-2:] },
	})
}

// mail has a subject of its own and the library's words.
func mail(locale string, d templates.MagicLinkData) (templates.Message, error) {
	message, err := templates.MagicLinkMail(locale, d)
	message.Subject = "[" + d.Host + "] " + message.Subject
	return message, err
}

type gateway struct{ url string }

// Send hands the message over. Its error never quotes the answer, in which the gateway may repeat number or code.
func (g gateway) Send(ctx context.Context, t create.Text) error {
	body, err := json.Marshal(map[string]string{"to": t.To, "text": t.Body})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		<-ctx.Done() // it may have been accepted: nobody may send again before the time is over
		return fmt.Errorf("the SMS gateway does not answer: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("the SMS gateway answers %s", response.Status)
	}
	return nil
}
