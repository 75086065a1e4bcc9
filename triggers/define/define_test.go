package define_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/triggers/define"
)

type round = events.CognitoEventUserPoolsChallengeResult

func first(passed bool) *round {
	return &round{ChallengeName: "CUSTOM_CHALLENGE", ChallengeResult: passed, ChallengeMetadata: challenge.AuthParametersMetadata("n0nce")}
}

func foreign(passed bool) *round {
	return &round{ChallengeName: "CUSTOM_CHALLENGE", ChallengeResult: passed, ChallengeMetadata: "PROVIDE_AUTH_PARAMETERS"}
}

func later(metadata string, passed bool) *round {
	return &round{ChallengeName: "CUSTOM_CHALLENGE", ChallengeResult: passed, ChallengeMetadata: metadata}
}

const (
	ask   = "ask"
	issue = "issue"
	deny  = "deny"
)

func outcome(t *testing.T, e events.CognitoEventUserPoolsDefineAuthChallenge) string {
	t.Helper()
	got, err := define.Handle(context.Background(), e)
	if err != nil {
		t.Fatal(err)
	}
	r := got.Response
	switch r {
	case events.CognitoEventUserPoolsDefineAuthChallengeResponse{ChallengeName: "CUSTOM_CHALLENGE"}:
		return ask
	case events.CognitoEventUserPoolsDefineAuthChallengeResponse{IssueTokens: true}:
		return issue
	case events.CognitoEventUserPoolsDefineAuthChallengeResponse{FailAuthentication: true}:
		return deny
	}
	return fmt.Sprintf("%+v", r)
}

func TestDecisions(t *testing.T) {
	sms := challenge.MetadataSMS + "-123456"
	for name, tc := range map[string]struct {
		method, already string
		session         []*round
		want            string
	}{
		"nothing yet":                             {"", "", nil, ask},
		"no method":                               {"", "", []*round{first(false)}, deny},
		"no method, yet passed":                   {"", "", []*round{first(true)}, deny},
		"unknown method":                          {"PASSWORD", "", []*round{first(true)}, deny},
		"link asked for":                          {"MAGIC_LINK", "no", []*round{first(false)}, ask},
		"link asked for, other Create":            {"MAGIC_LINK", "", []*round{foreign(false)}, ask},
		"link brought along":                      {"MAGIC_LINK", "yes", []*round{first(true)}, issue},
		"wrong link brought along":                {"MAGIC_LINK", "yes", []*round{first(false)}, deny},
		"link passed":                             {"MAGIC_LINK", "no", []*round{first(false), later("MAGIC_LINK", true)}, issue},
		"wrong link":                              {"MAGIC_LINK", "no", []*round{first(false), later("MAGIC_LINK", false)}, deny},
		"passkey passed":                          {"FIDO2", "", []*round{first(true)}, issue},
		"wrong passkey":                           {"FIDO2", "", []*round{first(false)}, deny},
		"SMS asked for":                           {"SMS_OTP_STEPUP", "", []*round{first(false)}, ask},
		"first code wrong":                        {"SMS_OTP_STEPUP", "", []*round{first(false), later(sms, false)}, ask},
		"second code wrong":                       {"SMS_OTP_STEPUP", "", []*round{first(false), later(sms, false), later(sms, false)}, ask},
		"third code wrong":                        {"SMS_OTP_STEPUP", "", []*round{first(false), later(sms, false), later(sms, false), later(sms, false)}, deny},
		"third code right":                        {"SMS_OTP_STEPUP", "", []*round{first(false), later(sms, false), later(sms, false), later(sms, true)}, issue},
		"code mailed, wrong":                      {"MAGIC_LINK", "no", []*round{first(false), later("MAGIC_LINK_CODE", false)}, ask},
		"second code mailed wrong":                {"MAGIC_LINK", "", []*round{first(false), later("MAGIC_LINK_CODE", false), later("MAGIC_LINK_CODE", false)}, ask},
		"third mailed code wrong":                 {"MAGIC_LINK", "no", []*round{first(false), later("MAGIC_LINK_CODE", false), later("MAGIC_LINK_CODE", false), later("MAGIC_LINK_CODE", false)}, deny},
		"third mailed code right":                 {"MAGIC_LINK", "no", []*round{first(false), later("MAGIC_LINK_CODE", false), later("MAGIC_LINK_CODE", false), later("MAGIC_LINK_CODE", true)}, issue},
		"mailed code wrong, link brought along":   {"MAGIC_LINK", "yes", []*round{first(false), later("MAGIC_LINK_CODE", false)}, deny},
		"mailed code after a link's round":        {"MAGIC_LINK", "no", []*round{first(false), later("MAGIC_LINK", false), later("MAGIC_LINK_CODE", false)}, deny},
		"mailed code after an SMS round":          {"MAGIC_LINK", "no", []*round{first(false), later(sms, false), later("MAGIC_LINK_CODE", false)}, deny},
		"SMS after mailed codes":                  {"SMS_OTP_STEPUP", "", []*round{first(false), later("MAGIC_LINK_CODE", false), later("MAGIC_LINK_CODE", false), later(sms, false)}, deny},
		"metadata that only looks like a code's":  {"MAGIC_LINK", "no", []*round{first(false), later("MAGIC_LINK_CODE|x", false)}, deny},
		"tries used up by changing the method":    {"MAGIC_LINK", "no", []*round{first(false), later(sms, false)}, deny},
		"a round passed before a failed one":      {"FIDO2", "", []*round{first(true), later("MAGIC_LINK", false)}, deny},
		"a password round":                        {"FIDO2", "", []*round{{ChallengeName: "PASSWORD_VERIFIER", ChallengeResult: true}}, deny},
		"a password round before a passed one":    {"FIDO2", "", []*round{{ChallengeName: "SRP_A", ChallengeResult: true}, first(true)}, deny},
		"a null round":                            {"FIDO2", "", []*round{nil}, deny},
		"metadata that only looks like round one": {"MAGIC_LINK", "no", []*round{later("PROVIDE_AUTH_PARAMETERSX", false)}, deny},
	} {
		t.Run(name, func(t *testing.T) {
			e := events.CognitoEventUserPoolsDefineAuthChallenge{}
			e.Request.Session = tc.session
			e.Request.ClientMetadata = map[string]string{challenge.KeySignInMethod: tc.method, challenge.KeyAlreadyHaveMagicLink: tc.already}
			if got := outcome(t, e); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			// An unknown user goes the same way, and never gets tokens.
			e.Request.UserNotFound = true
			want := tc.want
			if want == issue {
				want = deny
			}
			if got := outcome(t, e); got != want {
				t.Errorf("unknown user: got %s, want %s", got, want)
			}
		})
	}
}
