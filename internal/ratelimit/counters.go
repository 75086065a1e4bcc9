package ratelimit

import (
	"hash/maphash"
	"sync"
	"time"
)

// scope is what a bucket belongs to.
type scope int

const (
	scopeAddress scope = iota
	scopeNetwork
	scopeSite
	scopeAccount
	scopeOverall
	scopeDay
	scopes
)

// Charge is one token of one bucket.
type Charge struct {
	Act   Act
	scope scope
	Key   string
	Rate  Rate
	Keep  float64 // tokens to leave to others
	Soft  bool    // counts and never refuses
}

// Counters hold the buckets. [Memory] counts in one process; a store that processes share would implement the same.
type Counters interface {
	// Used is how many tokens of a bucket are taken at this moment. It may be too many, and never too few.
	Used(now time.Time, c Charge) float64
	// Take takes every token or, if one of them is not to be had, none, and returns how long to wait; zero means taken.
	Take(now time.Time, charges []Charge) time.Duration
}

// The size of a table. Each key has one cell in each row, and the emptiest of them counts.
const (
	rows  = 4
	cells = 1 << 14
)

// Memory counts in this process, in a constant amount of memory (half a megabyte for each act and scope in use) and time.
//
// A table is a count-min sketch of GCRA cells: keys are spread over it by a hash with a secret seed, and keys that share a cell in one row
// do so in the other rows by chance only. Nothing is ever evicted, so no flood of made-up keys erases what was counted: it can
// only make buckets look fuller than they are. Only acts that were allowed are counted, so the overall budget bounds that too.
type Memory struct {
	mu     sync.Mutex
	seed   maphash.Seed
	tables [standing + 1][scopes]*table
	last   int64 // newest time, see at
	ahead  int64
}

// jitter is how far the times of concurrent calls may be out of order.
const jitter = int64(time.Second)

// at is now in Unix nanoseconds, on a clock that never goes back: when the computer's clock is set back, the time goes on from where it was. Otherwise
// buckets would look emptier than they are, or full, and which of the two would depend on how far the clock was set back.
func (m *Memory) at(now time.Time) int64 {
	at := now.UnixNano() + m.ahead
	if at < m.last {
		if m.last-at > jitter {
			m.ahead += m.last - at
		}
		return m.last
	}
	m.last = at
	return at
}

// NewMemory returns counters with every bucket full.
func NewMemory() *Memory { return &Memory{seed: maphash.MakeSeed()} }

// table has, for each row and cell, the time in Unix nanoseconds at which the bucket is full again (the theoretical arrival time of ITU-T
// I.371's generic cell rate algorithm).
type table [rows][]int64

// spot is a key's cell in each row.
type spot [rows]*int64

func (m *Memory) find(c Charge) spot {
	t := m.tables[c.Act][c.scope]
	if t == nil {
		size := cells
		if c.scope == scopeOverall || c.scope == scopeDay {
			size = 1
		}
		t = new(table)
		for i := range t {
			t[i] = make([]int64, size)
		}
		m.tables[c.Act][c.scope] = t
	}
	hash := maphash.String(m.seed, c.Key)
	var s spot
	for i := range s {
		s[i] = &t[i][hash>>(16*i)&uint64(len(t[i])-1)]
	}
	return s
}

// backlog is how long the bucket takes to fill up. A cell further ahead than an empty bucket of this rate says nothing any more: the limit has
// been changed.
func (s spot) backlog(now int64, r Rate) time.Duration {
	empty := now + int64(r.size())
	full := empty
	for _, cell := range s {
		if *cell > empty {
			*cell = now
		}
		full = min(full, *cell)
	}
	return max(0, time.Duration(full-now))
}

// raise counts one token, in the cells that have counted less.
func (s spot) raise(now int64, r Rate) {
	full := now + int64(min(s.backlog(now, r)+r.Every, r.size()))
	for _, cell := range s {
		*cell = max(*cell, full)
	}
}

// Used implements [Counters].
func (m *Memory) Used(now time.Time, c Charge) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return float64(m.find(c).backlog(m.at(now), c.Rate)) / float64(c.Rate.Every)
}

// Take implements [Counters].
func (m *Memory) Take(now time.Time, charges []Charge) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.at(now)
	var wait time.Duration
	spots := make([]spot, len(charges))
	for i, c := range charges {
		spots[i] = m.find(c)
		if !c.Soft {
			room := c.Rate.size() - time.Duration(c.Keep*float64(c.Rate.Every))
			wait = max(wait, spots[i].backlog(at, c.Rate)+c.Rate.Every-room)
		}
	}
	if wait > 0 {
		return wait
	}
	for i, c := range charges {
		spots[i].raise(at, c.Rate)
	}
	return 0
}
