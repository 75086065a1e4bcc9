package caddyauth

import (
	"sync"
	"time"
)

// How much may wait at a time in one realm of one process.
const (
	keptPerPerson = 8
	keptBytes     = 64 << 20 // of all
	keptForms     = 4096     // of all
	keptShare     = 4        // the part of keptBytes that one person can have
)

// keepQuota bounds the forms that wait for a step-up, of each person by subject, for somebody may sign in any number of times. A form
// that was sent counts until it would have expired, so that sending and keeping by turns fills no storage either. The zero value is
// ready.
type keepQuota struct {
	mu    sync.Mutex
	forms []keptSize // in the order of their expiry
	bytes int
}

type keptSize struct {
	subject string
	size    int
	expires time.Time
}

// take counts a form, or reports that it is one too many.
func (q *keepQuota) take(subject string, size int, expires, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	over := 0
	for over < len(q.forms) && !now.Before(q.forms[over].expires) {
		q.bytes -= q.forms[over].size
		over++
	}
	q.forms = append(q.forms[:0], q.forms[over:]...)
	own, ownBytes := 0, size
	for i := range q.forms {
		if q.forms[i].subject == subject {
			own++
			ownBytes += q.forms[i].size
		}
	}
	if own >= keptPerPerson || ownBytes > keptBytes/keptShare || q.bytes+size > keptBytes || len(q.forms) >= keptForms {
		return false
	}
	q.forms = append(q.forms, keptSize{subject, size, expires})
	q.bytes += size
	return true
}
