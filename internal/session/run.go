package session

import (
	"context"
	"sync"
	"time"
)

// Run keeps the deny list and the key ring up to date, retries revocations and removes what has expired, until ctx is done and no refresh is under way. None of these
// waits for another: a pool or a storage that is silent must not keep this process from hearing of sign-outs.
func (m *Manager) Run(ctx context.Context) {
	var jobs sync.WaitGroup
	for _, job := range m.jobs() {
		jobs.Go(func() { often(ctx, job) })
	}
	jobs.Wait()
	m.Wait()
}

func (m *Manager) jobs() [3]func(context.Context) {
	return [...]func(context.Context){m.pollInTime, m.maintainKeys, m.sweepWhenDue}
}

// often does a job now and then every 5 seconds, until ctx is done.
func often(ctx context.Context, job func(context.Context)) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		job(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (m *Manager) pollInTime(ctx context.Context) {
	round, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	if err := m.Poll(round); err != nil && ctx.Err() == nil {
		m.logger().Error("nobody is let in when this lasts for a minute", "error", err)
	}
}

func (m *Manager) maintainKeys(ctx context.Context) {
	round, cancel := context.WithTimeout(ctx, ringTimeout)
	defer cancel()
	if err := m.Keys.Maintain(round); err != nil && ctx.Err() == nil {
		m.logger().Error("keeping the key ring", "error", err)
	}
}
