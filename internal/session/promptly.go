package session

import (
	"context"
	"fmt"
	"time"
)

// promptly does work to its end, whether or not the client stays, and returns what it answers on the way. It fails with
// [ErrUnavailable] if there is no answer within 2.5 seconds; what is left of that time it waits for the end. The rest is done in
// the background, see [Manager.Wait].
func (m *Manager) promptly(ctx context.Context, work func(ctx context.Context, answer func(error))) error {
	answered := make(chan error, 2)
	f := &flight{done: make(chan struct{})}
	m.flights.follow(f)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		defer func() {
			if p := recover(); p != nil { // a Refresher's bug ends no process
				m.logger().Error("ending a session panicked", "panic", fmt.Sprint(p))
				answered <- fmt.Errorf("%w: a panic", ErrUnavailable)
			}
			m.flights.forget(f)
			close(f.done)
		}()
		work(ctx, func(err error) { answered <- err })
	}()
	patience := time.NewTimer(answerWithin)
	defer patience.Stop()
	select {
	case err := <-answered:
		select {
		case <-f.done:
		case <-patience.C:
		}
		return err
	case <-patience.C:
		return fmt.Errorf("%w: storage does not answer within %s", ErrUnavailable, answerWithin)
	}
}

func (fl *flights) follow(f *flight) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if fl.others == nil {
		fl.others = make(map[*flight]struct{})
	}
	fl.others[f] = struct{}{}
}

func (fl *flights) forget(f *flight) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	delete(fl.others, f)
}
