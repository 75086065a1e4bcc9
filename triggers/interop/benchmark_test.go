package interop_test

import (
	"testing"

	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// BenchmarkVerifyPasskey is a warm Verify of one assertion, over and over, on one table of DynamoDB Local: our handler, and the other side's in
// a Node process that is warm too.
func BenchmarkVerifyPasskey(b *testing.B) {
	s := newSides(b, startTable(b), false)
	a := newAccount()
	device := passkeytest.NewAuthenticator(ownSite) // without a counter, as synced passkeys are
	register(b, s.ours, a, device)
	for _, name := range []string{"theirs", "ours"} {
		b.Run(name, func(b *testing.B) {
			by := s.named()[name]
			o := by.offer(b, a)
			answer := assertion(b, o, device)
			for range 20 { // warm
				by.check(b, a, o.PrivateChallengeParameters, answer)
			}
			for b.Loop() {
				if !by.check(b, a, o.PrivateChallengeParameters, answer) {
					b.Fatal("refused")
				}
			}
		})
	}
}
