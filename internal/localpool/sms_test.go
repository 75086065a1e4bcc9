package localpool

import (
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

const phone = "+31612345678"

// withPhone is a pool with step-up by SMS and a signed-in user whose number is verified.
func withPhone(t *testing.T, change func(*Config)) (p *Pool, c *clock, access string) {
	t.Helper()
	c = newClock()
	config := testConfig(t, c)
	config.SMSStepUp = true
	change(&config)
	p = openPool(t, config)
	signUp(t, p, alice)
	access = *signInByLink(t, p, alice).AccessToken
	if err := update(t, p, &access, "phone_number", phone); err != nil {
		t.Fatal(err)
	}
	code, err := sendCode(t, p, &access)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifyPhone(t, p, &access, code); err != nil {
		t.Fatal(err)
	}
	return p, c, access
}

var askForCode = map[string]string{challenge.KeySignInMethod: string(challenge.SMSStepUp)}

// askCode begins a step-up and returns the code of the message, "" if none was sent.
func askCode(t *testing.T, p *Pool, metadata map[string]string) (string, *cognito.RespondToAuthChallengeOutput) {
	t.Helper()
	before := len(p.Inbox().Messages())
	out, err := respond(p, *mustInitiate(t, p, alice).Session, alice, challenge.AnswerAuthParameters, metadata)
	if err != nil {
		t.Fatal(err)
	}
	messages := p.Inbox().Messages()
	if len(messages) == before {
		return "", out
	}
	return regexp.MustCompile(`[0-9]{6}`).FindString(messages[0].Text), out
}

func answerCode(p *Pool, session *string, access, code string) (*cognito.RespondToAuthChallengeOutput, error) {
	return respond(p, *session, alice, challenge.SMSAnswer{AccessToken: access, SecretCode: code}.Encode(), askForCode)
}

// A signed-in person proves the phone: the code and the first factor's token bring new tokens that say how they came about.
func TestStepUpBySMS(t *testing.T) {
	p, _, access := withPhone(t, func(*Config) {})
	code, asked := askCode(t, p, askForCode)
	if mask := asked.ChallengeParameters[challenge.ParamPhoneNumber]; mask != "+*******5678" {
		t.Errorf("the number is shown as %q", mask)
	}
	if text := p.Inbox().Messages()[0].Text; !strings.Contains(text, "@auth.example.com #"+code) {
		t.Errorf("browsers cannot fill in the code of %q", text)
	}
	again, err := answerCode(p, asked.Session, access, wrong(code))
	if err != nil || again.Session == nil {
		t.Fatalf("a wrong code: %+v, %v", again, err)
	}
	done, err := answerCode(p, again.Session, access, code)
	if err != nil || done.AuthenticationResult == nil {
		t.Fatalf("the right code: %+v, %v", done, err)
	}
	claims, err := p.keys.verifyToken(*done.AuthenticationResult.IdToken)
	if err != nil || claims["sign_in_method"] != string(challenge.SMSStepUp) {
		t.Errorf("claims %v, %v", claims, err)
	}
}

// Attack: the code alone, read on a lock screen, signs nobody in; nor does it with another person's token or one that was signed out.
func TestCodeWithoutFirstFactor(t *testing.T) {
	p, c, access := withPhone(t, func(*Config) {})
	signUp(t, p, "bob@example.com")
	bob := *signInByLink(t, p, "bob@example.com").AccessToken
	c.advance(2 * time.Minute)
	id := *signInByLink(t, p, alice).IdToken
	for name, proof := range map[string]string{"none": "", "nonsense": "a.b.c", "of another person": bob, "ID token": id} {
		code, asked := askCode(t, p, askForCode)
		if out, err := answerCode(p, asked.Session, proof, code); err == nil && out.AuthenticationResult != nil {
			t.Errorf("%s: tokens", name)
		}
	}
	code, asked := askCode(t, p, askForCode)
	if _, err := sdk(p).GlobalSignOut(t.Context(), &cognito.GlobalSignOutInput{AccessToken: &access}); err != nil {
		t.Fatal(err)
	}
	if out, err := answerCode(p, asked.Session, access, code); err == nil && out.AuthenticationResult != nil {
		t.Error("a signed-out token steps up")
	}
}

// Attack: somebody who knows an address has messages sent to its owner. Where the first factor comes first, nothing is sent, and the answer
// looks the same.
func TestMessagesNeedAFirstFactor(t *testing.T) {
	p, c, access := withPhone(t, func(c *Config) { c.SMSFirstFactor = true })
	signUp(t, p, "bob@example.com")
	with := func(token string) map[string]string {
		m := maps.Clone(askForCode)
		m[challenge.KeyFirstFactorToken] = token
		return m
	}
	code, asked := askCode(t, p, with(access))
	if code == "" {
		t.Fatal("the owner got no code")
	}
	bob := *signInByLink(t, p, "bob@example.com").AccessToken
	for name, metadata := range map[string]map[string]string{"no token": askForCode, "nonsense": with("x"), "of another person": with(bob)} {
		code, out := askCode(t, p, metadata)
		if code != "" || len(out.ChallengeParameters) != len(asked.ChallengeParameters) {
			t.Errorf("%s: code %q, parameters %v", name, code, out.ChallengeParameters)
		}
	}
	c.advance(2 * time.Hour)
	if code, _ := askCode(t, p, with(access)); code != "" {
		t.Error("an expired token had a code sent")
	}
}

// Where it is not offered, no message goes out and no code counts.
func TestStepUpBySMSIsOff(t *testing.T) {
	p, _, _ := withPhone(t, func(c *Config) { c.SMSStepUp = false })
	before := len(p.Inbox().Messages())
	out, err := respond(p, *mustInitiate(t, p, alice).Session, alice, challenge.AnswerAuthParameters, askForCode)
	if err == nil && out.AuthenticationResult != nil || len(p.Inbox().Messages()) != before {
		t.Errorf("%+v, %v, %d messages", out, err, len(p.Inbox().Messages())-before)
	}
}

// A token refreshed by InitiateAuth still proves its user.
func TestRefreshedTokenProvesTheUser(t *testing.T) {
	p, c, _ := withPhone(t, func(*Config) {})
	c.advance(2 * time.Minute)
	tokens := signInByLink(t, p, alice)
	refreshed, err := sdk(p).InitiateAuth(t.Context(), &cognito.InitiateAuthInput{
		ClientId: aws.String(p.ClientID()), AuthFlow: types.AuthFlowTypeRefreshTokenAuth,
		AuthParameters: map[string]string{"REFRESH_TOKEN": *tokens.RefreshToken, "SECRET_HASH": p.ClientSecret()},
	})
	if err != nil {
		t.Fatal(err)
	}
	code, asked := askCode(t, p, askForCode)
	done, err := answerCode(p, asked.Session, *refreshed.AuthenticationResult.AccessToken, code)
	if err != nil || done.AuthenticationResult == nil {
		t.Errorf("%+v, %v", done, err)
	}
}

// The list of countries holds in the pool as well: its protocol can be spoken past the portal.
func TestCodesToListedCountries(t *testing.T) {
	for listed, want := range map[string]bool{"+31": true, "+49": false} {
		p, _, _ := withPhone(t, func(c *Config) { c.SMSCallingCodes = []string{listed} })
		if code, _ := askCode(t, p, askForCode); (code != "") != want {
			t.Errorf("%s listed: the message to %s was sent: %t", listed, phone, code != "")
		}
	}
}
