package localpool

import (
	"crypto/hmac"
	"crypto/sha256"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

var errPageToken = invalidParameter("Invalid pagination token.")

// pageMACSize is the length of the MAC in a pagination token, in bytes.
const pageMACSize = 16

// pageToken says where a list goes on: after the entry of this name. It is authenticated, so that a mistyped or foreign token is an error and
// not an early end of the list. The entry itself may be gone by the time of the next request.
func (p *Pool) pageToken(list, last string) string {
	return challenge.EncodeBase64(append(p.pageMAC(list, last), last...))
}

// pageStart is the name after which a page begins: "" for the first page, whose request has no token.
func (p *Pool) pageStart(list, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	raw, err := challenge.DecodeBase64(token)
	if err != nil || len(raw) <= pageMACSize {
		return "", errPageToken
	}
	last := string(raw[pageMACSize:])
	if !hmac.Equal(raw[:pageMACSize], p.pageMAC(list, last)) {
		return "", errPageToken
	}
	return last, nil
}

func (p *Pool) pageMAC(list, last string) []byte {
	mac := hmac.New(sha256.New, p.identity.StandIn)
	mac.Write([]byte("page\x00" + list + "\x00" + last))
	return mac.Sum(nil)[:pageMACSize]
}
