package caddyauth

import (
	"context"
	"time"
)

// linkTime is the least a request for a link takes where not every address may sign up: nothing is sent to strangers there, sending takes
// time, and the lack of it would tell who has an account. A mail is usually handed over in less.
const linkTime = time.Second

// evenOut waits until a request that began then has taken linkTime, or its client is gone.
func (v *portalVisit) evenOut(began time.Time) {
	if s := v.rt.config.SignUp; s != nil && s.Mode == SignUpOpen {
		return
	}
	if rest := linkTime - v.rt.now().Sub(began); rest > 0 {
		v.rt.pause(v.r.Context(), min(rest, linkTime))
	}
}

// pause waits.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
