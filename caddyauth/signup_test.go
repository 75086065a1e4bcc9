package caddyauth

import (
	"slices"
	"strings"
	"testing"
)

// Where nobody may make an account, the portal never asks the pool to: not for strangers, and not for people it knows. The page does not
// promise one either.
func TestNobodySignsUpUninvited(t *testing.T) {
	for _, mode := range []string{SignUpInvitation, SignUpClosed} {
		t.Run(mode, func(t *testing.T) {
			p := newPortal(t, func(r *Realm, _ *Portal) { r.SignUp = &SignUp{Mode: mode} })
			b := p.browser()
			if page := b.get("/auth/sign-in").Body.String(); strings.Contains(page, "New here?") {
				t.Error("the page invites strangers")
			}
			for _, email := range []string{anna, "stranger@example.com"} {
				b.askForLink(email, appOrigin+"/")
			}
			if slices.Contains(p.pool.calls, "SignUp") {
				t.Errorf("the pool was asked for %q", p.pool.calls)
			}
			if p.pool.lastLink == "" {
				t.Error("whoever has an account got no link")
			}
		})
	}
}
