package passkey_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// A passkey that a session carried along verifies like the stored one, whatever its algorithm.
func TestCarriedPasskeyVerifies(t *testing.T) {
	for _, algorithm := range []int{passkeytest.ES256, passkeytest.RS256, passkeytest.EdDSA, passkeytest.ES384} {
		sc := newScene(t, func(s *passkey.Settings) { s.Algorithms = []int{-7, -257, -8, -35} })
		device := passkeytest.NewAuthenticator(exampleOrigin)
		device.Algorithm, device.Counter = algorithm, true
		stored := sc.register(t, device)
		list := passkey.Carry([]passkey.Credential{{ID: []byte("another")}, stored})
		c, err := passkey.Carried(list, alice.Handle, stored.ID)
		if err != nil {
			t.Fatal(err)
		}
		o := sc.request(t)
		if _, err := sc.Settings.Check(device.Get(t, o), o.Challenge, c); err != nil {
			t.Errorf("algorithm %d: %v", algorithm, err)
		}
		if strings.Contains(list, stored.UserHandle) || strings.Contains(list, stored.FriendlyName) {
			t.Error("the session carries more than it needs")
		}
	}
}

func TestCarriedPasskeysAreTheUsersAll(t *testing.T) {
	if got := passkey.Carry(nil); got != "[]" {
		t.Errorf("none: %q", got)
	}
	for _, list := range []string{"[]", "null", `[{"id":""}]`, passkey.Carry([]passkey.Credential{{ID: []byte("one")}})} {
		for _, id := range [][]byte{nil, []byte("two")} {
			if c, err := passkey.Carried(list, "u", id); !errors.Is(err, passkey.ErrUnknownCredential) || !reflect.DeepEqual(c, passkey.Credential{}) {
				t.Errorf("%s in %s: %+v, %v", id, list, c, err)
			}
		}
	}
	many := make([]passkey.Credential, 21)
	if got := passkey.Carry(many); got != "" {
		t.Errorf("21 passkeys: %d bytes", len(got))
	}
	large := []passkey.Credential{{ID: make([]byte, 700), PublicKey: passkey.PublicKey{N: strings.Repeat("A", 16<<10)}}}
	if got := passkey.Carry(large); got != "" {
		t.Errorf("a large key: %d bytes", len(got))
	}
}

func FuzzCarried(f *testing.F) {
	f.Add(passkey.Carry([]passkey.Credential{{ID: []byte("one"), SignCount: 7}}), []byte("one"))
	f.Add(`[{"id":1}]`, []byte{})
	f.Fuzz(func(t *testing.T, list string, id []byte) {
		c, err := passkey.Carried(list, "u", id)
		if err != nil {
			if !reflect.DeepEqual(c, passkey.Credential{}) {
				t.Errorf("an error and a passkey: %+v", c)
			}
			return
		}
		again, err := passkey.Carried(passkey.Carry([]passkey.Credential{c}), "u", id)
		if string(c.ID) != string(id) || err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%+v again: %+v, %v", c, again, err)
		}
	})
}
