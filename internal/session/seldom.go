package session

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// seldomEvery is the least time between two lines about the same kind of fault.
const seldomEvery = time.Minute

// seldom logs a fault that every request can meet, once a minute. The zero value is ready.
type seldom struct {
	mu    sync.Mutex
	last  time.Time
	since int // lines left out since the last one
}

func (s *seldom) log(m *Manager, level slog.Level, message string, attributes ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	if age := now.Sub(s.last); !s.last.IsZero() && age >= 0 && age < seldomEvery {
		s.since++
		return
	}
	m.logger().Log(context.Background(), level, message, append(attributes, "left_out", s.since)...)
	s.last, s.since = now, 0
}
