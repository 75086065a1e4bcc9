package caddyauth

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-cognito/passwordless/userpool"
)

// Attack: sending a mail takes time, so the lack of it would tell who has no account.
func TestAttackTimeThatSendingTakes(t *testing.T) {
	for _, c := range []struct {
		name  string
		mode  string
		takes time.Duration // sending to Anna
		anna  []time.Duration
		other []time.Duration
	}{
		{"closed", SignUpClosed, 300 * time.Millisecond, []time.Duration{700 * time.Millisecond}, []time.Duration{time.Second}},
		{"invitation", SignUpInvitation, 0, []time.Duration{time.Second}, []time.Duration{time.Second}},
		{"a slow mail server", SignUpClosed, 3 * time.Second, nil, []time.Duration{time.Second}},
		{"a clock set back meanwhile", SignUpClosed, -time.Minute, []time.Duration{time.Second}, []time.Duration{time.Second}},
		{"everybody gets a mail", SignUpOpen, 300 * time.Millisecond, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPortal(t, func(r *Realm, _ *Portal) { r.SignUp.Mode = c.mode })
			p.pool.initiate = func(username string) (userpool.Challenge, error) {
				if username != anna {
					return userpool.Challenge{}, userpool.ErrNotAuthorized
				}
				return userpool.Challenge{Session: "s", Username: annaSub}, nil
			}
			p.pool.respond = func(userpool.Response) (userpool.Result, error) {
				p.clock.Advance(c.takes)
				return userpool.Result{}, nil
			}
			for email, want := range map[string][]time.Duration{anna: c.anna, "nobody@example.com": c.other} {
				p.paused = nil
				b := p.browser()
				b.submit("/auth/sign-in", "flow", p.found(b.get("/auth/sign-in"), flowField), "email", email)
				if len(p.paused) != len(want) || len(want) > 0 && p.paused[0] != want[0] {
					t.Errorf("%s waits for %v, not %v", email, p.paused, want)
				}
			}
		})
	}
}

// Whoever does not wait for the answer still gets to know that a newer link replaced the one before.
func TestLinkIsNotedBeforeTheWait(t *testing.T) {
	p := newPortal(t, func(r *Realm, _ *Portal) { r.SignUp.Mode = SignUpClosed })
	waited := false
	p.rt.pause = func(context.Context, time.Duration) {
		known, err := p.rt.recall(t.Context(), markSent, sentKey(anna), new(sentLink))
		if waited = true; err != nil || !known {
			t.Errorf("noted: %v, %v", known, err)
		}
	}
	b := p.browser()
	b.submit("/auth/sign-in", "flow", p.found(b.get("/auth/sign-in"), flowField), "email", anna)
	if !waited {
		t.Error("no wait")
	}
}

// Whoever goes away while it waits is not waited for.
func TestPauseEndsWithItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		pause(t.Context(), time.Second)
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("waited for %s, not a second", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		pause(ctx, time.Hour)
		if waited := time.Since(began); waited != 2*time.Second {
			t.Errorf("waited for %s, not for a second after the first", waited)
		}
	})
}
