package caddyauth

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/userpool"
)

// trackingPool is a pool that tracks devices: a refresh token works only with the key of its device, once that is confirmed.
type trackingPool struct {
	*fakePool
	devices   int
	confirmed map[string]bool
	fails     error // to confirm
}

func (p *trackingPool) Respond(ctx context.Context, in userpool.Response) (userpool.Result, error) {
	result, err := p.fakePool.Respond(ctx, in)
	if result.Tokens != nil {
		p.devices++
		result.Tokens.Device = &userpool.Device{Key: fmt.Sprint("eu-west-1_device", p.devices), GroupKey: "-group"}
	}
	return result, err
}

func (p *trackingPool) ConfirmDevice(_ context.Context, accessToken string, d userpool.Device) error {
	if accessToken == "" || d.GroupKey != "-group" {
		return userpool.ErrNotAuthorized
	}
	if p.fails == nil {
		p.confirmed[d.Key] = true
	}
	return p.fails
}

func (p *trackingPool) Refresh(_ context.Context, refreshToken, deviceKey string) (userpool.Tokens, error) {
	if refreshToken == "" || !p.confirmed[deviceKey] {
		return userpool.Tokens{}, userpool.ErrDoubtful
	}
	return p.p.tokens(poolUser{annaSub, anna}, p.p.clock.Now()), nil
}

func newTracking(t *testing.T) (*portalTest, *trackingPool) {
	t.Helper()
	p := newPortal(t)
	pool := &trackingPool{fakePool: p.pool, confirmed: make(map[string]bool)}
	p.rt.pool = pool
	p.rt.sessions.Refresher, p.rt.sessions.Traded = poolRefresher{p.rt}, p.rt.traded
	return p, pool
}

// A pool tracks devices. Sessions last over many access tokens, a step-up brings another device, and nobody is signed out.
func TestSessionsOfAPoolThatTracksDevices(t *testing.T) {
	p, pool := newTracking(t)
	b := p.browser()
	s := b.signInByLink(anna)
	for round := range 3 {
		p.clock.Advance(time.Hour)
		fresh, err := p.rt.sessions.Refresh(t.Context(), s)
		if err != nil || fresh.Generation != uint64(round+2) {
			t.Fatalf("round %d: generation %d, %v", round, fresh.Generation, err)
		}
		s = fresh
	}
	again := p.pool.p.tokens(poolUser{annaSub, anna}, p.clock.Now())
	again.Device = &userpool.Device{Key: "eu-west-1_other", GroupKey: "-group"}
	stronger, err := p.rt.freshFrom(t.Context(), again)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = p.rt.sessions.StepUp(t.Context(), s, stronger, session.SMS); err != nil {
		t.Fatal(err)
	}
	delete(pool.confirmed, "eu-west-1_device1")
	p.clock.Advance(time.Hour)
	if _, err = p.rt.sessions.Refresh(t.Context(), s); err != nil {
		t.Errorf("after a step-up: %v", err)
	}
}

// The device cannot be confirmed: people sign in, and the operator reads in the log why their sessions are short.
func TestSignInOutlivesAnUnconfirmedDevice(t *testing.T) {
	p, pool := newTracking(t)
	pool.fails = userpool.ErrUnavailable
	s := p.browser().signInByLink(anna)
	if len(p.logs.FilterMessageSnippet("could not confirm the device").All()) != 1 {
		t.Error("the log says nothing")
	}
	p.clock.Advance(59 * time.Minute)
	if _, err := p.rt.sessions.Refresh(t.Context(), s); err != nil {
		t.Errorf("while its token is valid: %v", err)
	}
	p.rt.sessions.Wait()
	lines := p.logs.FilterMessage("refresh_failed").All()
	if len(lines) != 1 || lines[0].ContextMap()["reason"] != "doubtful" {
		t.Errorf("the audit log has %v", lines)
	}
	p.clock.Advance(time.Minute)
	if _, err := p.rt.sessions.Refresh(t.Context(), s); !errors.Is(err, session.ErrRefused) {
		t.Errorf("afterwards: %v", err)
	}
}
