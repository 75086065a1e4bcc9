package cmd_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/caddy-cognito/passwordless/internal/dynamotest"
	"github.com/caddy-cognito/passwordless/internal/lambdahost"
	"github.com/caddy-cognito/passwordless/triggers/aws/awstest"
)

// deployment is what the triggers of one user pool share: tables, a key, mail and SMS.
type deployment struct {
	client   *dynamodb.Client
	dynamodb string
	kms      *awstest.KMS
	ses      *awstest.SES
	sns      *awstest.SNS
}

const keyAlias = "alias/magic-links"

func deploy(t *testing.T) *deployment {
	t.Helper()
	client := dynamotest.Start(t)
	dynamotest.CreateSecretsTable(t, client, "Secrets")
	dynamotest.CreateAuthenticatorsTable(t, client, "Authenticators")
	d := &deployment{
		client: client, dynamodb: aws.ToString(client.Options().BaseEndpoint), kms: awstest.StartKMS(t), ses: awstest.StartSES(t), sns: awstest.StartSNS(t),
	}
	d.kms.AddKey(t, keyAlias)
	return d
}

// environment is that of all triggers, as an operator sets it; what one does not know it must not mind.
func (d *deployment) environment(more ...string) []string {
	return append([]string{
		"AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"AWS_ENDPOINT_URL_DYNAMODB=" + d.dynamodb, "AWS_ENDPOINT_URL_KMS=" + d.kms.URL, "AWS_ENDPOINT_URL_SESV2=" + d.ses.URL, "AWS_ENDPOINT_URL_SNS=" + d.sns.URL,
		"ALLOWED_ORIGINS=https://auth.example.com", "STACK_ID=salt",
		"MAGIC_LINK_ENABLED=TRUE", "SES_FROM_ADDRESS=no-reply@example.com", "KMS_KEY_ID=" + keyAlias, "DYNAMODB_SECRETS_TABLE=Secrets",
		"FIDO2_ENABLED=TRUE", "DYNAMODB_AUTHENTICATORS_TABLE=Authenticators", "RELYING_PARTY_ID=example.com", "ALLOWED_RELYING_PARTY_IDS=example.com",
		"SMS_OTP_STEP_UP_ENABLED=TRUE",
	}, more...)
}

// change returns a recorded event with some of its request replaced.
func change(t *testing.T, raw []byte, request map[string]any) []byte {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	for name, value := range request {
		e["request"].(map[string]any)[name] = value
	}
	out, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// respond reads the response of an answer.
func respond(t *testing.T, f *lambdahost.Function, payload []byte) map[string]any {
	t.Helper()
	answer, failure := ask(t, f, lambdahost.Event{Payload: payload})
	if failure != nil {
		t.Fatalf("%+v; the program said:\n%s", failure, f.Output())
	}
	var got struct{ Response map[string]any }
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatal(err)
	}
	return got.Response
}

var fragment = regexp.MustCompile(`https://auth\.example\.com/auth/link\?flow=abc#(\S+)`)

// A link is asked for, mailed once however often Cognito calls, and signs in one session; the tokens say how.
func TestMagicLinkAsDeployed(t *testing.T) {
	d := deploy(t)
	environment := d.environment()
	creators := []*lambdahost.Function{start(t, "create", environment...), start(t, "create", environment...)}
	verify, pretoken := start(t, "verify", environment...), start(t, "pretoken", environment...)

	var answers sync.Map
	var wg sync.WaitGroup
	for _, f := range creators { // two instances at once, and each again
		wg.Go(func() {
			for range 2 {
				answer, failure := ask(t, f, lambdahost.Event{Payload: event(t, "create.json")})
				if failure != nil {
					t.Errorf("%+v", failure)
				}
				answers.Store(answer, true)
			}
		})
	}
	wg.Wait()
	different := 0
	answers.Range(func(any, any) bool { different++; return true })
	if different != 1 {
		t.Errorf("one event has %d answers", different)
	}
	mails := d.ses.Mails(t)
	if len(mails) != 1 || mails[0].Destination.To[0] != "alice@example.com" {
		t.Fatalf("mails %+v", mails)
	}
	link := fragment.FindStringSubmatch(mails[0].Body.Text)
	if link == nil {
		t.Fatalf("no link in %q", mails[0].Body.Text)
	}

	private := respond(t, creators[0], event(t, "create.json"))["privateChallengeParameters"]
	with := map[string]any{
		"privateChallengeParameters": private, "challengeAnswer": link[1],
		"clientMetadata": map[string]string{"signInMethod": "MAGIC_LINK", "attemptId": "attempt"},
	}
	for range 2 {
		if got := respond(t, verify, change(t, event(t, "verify.json"), with)); got["answerCorrect"] != true {
			t.Fatalf("the link: %v\n%s", got, verify.Output())
		}
	}
	replay := map[string]any{"challengeAnswer": link[1]} // in a session of its own
	other := strings.ReplaceAll(string(event(t, "verify.json")), "AAECAwQFBgcICQoLDA0ODw", "BBECAwQFBgcICQoLDA0ODw")
	if got := respond(t, verify, change(t, []byte(other), replay)); got["answerCorrect"] != false {
		t.Errorf("used again in another session: %v", got)
	}

	for _, version := range []string{"v1.json", "v2.json"} {
		raw := event(t, "../pretoken/testdata/"+version)
		answer, failure := ask(t, pretoken, lambdahost.Event{Payload: raw})
		if failure != nil || !strings.Contains(answer, `"sign_in_method":"MAGIC_LINK"`) || !strings.Contains(answer, `"auth_methods":"magic_link"`) {
			t.Errorf("%s: %s, %v", version, answer, failure)
		}
	}
	for _, f := range append(creators, verify, pretoken) {
		f.Close()
		if len(lines(t, f)) == 0 {
			t.Error("a trigger said nothing")
		}
		for _, secret := range []string{"alice", "6a0f2f5e", "31612345678", "AAECAwQFBgcICQoLDA0ODw", "auth.example.com", link[1], "eyJ"} {
			if strings.Contains(f.Output(), secret) {
				t.Errorf("the log tells %q:\n%s", secret, f.Output())
			}
		}
	}
}

