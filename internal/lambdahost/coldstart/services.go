package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
)

// startServices answers what a notification needs of AWS: a user with a verified address, and mail, by either version of SES's API.
func startServices() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
		case strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".AdminGetUser"):
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			_, _ = io.WriteString(w, `{"Username":"alice","Enabled":true,"UserStatus":"CONFIRMED","UserAttributes":[`+
				`{"Name":"sub","Value":"s"},{"Name":"email","Value":"alice@example.com"},{"Name":"email_verified","Value":"true"}]}`)
		case r.URL.Path == "/v2/email/outbound-emails":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"MessageId":"1"}`)
		case strings.Contains(string(body), "Action=SendEmail"):
			w.Header().Set("Content-Type", "text/xml")
			_, _ = io.WriteString(w, `<SendEmailResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><SendEmailResult>`+
				`<MessageId>1</MessageId></SendEmailResult></SendEmailResponse>`)
		default:
			http.NotFound(w, r)
		}
	}))
}
