package session

import "context"

// Tick is one round of Run.
func Tick(m *Manager, ctx context.Context) { m.tick(ctx) }
