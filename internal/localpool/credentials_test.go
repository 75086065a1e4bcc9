package localpool

import (
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

func TestCredentialStore(t *testing.T) {
	passkeytest.RunStore(t, func(t *testing.T) passkey.Store {
		config := testConfig(t, newClock())
		config.Now = time.Now
		return openPool(t, config).Credentials()
	})
}
