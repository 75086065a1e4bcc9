package interop_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/triggers/define"
)

type (
	round       = events.CognitoEventUserPoolsChallengeResult
	defineEvent = events.CognitoEventUserPoolsDefineAuthChallenge
)

// longest is the number of rounds in the longest history. No flow of either side has more than four.
const longest = 4

// rounds are all kinds of a round. Round one is written as ours here, see asTheirs.
func rounds() []*round {
	list := []*round{{ChallengeName: "PASSWORD_VERIFIER", ChallengeResult: true}}
	for _, metadata := range []string{
		challenge.AuthParametersMetadata("bm9uY2U"), challenge.MetadataMagicLink, challenge.MetadataMagicLinkCode,
		challenge.MetadataSMS + "-123456", "",
	} {
		for _, result := range []bool{false, true} {
			list = append(list, &round{ChallengeName: challenge.CustomChallenge, ChallengeResult: result, ChallengeMetadata: metadata})
		}
	}
	return list
}

// histories are all sessions of up to longest rounds.
func histories() [][]*round {
	all, last := [][]*round{{}}, [][]*round{{}}
	for range longest {
		var next [][]*round
		for _, h := range last {
			for _, r := range rounds() {
				next = append(next, append(h[:len(h):len(h)], r))
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

// clientMetadata are all that a client may say about its method, none at all among them.
func clientMetadata() []map[string]string {
	list := []map[string]string{nil}
	for _, method := range []string{"", "MAGIC_LINK", "SMS_OTP_STEPUP", "FIDO2", "PASSWORD"} {
		for _, already := range []string{"", "yes", "no"} {
			m := map[string]string{}
			if method != "" {
				m[challenge.KeySignInMethod] = method
			}
			if already != "" {
				m[challenge.KeyAlreadyHaveMagicLink] = already
			}
			list = append(list, m)
		}
	}
	return list
}

// asTheirs is the history as their Create would have written it: round one is marked by a fixed word, without a nonce.
func asTheirs(history []*round) []*round {
	list := make([]*round, len(history))
	for i, r := range history {
		list[i] = r
		if _, ok := challenge.ParseAuthParametersMetadata(r.ChallengeMetadata); ok {
			plain := *r
			plain.ChallengeMetadata = challenge.ProvideAuthParameters
			list[i] = &plain
		}
	}
	return list
}

// differsOnPurpose names why our decision may be another one than theirs.
func differsOnPurpose(history []*round, metadata map[string]string) string {
	codes := 0
	for _, r := range history {
		_, first := challenge.ParseAuthParametersMetadata(r.ChallengeMetadata)
		switch {
		case r.ChallengeMetadata == challenge.MetadataMagicLinkCode:
			codes++
		case !first:
			return ""
		}
	}
	if metadata[challenge.KeySignInMethod] == string(challenge.MagicLink) && metadata[challenge.KeyAlreadyHaveMagicLink] != "yes" &&
		codes > 0 && codes < 3 && !history[len(history)-1].ChallengeResult {
		return "a short code beside a link may be mistyped twice; they have no short codes"
	}
	return ""
}

// decision is an answer in one word.
func decision(r events.CognitoEventUserPoolsDefineAuthChallengeResponse) string {
	switch {
	case r.IssueTokens && !r.FailAuthentication && r.ChallengeName == "":
		return "issue"
	case r.FailAuthentication && !r.IssueTokens && r.ChallengeName == "":
		return "deny"
	case !r.IssueTokens && !r.FailAuthentication && r.ChallengeName == challenge.CustomChallenge:
		return "ask"
	}
	return "mixed up"
}

// TestDefineDecidesAsTheirs compares every history of up to four rounds over everything that a client may say. Our Define must also decide
// alike on sessions that their Create began, for a deployment is not exchanged between two rounds.
func TestDefineDecidesAsTheirs(t *testing.T) {
	other := startNode(t)
	compared, differences := 0, map[string]int{}
	for _, history := range histories() {
		theirs := asTheirs(history)
		batch, variants := []any{}, clientMetadata()
		for _, m := range variants {
			e := defineEvent{}
			e.Request.Session, e.Request.ClientMetadata = theirs, m
			batch = append(batch, e)
		}
		for i, got := range other.all(t, defineModule, batch...) {
			var answer defineEvent
			if err := json.Unmarshal(got.Event, &answer); err != nil {
				t.Fatalf("%v: %s, %v", show(history), got.Error, err)
			}
			want := decision(answer.Response)
			for _, session := range [][]*round{history, theirs} {
				e := defineEvent{}
				e.Request.Session, e.Request.ClientMetadata = session, variants[i]
				ours, err := define.Handle(t.Context(), e)
				if err != nil {
					t.Fatal(err)
				}
				compared++
				why := differsOnPurpose(history, variants[i])
				switch mine := decision(ours.Response); {
				case why != "" && (want != "deny" || mine != "ask"):
					t.Errorf("%v with %v: we %s, they %s; we should ask and they deny: %s", show(session), variants[i], mine, want, why)
				case why != "":
					differences[why]++
				case mine != want:
					t.Errorf("%v with %v: we %s, they %s", show(session), variants[i], mine, want)
				}
			}
			if t.Failed() {
				t.FailNow()
			}
		}
	}
	t.Logf("%d decisions compared; different on purpose: %v", compared, differences)
}

// TestDefineNeverIssuesForNobody is where we differ whatever the history: their Define leaves an unknown user to Verify alone.
func TestDefineNeverIssuesForNobody(t *testing.T) {
	other := startNode(t)
	e := defineEvent{}
	e.Request.UserNotFound = true
	e.Request.Session = []*round{{ChallengeName: challenge.CustomChallenge, ChallengeResult: true, ChallengeMetadata: challenge.ProvideAuthParameters}}
	e.Request.ClientMetadata = map[string]string{challenge.KeySignInMethod: string(challenge.FIDO2)}
	var theirs defineEvent
	other.trigger(t, defineModule, e, &theirs)
	ours, err := define.Handle(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if mine, other := decision(ours.Response), decision(theirs.Response); mine != "deny" || other != "issue" {
		t.Errorf("we %s, they %s; want deny and issue", mine, other)
	}
}

// show writes a history in a line.
func show(history []*round) string {
	var b strings.Builder
	for _, r := range history {
		b.WriteString(r.ChallengeName + "/" + r.ChallengeMetadata)
		if r.ChallengeResult {
			b.WriteString("/passed")
		}
		b.WriteString(" ")
	}
	return b.String()
}
