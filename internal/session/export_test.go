package session

import "context"

// Tick is one round of everything that Run does.
func Tick(m *Manager, ctx context.Context) {
	for _, job := range m.jobs() {
		job(ctx)
	}
}
