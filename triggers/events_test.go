package triggers_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/caddy-cognito/passwordless/triggers/define"
	"github.com/caddy-cognito/passwordless/triggers/notify"
	"github.com/caddy-cognito/passwordless/triggers/presignup"
)

func read[T any](t *testing.T, file string) T {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func response(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		Response json.RawMessage `json:"response"`
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	return string(e.Response)
}

// Events as Cognito sends them, with null responses, and the exact answers.
func TestRealEvents(t *testing.T) {
	ctx := context.Background()
	p := newPool(t)
	d, err := define.Handle(ctx, read[events.CognitoEventUserPoolsDefineAuthChallenge](t, "define.json"))
	if got := response(t, d); err != nil || got != `{"challengeName":"CUSTOM_CHALLENGE","issueTokens":false,"failAuthentication":false}` {
		t.Errorf("define: %s, %v", got, err)
	}
	c, err := p.create.Handle(ctx, read[events.CognitoEventUserPoolsCreateAuthChallenge](t, "create.json"))
	const created = `{"publicChallengeParameters":{},"privateChallengeParameters":{"challenge":"PROVIDE_MAGIC_LINK","nonce":"AAECAwQFBgcICQoLDA0ODw"},"challengeMetadata":"MAGIC_LINK"}`
	if got := response(t, c); err != nil || got != created || len(p.outbox.mails) != 1 {
		t.Errorf("create: %s, %v", got, err)
	}
	e := read[events.CognitoEventUserPoolsVerifyAuthChallenge](t, "verify.json")
	v, err := p.verify.Handle(ctx, e)
	if got := response(t, v); err != nil || got != `{"answerCorrect":false}` {
		t.Errorf("verify of a forged link: %s, %v", got, err)
	}
	e.Request.ChallengeAnswer = p.lastLink()
	v, err = p.verify.Handle(ctx, e)
	if got := response(t, v); err != nil || got != `{"answerCorrect":true}` {
		t.Errorf("verify: %s, %v", got, err)
	}
	s, err := (&presignup.Handler{}).Handle(ctx, read[events.CognitoEventUserPoolsPreSignup](t, "presignup.json"))
	if got := response(t, s); err != nil || got != `{"autoConfirmUser":true,"autoVerifyEmail":false,"autoVerifyPhone":false}` {
		t.Errorf("presignup: %s, %v", got, err)
	}
	if n := read[notify.Event](t, "notify.json"); n.CognitoUsername != "alice" || n.FriendlyName != "Anna's key" || n.EventType != notify.CredentialCreated {
		t.Errorf("notify: %+v", n)
	}
}
