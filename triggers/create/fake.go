package create

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// derive is HMAC-SHA256 under the secret over length-prefixed fields, the purpose first.
func (h *Handler) derive(fields ...string) []byte {
	mac := hmac.New(sha256.New, h.Secret)
	for _, f := range fields {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(f)))
		mac.Write(n[:])
		mac.Write([]byte(f))
	}
	return mac.Sum(nil)
}

// digits derives n decimal digits, each of the ten equally likely.
func (h *Handler) digits(n int, fields ...string) string {
	return h.characters("0123456789", n, fields...)
}

// fakeBasis names a user in fakes. It is the same before and after sign-up by mail address, and in any spelling.
func fakeBasis(e event) string {
	name := e.UserName
	if a := e.Request.UserAttributes["email"]; a != "" {
		name = a
	}
	return strings.ToLower(strings.TrimSpace(name))
}

// Lengths and transports of the credential IDs that common passkey providers make.
var (
	fakeLengths    = []int{16, 20, 32, 32}
	fakeTransports = [][]string{{"hybrid", "internal"}, {"internal", "hybrid"}, {"internal"}, {"hybrid", "internal"}}
)

// fakeCredentials stand in for those of a user who is unknown or has none: mostly one, the same at every call.
func (h *Handler) fakeCredentials(basis string) []challenge.CredentialDescriptor {
	kind := h.derive("passkey kind", basis)
	count := 1
	if kind[0] < 64 {
		count = 2
	}
	list := make([]challenge.CredentialDescriptor, count)
	for i := range list {
		shape := kind[1+i] % 4
		id := h.derive("passkey id", basis, string(rune(i)))
		list[i] = challenge.CredentialDescriptor{ID: challenge.EncodeBase64(id[:fakeLengths[shape]]), Transports: fakeTransports[shape]}
	}
	return list
}
