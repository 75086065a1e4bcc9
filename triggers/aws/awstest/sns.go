package awstest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// SMS is a message that [SNS] accepted.
type SMS struct {
	To, Message string
	Attributes  map[string]string // values of type String by name
}

// SNS is a fake of Amazon SNS that takes SMS.
type SNS struct {
	*httptest.Server

	mu   sync.Mutex
	sent []SMS
}

// StartSNS runs an SNS until the test ends.
func StartSNS(t testing.TB) *SNS {
	s := &SNS{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// Sent lists what was accepted, oldest first.
func (s *SNS) Sent() []SMS {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

var number = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// ServeHTTP answers Publish (https://docs.aws.amazon.com/sns/latest/api/API_Publish.html).
func (s *SNS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/xml")
	sms := SMS{To: r.PostFormValue("PhoneNumber"), Message: r.PostFormValue("Message"), Attributes: make(map[string]string)}
	for name, value := range r.PostForm {
		entry, ok := strings.CutSuffix(name, ".Name")
		if ok && strings.HasPrefix(entry, "MessageAttributes.entry.") && r.PostForm.Get(entry+".Value.DataType") == "String" {
			sms.Attributes[value[0]] = r.PostForm.Get(entry + ".Value.StringValue")
		}
	}
	if !signedFor(r, "sns") || r.Method != http.MethodPost || r.PostForm.Get("Action") != "Publish" || r.PostForm.Get("Version") != "2010-03-31" ||
		!number.MatchString(sms.To) || sms.Message == "" || len(sms.Message) > 1600 {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>InvalidParameter</Code><Message>not a signed Publish of one SMS</Message></Error></ErrorResponse>`)
		return
	}
	s.mu.Lock()
	s.sent = append(s.sent, sms)
	n := len(s.sent)
	s.mu.Unlock()
	_, _ = fmt.Fprintf(w, `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>%d</MessageId></PublishResult></PublishResponse>`, n)
}
