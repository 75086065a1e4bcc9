package embedded

import (
	"errors"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/caddyauth"
	"github.com/caddy-cognito/passwordless/userpool"
)

// A configuration that is being replaced may still have requests under way when the pool's file is closed: they find a pool that cannot be
// reached, which the portal has a page for, and nothing worse.
func TestClosedPoolIsUnavailable(t *testing.T) {
	p := &UserPool{Path: filepath.Join(t.TempDir(), "pool.db")}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if err := p.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	portal := &url.URL{Scheme: "http", Host: "localhost:8080", Path: "/auth/"}
	opened, err := p.OpenUserPool(ctx, caddyauth.RealmSettings{
		Name: "default", Portal: portal, LinkRedirectURIs: []string{portal.JoinPath("link").String()}, SignUpMode: caddyauth.SignUpOpen, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	signUp := userpool.SignUp{Username: "anna@example.com", Attributes: map[string]string{"email": "anna@example.com"}}
	if err := opened.Pool.SignUp(ctx, signUp); err != nil {
		t.Fatal(err)
	}
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"SignUp": func() error { return opened.Pool.SignUp(ctx, signUp) },
		"Initiate": func() error {
			_, err := opened.Pool.Initiate(ctx, "anna@example.com")
			return err
		},
		"Refresh": func() error {
			_, err := opened.Pool.Refresh(ctx, "a refresh token", "")
			return err
		},
	} {
		if err := call(); !errors.Is(err, userpool.ErrUnavailable) {
			t.Errorf("%s: %v, want unavailable", name, err)
		}
	}
	if _, err := opened.Credentials.List(ctx, "anna", ""); err == nil {
		t.Error("passkeys came from a closed file")
	}
}
