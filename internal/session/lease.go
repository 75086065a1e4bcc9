package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// leaseFor is how long a lock is respected whose holder gives no sign of life. It is far below the 60 seconds for which a
	// user pool should take a rotated refresh token again, and above what a busy machine makes a living holder pause.
	leaseFor   = 4 * time.Second
	leaseBeat  = time.Second
	innerLock  = 15 * time.Second       // longer than Caddy's file storage respects a dead process's lock
	leasePause = 100 * time.Millisecond // between two looks at a lock that is held

	// leaseFolder holds the leases. What a crash leaves there and nobody asks for again is removed after leaseLeft.
	leaseFolder = "passwordless/leases"
	leaseLeft   = time.Hour
)

var errLeaseLost = errors.New("the lock was taken over, for its holder gave no sign of life")

// Leased returns a storage whose locks are free 4 seconds after their holder's process has died, where those of s take longer:
// Caddy's file storage respects a dead process's lock for 10 seconds, during which a session cannot be refreshed, and a pool's
// grace for the refresh token runs. A lock is an item that its holder changes every second; s's own locks are held only to take
// it. Clocks of different nodes are never compared. What s can do beyond [Storage] the result cannot.
func Leased(s Storage) Storage {
	return &leased{Storage: Bounded(s), held: make(map[string]*lease)}
}

type leased struct {
	Storage
	tidied sync.Once
	mu     sync.Mutex
	held   map[string]*lease
}

// lease is a lock that this process holds.
type lease struct {
	holder string // random; the item is "<holder> <beat> <time>"
	stop   context.CancelFunc
	done   chan struct{}
}

func leaseKey(name string) string { return leaseFolder + "/" + name }

// Lock implements [Storage].
func (l *leased) Lock(ctx context.Context, name string) error {
	l.tidied.Do(func() { go l.tidy() })
	holder := rand.Text()
	seen, since := "", time.Now()
	for {
		current, err := l.read(ctx, name)
		if err != nil {
			return err
		}
		if current != seen {
			seen, since = current, time.Now()
		}
		if current == "" || time.Since(since) >= leaseFor {
			taken, err := l.take(ctx, name, current, holder)
			if err != nil {
				return err
			}
			if taken {
				l.keep(name, holder)
				return nil
			}
			continue
		}
		pause := time.NewTimer(leasePause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("waiting for a lock: %w", ctx.Err())
		}
	}
}

// Unlock implements [Storage]. A lock that was taken over meanwhile stays with its new holder and is an error.
func (l *leased) Unlock(ctx context.Context, name string) error {
	l.mu.Lock()
	mine := l.held[name]
	delete(l.held, name)
	l.mu.Unlock()
	if mine == nil {
		return errors.New("the lock is not held")
	}
	mine.stop()
	<-mine.done
	current, err := l.read(ctx, name)
	if err != nil {
		return err
	}
	if !mine.wrote(current) {
		return errLeaseLost
	}
	return l.Delete(ctx, leaseKey(name))
}

// read returns the item of a lock, "" if it is free.
func (l *leased) read(ctx context.Context, name string) (string, error) {
	raw, err := l.Load(ctx, leaseKey(name))
	if missing(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading a lock: %w", err)
	}
	return string(raw), nil
}

// take writes an item for holder, if the present one still is what was seen.
func (l *leased) take(ctx context.Context, name, seen, holder string) (bool, error) {
	return l.change(ctx, name, func(current string) bool { return current == seen }, holder, 0)
}

// change replaces an item, where allowed says so, as one step among all processes.
func (l *leased) change(ctx context.Context, name string, allowed func(current string) bool, holder string, beat int) (changed bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, innerLock)
	defer cancel()
	if err := l.Storage.Lock(waiting, name); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, l.Storage.Unlock(context.WithoutCancel(ctx), name)) }()
	current, err := l.read(ctx, name)
	if err != nil || !allowed(current) {
		return false, err
	}
	value := holder + " " + strconv.Itoa(beat) + " " + strconv.FormatInt(time.Now().Unix(), 10)
	if err := l.Store(ctx, leaseKey(name), []byte(value)); err != nil {
		return false, fmt.Errorf("writing a lock: %w", err)
	}
	return true, nil
}

func (m *lease) wrote(item string) bool { return strings.HasPrefix(item, m.holder+" ") }

// keep notes a lock that was taken and shows signs of life until it is released, or found in other hands.
func (l *leased) keep(name, holder string) {
	ctx, stop := context.WithCancel(context.Background())
	mine := &lease{holder: holder, stop: stop, done: make(chan struct{})}
	l.mu.Lock()
	l.held[name] = mine
	l.mu.Unlock()
	go func() {
		defer close(mine.done)
		ticker := time.NewTicker(leaseBeat)
		defer ticker.Stop()
		for beat := 1; ; beat++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if changed, err := l.change(ctx, name, mine.wrote, holder, beat); err == nil && !changed {
				return
			}
		}
	}()
}

// tidy removes what processes left that died long ago.
func (l *leased) tidy() {
	ctx, cancel := context.WithTimeout(context.Background(), sweepTimeout)
	defer cancel()
	keys, err := l.List(ctx, leaseFolder, false)
	if err != nil {
		return // the folder need not be there
	}
	for _, key := range keys {
		item, err := l.read(ctx, path.Base(key))
		if err != nil || item == "" {
			continue
		}
		written, err := strconv.ParseInt(item[strings.LastIndexByte(item, ' ')+1:], 10, 64)
		if err != nil || time.Since(time.Unix(written, 0)) > leaseLeft {
			_ = l.Delete(ctx, key)
		}
	}
}
