package localpool

import (
	"maps"
	"regexp"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/token"
)

var codeInMail = regexp.MustCompile(`(?m)^[2-9A-Z]{4}-[2-9A-Z]{4}$`)

// Mail is read on one device and the code typed on another: a wrong code first, then the right one, and its link is void.
func TestShortCodeSignsIn(t *testing.T) {
	config := testConfig(t, newClock())
	config.MagicLinkCode = true
	p := openPool(t, config)
	sub := signUp(t, p, alice)
	ask := maps.Clone(askForLink)
	ask[challenge.KeyMagicLinkCode] = "yes"
	waiting, err := respond(p, *mustInitiate(t, p, alice).Session, alice, challenge.AnswerAuthParameters, ask)
	if err != nil {
		t.Fatal(err)
	}
	mail := p.Inbox().Messages()[0].Text
	code, link := codeInMail.FindString(mail), linkInMail.FindString(mail)
	if code == "" || link == "" {
		t.Fatalf("mail %s", mail)
	}
	by := map[string]string{challenge.KeySignInMethod: "MAGIC_LINK", challenge.KeyAttemptID: "attempt"}
	again, err := respond(p, *waiting.Session, sub, challenge.CodeAnswer("2222-2222"), by)
	if err != nil || again.Session == nil || again.AuthenticationResult != nil || len(p.Inbox().Messages()) != 1 {
		t.Fatalf("after a wrong code: %+v, %v", again, err)
	}
	out, err := respond(p, *again.Session, sub, challenge.CodeAnswer(code), by)
	if err != nil || out.AuthenticationResult == nil {
		t.Fatalf("the code did not pass: %+v, %v", out, err)
	}
	id, err := verifier(t, p).Verify(t.Context(), aws.ToString(out.AuthenticationResult.IdToken), token.ID)
	if err != nil || id.All["auth_methods"] != "email_code" || !id.EmailVerified {
		t.Errorf("claims %v, %v", id.All, err)
	}
	_, err = respond(p, *mustInitiate(t, p, alice).Session, alice, fragment(t, link), haveLink)
	refused(t, err, "NotAuthorizedException", "Incorrect username or password.")
}

// Three wrong codes end the session; the link in the same mail still works elsewhere, and then the code is void in its own session.
func TestShortCodeAndItsLink(t *testing.T) {
	config := testConfig(t, newClock())
	config.MagicLinkCode = true
	p := openPool(t, config)
	sub := signUp(t, p, alice)
	ask := maps.Clone(askForLink)
	ask[challenge.KeyMagicLinkCode] = "yes"
	by := map[string]string{challenge.KeySignInMethod: "MAGIC_LINK"}
	waiting, err := respond(p, *mustInitiate(t, p, alice).Session, alice, challenge.AnswerAuthParameters, ask)
	if err != nil {
		t.Fatal(err)
	}
	mail := p.Inbox().Messages()[0].Text
	useLink(t, p, alice, linkInMail.FindString(mail))
	session := waiting.Session
	for try, answer := range []string{codeInMail.FindString(mail), "22222222", "33333333"} {
		out, err := respond(p, *session, sub, challenge.CodeAnswer(answer), by)
		if try == 2 {
			refused(t, err, "NotAuthorizedException", "Incorrect username or password.")
			return
		}
		if err != nil || out.AuthenticationResult != nil || out.Session == nil {
			t.Fatalf("try %d: %+v, %v", try+1, out, err)
		}
		session = out.Session
	}
}
