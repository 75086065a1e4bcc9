package triggers_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/triggers/define"
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
		for _, s := range []*session{
			p.initiate(alice), p.askForLink(alice), p.askForCode(alice, 1), p.initiate("nobody@example.com"), p.askForMailedCode(bob, 1), p.askForMailedCode("nobody@example.com", 1),
		} {
			if s.private[challenge.ParamSecretCode] != "" {
				s.private[challenge.ParamSecretCode] = "what no fuzzer guesses"
			}
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

// Whatever stands in the attributes, which the user writes, and in the metadata, which the caller writes: the answer has the shape that an
// unknown user gets, a mail goes to one bare address or nowhere, and an error is a text for everybody.
func FuzzCreate(f *testing.F) {
	f.Add("alice@example.com", "+31612345678", "true", "de-DE", redirect, "yes", "MAGIC_LINK")
	f.Add("a@b\r\nBcc: c@d", "+1", "TRUE", "\xff", `https://auth.example.com/auth/link"><img>`, "no", "MAGIC_LINK")
	f.Add("", "+316\n@evil #1", "true", "ja", "https://auth.example.com/", "", "SMS_OTP_STEPUP")
	f.Fuzz(func(t *testing.T, email, phone, verified, locale, uri, code, method string) {
		p := newPool(t)
		p.create.MagicLink.Content = nil
		p.create.SMS.Origins = []string{"https://auth.example.com"}
		p.users[bob] = map[string]string{"sub": bob, "email": email, "phone_number": phone, "phone_number_verified": verified, "locale": locale}
		metadata := map[string]string{challenge.KeySignInMethod: method, challenge.KeyRedirectURI: uri, challenge.KeyMagicLinkCode: code}
		known, unknown := p.initiate(bob), p.initiate("nobody@example.com")
		err, nobodys := known.challenge(metadata, 2), unknown.challenge(metadata, 2)
		var failure *challenge.Failure
		if (err == nil) != (nobodys == nil) || err != nil && (!errors.As(err, &failure) || err.Error() != nobodys.Error()) {
			t.Fatalf("known: %v, unknown: %v", err, nobodys)
		}
		if err != nil {
			return
		}
		if !slices.Equal(slices.Sorted(maps.Keys(known.public)), slices.Sorted(maps.Keys(unknown.public))) {
			t.Errorf("public %v and %v", known.public, unknown.public)
		}
		for _, m := range p.outbox.mails {
			if m.To != email || strings.ContainsAny(m.To, "\r\n ,;<>\"") || strings.ContainsAny(m.Subject, "\r\n") || strings.Count(m.HTML, "<a ") != 2 {
				t.Errorf("mail to %q with subject %q", m.To, m.Subject)
			}
		}
		for _, m := range p.outbox.texts {
			if m.To != phone || verified != "true" || strings.Count(m.Body, "@") > 1 || strings.Contains(m.Body, "@") && !strings.Contains(m.Body, "\n@auth.example.com #") {
				t.Errorf("SMS to %q: %q", m.To, m.Body)
			}
		}
		if len(p.outbox.mails)+len(p.outbox.texts) > 1 {
			t.Error("more than one message")
		}
	})
}

// Whatever the history: tokens only after a passed round of our own that comes last, exactly one decision, and an end after three tries.
func FuzzDefine(f *testing.F) {
	f.Add("PROVIDE_AUTH_PARAMETERS|n\nMAGIC_LINK", "CUSTOM_CHALLENGE", uint8(2), "MAGIC_LINK", "no", false)
	f.Add("PROVIDE_AUTH_PARAMETERS\nMAGIC_LINK_CODE\nMAGIC_LINK_CODE\nMAGIC_LINK_CODE", "CUSTOM_CHALLENGE", uint8(0), "MAGIC_LINK", "", false)
	f.Add("SMS-OTP-STEPUP-CODE-1", "PASSWORD_VERIFIER", uint8(1), "SMS_OTP_STEPUP", "yes", true)
	f.Fuzz(func(t *testing.T, history, name string, passed uint8, method, already string, nobody bool) {
		var e events.CognitoEventUserPoolsDefineAuthChallenge
		for i, metadata := range strings.Split(history, "\n") {
			if history == "" {
				break
			}
			e.Request.Session = append(e.Request.Session, &events.CognitoEventUserPoolsChallengeResult{
				ChallengeName: name, ChallengeResult: passed>>(i%8)&1 == 1, ChallengeMetadata: metadata,
			})
		}
		e.Request.ClientMetadata = map[string]string{challenge.KeySignInMethod: method, challenge.KeyAlreadyHaveMagicLink: already}
		e.Request.UserNotFound = nobody
		got, err := define.Handle(context.Background(), e)
		if err != nil {
			t.Fatal(err)
		}
		r, n := got.Response, len(e.Request.Session)
		decisions := 0
		for _, yes := range []bool{r.IssueTokens, r.FailAuthentication, r.ChallengeName == challenge.CustomChallenge} {
			if yes {
				decisions++
			}
		}
		if decisions != 1 {
			t.Errorf("%d decisions: %+v", decisions, r)
		}
		if r.IssueTokens && (n == 0 || nobody || name != challenge.CustomChallenge || !e.Request.Session[n-1].ChallengeResult) {
			t.Errorf("tokens after %+v", e.Request.Session)
		}
		tries := 0
		for _, round := range e.Request.Session {
			if _, ok := challenge.ParseAuthParametersMetadata(round.ChallengeMetadata); !ok {
				tries++
			}
		}
		if r.ChallengeName != "" && tries >= 3 {
			t.Errorf("another try after %d", tries)
		}
	})
}
