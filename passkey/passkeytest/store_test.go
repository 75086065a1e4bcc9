package passkeytest_test

import (
	"testing"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

func TestStore(t *testing.T) {
	passkeytest.RunStore(t, func(*testing.T) passkey.Store { return passkeytest.NewStore() })
}
