package sns_test

import (
	"maps"
	"strings"
	"testing"

	awssns "github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/caddy-cognito/passwordless/triggers/aws/account"
	"github.com/caddy-cognito/passwordless/triggers/aws/awstest"
	"github.com/caddy-cognito/passwordless/triggers/aws/sns"
	"github.com/caddy-cognito/passwordless/triggers/create"
)

func texter(t *testing.T, fake *awstest.SNS) *sns.Texter {
	t.Helper()
	env := map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_ENDPOINT_URL_SNS": fake.URL,
	}
	a, err := account.New(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	return &sns.Texter{Client: awssns.NewFromConfig(a.Messages("SNS", "us-east-1"))}
}

func TestMessage(t *testing.T) {
	fake := awstest.StartSNS(t)
	s := texter(t, fake)
	s.OriginationNumber, s.SenderID = "+15551230000", "Example"
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), create.Text{To: "+4915112345678", Body: "Ihr Code: 123456 – für example.com"}); err != nil {
		t.Fatal(err)
	}
	s.OriginationNumber, s.SenderID = "", ""
	if err := s.Send(t.Context(), create.Text{To: "+4915112345678", Body: "x"}); err != nil {
		t.Fatal(err)
	}
	sent := fake.Sent()
	if len(sent) != 2 || sent[0].To != "+4915112345678" || sent[0].Message != "Ihr Code: 123456 – für example.com" {
		t.Fatalf("sent %+v", sent)
	}
	full := map[string]string{
		"AWS.SNS.SMS.SMSType": "Transactional", "AWS.SNS.SMS.SenderID": "Example", "AWS.MM.SMS.OriginationNumber": "+15551230000",
	}
	if !maps.Equal(sent[0].Attributes, full) || !maps.Equal(sent[1].Attributes, map[string]string{"AWS.SNS.SMS.SMSType": "Transactional"}) {
		t.Errorf("attributes %v and %v", sent[0].Attributes, sent[1].Attributes)
	}
}

// What is no single phone number goes nowhere, and does not come back in an error that is logged.
func TestOnlyPhoneNumbers(t *testing.T) {
	fake := awstest.StartSNS(t)
	s := texter(t, fake)
	for _, to := range []string{"", "112", "+0123456789", "+49151123\n45678", "+491511234567890123", "arn:aws:sns:eu-west-1:1:topic", "+49151 1234567"} {
		if err := s.Send(t.Context(), create.Text{To: to, Body: "123456"}); err == nil || to != "" && strings.Contains(err.Error(), to) {
			t.Errorf("%q: %v", to, err)
		}
	}
	if sent := fake.Sent(); len(sent) != 0 {
		t.Errorf("sent %+v", sent)
	}
}

func TestSettings(t *testing.T) {
	fake := awstest.StartSNS(t)
	for name, change := range map[string]func(*sns.Texter){
		"no client":      func(s *sns.Texter) { s.Client = nil },
		"short number":   func(s *sns.Texter) { s.OriginationNumber = "12345" },
		"long sender":    func(s *sns.Texter) { s.SenderID = "twelve chars" },
		"sender of dots": func(s *sns.Texter) { s.SenderID = "a.b" },
	} {
		s := texter(t, fake)
		if change(s); s.Validate() == nil {
			t.Errorf("%s: valid", name)
		}
	}
}
