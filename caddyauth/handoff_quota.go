package caddyauth

import (
	"sync"
	"time"
)

// How many handoffs one person can have made by opening pages, in one process: each is stored for a while. Signing in and stepping up
// have limits elsewhere.
const (
	handoffsPerPerson = 100
	handoffWindow     = 10 * time.Minute // as long as expired items wait to be swept
)

// handoffQuota counts handoffs by person, whose sessions may be many. The zero value is ready.
type handoffQuota struct {
	mu     sync.Mutex
	people map[string]*handoffCount
	swept  time.Time
}

// handoffCount is a fixed window.
type handoffCount struct {
	began time.Time
	made  int
}

// take counts a handoff. If it is one too many, wait says how long the person has to wait.
func (q *handoffQuota) take(subject string, now time.Time) (wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.people == nil || now.Sub(q.swept) >= handoffWindow || now.Before(q.swept) {
		q.sweep(now)
	}
	count := q.people[subject]
	if count == nil || count.over(now) {
		count = &handoffCount{began: now}
		q.people[subject] = count
	}
	if count.made >= handoffsPerPerson {
		return count.began.Add(handoffWindow).Sub(now)
	}
	count.made++
	return 0
}

// sweep forgets windows that are over, so that the memory needed follows the people of the last minutes.
func (q *handoffQuota) sweep(now time.Time) {
	kept := make(map[string]*handoffCount, len(q.people))
	for subject, count := range q.people {
		if !count.over(now) {
			kept[subject] = count
		}
	}
	q.people, q.swept = kept, now
}

// over reports whether the window is over; one from the future is of a clock that was set back.
func (c *handoffCount) over(now time.Time) bool {
	age := now.Sub(c.began)
	return age < 0 || age >= handoffWindow
}
