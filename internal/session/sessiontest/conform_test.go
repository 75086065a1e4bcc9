package sessiontest_test

import (
	"testing"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

func TestStorageInMemoryConforms(t *testing.T) {
	storage := sessiontest.NewStorage()
	sessiontest.Conform(t, func(*testing.T) session.Storage { return storage })
}
