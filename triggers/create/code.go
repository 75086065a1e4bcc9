package create

import (
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// characters derives n characters of an alphabet, each equally likely.
func (h *Handler) characters(alphabet string, n int, fields ...string) string {
	even := 256 - 256%len(alphabet) // the largest multiple that the values of a byte cover
	var b strings.Builder
	for block := 0; b.Len() < n; block++ {
		for _, v := range h.derive(append(fields, string(rune(block)))...) {
			if int(v) < even && b.Len() < n {
				b.WriteByte(alphabet[int(v)%len(alphabet)])
			}
		}
	}
	return b.String()
}

// linkCode is the short code of the mail that goes out in a round. It is bound to the Cognito session by its nonce and dies with it.
func (h *Handler) linkCode(e event, nonce string, round int) string {
	return h.characters(challenge.CodeAlphabet, challenge.CodeLength,
		"link code", nonce, strconv.Itoa(round), e.UserPoolID, e.CallerContext.ClientID, e.UserName)
}

// codeRound is the index of the first round that took a short code, which is the one that mailed it; -1 without one.
func codeRound(session []*events.CognitoEventUserPoolsChallengeResult) int {
	for i, r := range session {
		if r != nil && r.ChallengeMetadata == challenge.MetadataMagicLinkCode {
			return i
		}
	}
	return -1
}

// answerCode asks for the code that was mailed in a round, or for the link beside it. Every round of a session asks for the same code.
func (h *Handler) answerCode(e event, nonce string, round int) event {
	op := challenge.OperationKey(nonce, round)
	e.Response.PublicChallengeParameters = map[string]string{}
	e.Response.PrivateChallengeParameters = map[string]string{
		challenge.ParamChallenge:  challenge.ProvideMagicLink,
		challenge.ParamNonce:      nonce,
		challenge.ParamSecretCode: h.linkCode(e, nonce, round),
		challenge.ParamOperation:  challenge.EncodeBase64(op[:]),
	}
	e.Response.ChallengeMetadata = challenge.MetadataMagicLinkCode
	return e
}
