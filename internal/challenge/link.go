package challenge

import (
	"bytes"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// LinkSaltLength is the PSS salt length in bytes of a magic link's signature: that of the digest, as AWS KMS uses for
// RSASSA_PSS_SHA_512.
const LinkSaltLength = sha512.Size

// maxLink bounds the fragment of a magic link in bytes: a 2048-bit signature, and a message with a 128-character user name.
const maxLink = 4 << 10

// ErrMalformedLink says that a fragment is not a magic link.
var ErrMalformedLink = errors.New("malformed magic link")

// LinkMessage is what a magic link asserts. Times are Unix seconds.
type LinkMessage struct {
	UserName string `json:"userName"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// ExpiredAt reports whether the link is past its time, or claims to come from more than 5 minutes in the future.
func (m LinkMessage) ExpiredAt(now time.Time) bool {
	return now.Unix() > m.Expires || m.IssuedAt > now.Add(5*time.Minute).Unix()
}

// LinkContext is signed together with the message and never part of the link: a link of another pool or client does not
// verify.
type LinkContext struct {
	UserPoolID string `json:"userPoolId"`
	ClientID   string `json:"clientId"`
}

// Link is a magic link's fragment, taken apart.
type Link struct {
	Message   LinkMessage
	Raw       []byte // the message exactly as signed
	Signature []byte
}

// EncodeLinkMessage is the compact JSON that is signed, with the members in the order existing deployments use.
func EncodeLinkMessage(m LinkMessage) []byte { return compact(m) }

// LinkDigest is SHA-512(message ‖ context), the input of RSASSA-PSS.
func LinkDigest(message []byte, c LinkContext) []byte {
	h := sha512.New()
	h.Write(message)
	h.Write(compact(c))
	return h.Sum(nil)
}

// Answer is the fragment without "#": base64url(message) "." base64url(signature).
func (l Link) Answer() string { return EncodeBase64(l.Raw) + "." + EncodeBase64(l.Signature) }

// URL puts the fragment behind redirectURI, which may carry a query and must not carry a fragment.
func (l Link) URL(redirectURI string) string { return redirectURI + "#" + l.Answer() }

// ParseLink reads a fragment without "#". It verifies nothing.
func ParseLink(answer string) (Link, error) {
	if len(answer) > maxLink {
		return Link{}, fmt.Errorf("%w: over %d bytes", ErrMalformedLink, maxLink)
	}
	message, signature, ok := strings.Cut(answer, ".")
	if !ok || message == "" || signature == "" {
		return Link{}, fmt.Errorf("%w: want <message>.<signature>", ErrMalformedLink)
	}
	var l Link
	var err error
	if l.Raw, err = DecodeBase64(message); err != nil {
		return Link{}, fmt.Errorf("%w: the message is not base64url", ErrMalformedLink)
	}
	if l.Signature, err = DecodeBase64(signature); err != nil {
		return Link{}, fmt.Errorf("%w: the signature is not base64url", ErrMalformedLink)
	}
	if err := json.Unmarshal(l.Raw, &l.Message); err != nil || l.Message.UserName == "" {
		return Link{}, fmt.Errorf("%w: the message is not that of a link", ErrMalformedLink)
	}
	return l, nil
}

// compact is JSON as JavaScript's JSON.stringify writes it: no HTML escapes, no final newline.
func compact(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("challenge: plain structs always marshal: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
