package triggers_test

import (
	"context"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// Whatever a stranger answers, in whatever round, is a denial: never a pass, never an error.
func FuzzStrangersAnswer(f *testing.F) {
	for _, s := range []string{"", "__dummy__", "a.b", "e30.AA", "{}", `{"jwt":"a","secretCode":"b"}`, `{"jwt":"alice's","secretCode":"000000"}`, "code:ABCDEFGH",
		`{"credentialIdB64":"AA","authenticatorDataB64":"AA","clientDataJSON_B64":"e30","signatureB64":"AA","userHandleB64":null}`} {
		for _, method := range []string{"MAGIC_LINK", "FIDO2", "SMS_OTP_STEPUP", ""} {
			f.Add(s, method, "yes")
		}
	}
	f.Fuzz(func(t *testing.T, answer, method, already string) {
		p := newPool(t)
		p.tokens = nil
		metadata := map[string]string{challenge.KeySignInMethod: method, challenge.KeyAlreadyHaveMagicLink: already, challenge.KeyAttemptID: "attempt"}
		for _, s := range []*session{p.initiate(alice), p.askForLink(alice), p.askForCode(alice, 1), p.initiate("nobody@example.com")} {
			delete(s.private, challenge.ParamSecretCode) // the fuzzer must not guess it
			e := s.verifyEvent(answer, metadata)
			if got, err := p.verify.Handle(context.Background(), e); err != nil || got.Response.AnswerCorrect {
				t.Errorf("%q by %q: %v, %v", answer, method, got.Response.AnswerCorrect, err)
			}
		}
		if len(p.memory.receipts) != 0 {
			t.Error("a receipt for nothing")
		}
	})
}