// A code goes out once, however often Cognito calls, and never into a log.
func TestSMSAsDeployed(t *testing.T) {
	d := deploy(t)
	f := start(t, "create", d.environment("SENDER_ID=Example", "OTP_LENGTH=8")...)
	payload := change(t, event(t, "create.json"), map[string]any{"clientMetadata": map[string]string{"signInMethod": "SMS_OTP_STEPUP"}})
	for range 3 {
		public, _ := respond(t, f, payload)["publicChallengeParameters"].(map[string]any)
		if public["phoneNumber"] == nil || strings.Contains(public["phoneNumber"].(string), "3161234") {
			t.Errorf("the page learns %v", public)
		}
	}
	sent := d.sns.Sent()
	if len(sent) != 1 || sent[0].To != "+31612345678" || sent[0].Attributes["AWS.SNS.SMS.SenderID"] != "Example" {
		t.Fatalf("sent %+v", sent)
	}
	code := regexp.MustCompile(`[0-9]{8}`).FindString(sent[0].Message)
	if code == "" {
		t.Fatalf("no code in %q", sent[0].Message)
	}
	f.Close()
	if strings.Contains(f.Output(), code) || strings.Contains(f.Output(), "31612345678") {
		t.Errorf("the log tells code or number:\n%s", f.Output())
	}
}

// throttled stands in front of DynamoDB Local and refuses the first so many calls, as Amazon does when a table has too much to do.
func throttled(t *testing.T, d *deployment, calls int64) {
	t.Helper()
	target, err := url.Parse(d.dynamodb)
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(target)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) > calls {
			proxy.ServeHTTP(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow down"}`)
	}))
	t.Cleanup(s.Close)
	d.dynamodb = s.URL
}

// A throttled table is waited for. When it stays throttled, the caller gets a neutral word while Cognito still waits for it, and the
// operator the reason.
func TestThrottledTable(t *testing.T) {
	passing := deploy(t)
	throttled(t, passing, 4)
	f := start(t, "create", passing.environment()...)
	respond(t, f, event(t, "create.json"))
	if mails := passing.ses.Mails(t); len(mails) != 1 {
		t.Errorf("%d mails", len(mails))
	}

	staying := deploy(t)
	throttled(t, staying, 1<<60)
	f = start(t, "create", staying.environment()...)
	_, failure := ask(t, f, lambdahost.Event{Payload: event(t, "create.json")})
	if failure == nil || failure.Message != "sign-in is not available at the moment" && failure.Message != "sign-in took too long: try again" {
		t.Errorf("%+v", failure)
	}
	if mails := staying.ses.Mails(t); len(mails) != 0 {
		t.Errorf("%d mails", len(mails))
	}
	f.Close()
	if all := lines(t, f); len(all) != 1 || all[0]["outcome"] != "failed" && all[0]["outcome"] != "late" || !strings.Contains(f.Output(), "Throttling") {
		t.Errorf("the log:\n%s", f.Output())
	}
}

// What is missing is named at once, before the first person signs in.
func TestMissingVariables(t *testing.T) {
	for trigger, want := range map[string][]string{
		"create": {"STACK_ID is missing", "SES_FROM_ADDRESS is missing", "KMS_KEY_ID is missing", "DYNAMODB_SECRETS_TABLE is missing", "ALLOWED_ORIGINS is missing"},
		"verify": {"STACK_ID is missing", "DYNAMODB_SECRETS_TABLE is missing"},
		"notify": {"USER_POOL_ID is missing", "SES_FROM_ADDRESS is missing"},
	} {
		f := start(t, trigger, "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "MAGIC_LINK_ENABLED=TRUE")
		if err := f.Ready(t.Context()); err == nil {
			t.Fatalf("%s takes events", trigger)
		}
		for _, part := range want {
			if !strings.Contains(f.Output(), part) {
				t.Errorf("%s does not say %q:\n%s", trigger, part, f.Output())
			}
		}
	}
}
