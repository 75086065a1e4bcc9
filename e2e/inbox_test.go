package e2e

import (
	"context"
	"encoding/json"
	"regexp"
	"testing"
	"time"
)

type message struct {
	ID      int    `json:"id"`
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// messages are those to one address, newest first.
func (d *deployment) messages(t *testing.T, to string) []message {
	t.Helper()
	_, body := get(t, d.inbox+"/messages.json")
	var answer struct {
		Messages []message `json:"messages"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("the inbox answers %q: %v", body, err)
	}
	var mine []message
	for _, m := range answer.Messages {
		if m.To == to {
			mine = append(mine, m)
		}
	}
	return mine
}

var linkPattern = regexp.MustCompile(`https?://\S+/auth/link\S*#\S+`)

// link waits for the mail to an address that follows the first `known` ones, and returns the link in it.
func (d *deployment) link(t *testing.T, to string, known int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var found string
	eventually(ctx, func() bool {
		mails := d.messages(t, to)
		if len(mails) <= known {
			return false
		}
		found = linkPattern.FindString(mails[0].Text)
		return found != ""
	}, func() { t.Fatalf("no mail with a link came to %s: %+v", to, d.messages(t, to)) })
	return found
}
