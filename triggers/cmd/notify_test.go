package cmd_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/lambdahost"
	"github.com/caddy-cognito/passwordless/triggers/aws/awstest"
)

// directory answers AdminGetUser for two users of one pool.
func directory(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ UserPoolId, Username string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		verified, known := map[string]string{"alice": "true", "bob": "false"}[in.Username]
		if r.Header.Get("X-Amz-Target") != "AWSCognitoIdentityProviderService.AdminGetUser" || in.UserPoolId != "eu-west-1_AbCdEfGhI" || !known {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"__type": "UserNotFoundException", "message": "User does not exist."})
			return
		}
		attribute := func(name, value string) map[string]string { return map[string]string{"Name": name, "Value": value} }
		_ = json.NewEncoder(w).Encode(map[string]any{"Username": in.Username, "UserAttributes": []any{
			attribute("email", in.Username+"@example.com"), attribute("email_verified", verified), attribute("locale", "de"),
		}})
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// The person hears of a new passkey at a verified address, in their language; who is gone or unverified is passed over without an error, which
// would make Lambda call again.
func TestNotifyAsDeployed(t *testing.T) {
	mail := awstest.StartSES(t)
	f := start(t, "notify", "AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_ENDPOINT_URL_SESV2="+mail.URL,
		"AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER="+directory(t), "USER_POOL_ID=eu-west-1_AbCdEfGhI", "SES_FROM_ADDRESS=no-reply@example.com", "PRODUCT_NAME=Example")
	for _, name := range []string{"alice", "bob", "gone"} {
		payload, err := json.Marshal(map[string]string{"cognitoUsername": name, "friendlyName": `<b>key</b>`, "eventType": "FIDO2_CREDENTIAL_CREATED"})
		if err != nil {
			t.Fatal(err)
		}
		if _, failure := ask(t, f, lambdahost.Event{Payload: payload}); failure != nil {
			t.Errorf("%s: %+v", name, failure)
		}
	}
	mails := mail.Mails(t)
	if len(mails) != 1 || mails[0].Destination.To[0] != "alice@example.com" || strings.Contains(mails[0].Body.HTML, "<b>key") || !strings.Contains(mails[0].Body.Text, "Passkey") {
		t.Errorf("mails %+v", mails)
	}
	if _, failure := ask(t, f, lambdahost.Event{Payload: []byte(`{"cognitoUsername":"alice","eventType":"OTHER"}`)}); failure == nil {
		t.Error("an unknown event is taken for a notification")
	}
	f.Close()
	if strings.Contains(f.Output(), "alice") || len(lines(t, f)) == 0 {
		t.Errorf("the log:\n%s", f.Output())
	}
}
