package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// answerWithin is how long a request waits for storage or the user pool. With what else a request takes, it is answered
	// within 3 seconds.
	answerWithin = 2500 * time.Millisecond

	// maxHanging bounds the calls of one operation that storage has not returned from. Each may hold a thread, as reads of a
	// network file system that is gone do.
	maxHanging = 256
)

var errHanging = errors.New("storage does not answer")

// Bounded returns a storage whose calls end with their context, or after 2.5 seconds where that has no deadline, even if those
// of s do not. A call that was given up goes on in the background and may still take effect; a lock that comes late is
// released. At most 256 calls of one operation are under way; further ones wait for their turn, within the same time.
// What s can do as [Expirer] and [Taker] the result can do as well.
func Bounded(s Storage) Storage {
	b := &bounded{storage: s}
	for _, turns := range []*turns{&b.lock, &b.unlock, &b.store, &b.load, &b.delete, &b.exists, &b.list} {
		*turns = newTurns()
	}
	e, expires := s.(Expirer)
	t, takes := s.(Taker)
	expirer, taker := boundedExpirer{b, e}, boundedTaker{t, newTurns()}
	switch {
	case expires && takes:
		return struct {
			*bounded
			boundedExpirer
			boundedTaker
		}{b, expirer, taker}
	case expires:
		return struct {
			*bounded
			boundedExpirer
		}{b, expirer}
	case takes:
		return struct {
			*bounded
			boundedTaker
		}{b, taker}
	}
	return b
}

// turns are the places for calls of one operation.
type turns chan struct{}

func newTurns() turns { return make(turns, maxHanging) }

type bounded struct {
	storage                                         Storage
	lock, unlock, store, load, delete, exists, list turns
}

// within calls do and returns what it returns, unless ctx ends first. Then late, if set, is called if do succeeds after all.
func within[T any](ctx context.Context, t turns, do func(context.Context) (T, error), late func()) (result T, err error) {
	cancel := func() {}
	if _, limited := ctx.Deadline(); !limited {
		ctx, cancel = context.WithTimeout(ctx, answerWithin)
	}
	defer cancel()
	select {
	case t <- struct{}{}:
	case <-ctx.Done():
		return result, fmt.Errorf("%w: %d calls wait already: %w", errHanging, maxHanging, ctx.Err())
	}
	type outcome struct {
		result T
		err    error
	}
	answered, left := make(chan outcome), make(chan struct{})
	go func() {
		defer func() { <-t }()
		var o outcome
		func() {
			defer func() {
				if p := recover(); p != nil { // in a goroutine of its own it would end the process
					o.err = fmt.Errorf("storage panicked: %v", p)
				}
			}()
			o.result, o.err = do(ctx)
		}()
		select {
		case answered <- o:
		case <-left:
			if o.err == nil && late != nil {
				late()
			}
		}
	}()
	select {
	case o := <-answered:
		return o.result, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-answered: // it respects its context
		return o.result, o.err
	default:
		close(left)
		return result, fmt.Errorf("%w: %w", errHanging, ctx.Err())
	}
}

// nothing is the result of calls that have none.
type nothing = struct{}

// Lock implements [Storage].
func (b *bounded) Lock(ctx context.Context, name string) error {
	_, err := within(ctx, b.lock, func(ctx context.Context) (nothing, error) { return nothing{}, b.storage.Lock(ctx, name) },
		func() { _ = b.Unlock(context.Background(), name) })
	return err
}

// Unlock implements [Storage].
func (b *bounded) Unlock(ctx context.Context, name string) error {
	_, err := within(ctx, b.unlock, func(ctx context.Context) (nothing, error) { return nothing{}, b.storage.Unlock(ctx, name) }, nil)
	return err
}

// Store implements [Storage].
func (b *bounded) Store(ctx context.Context, key string, value []byte) error {
	_, err := within(ctx, b.store, func(ctx context.Context) (nothing, error) { return nothing{}, b.storage.Store(ctx, key, value) }, nil)
	return err
}

// Load implements [Storage].
func (b *bounded) Load(ctx context.Context, key string) ([]byte, error) {
	return within(ctx, b.load, func(ctx context.Context) ([]byte, error) { return b.storage.Load(ctx, key) }, nil)
}

// Delete implements [Storage].
func (b *bounded) Delete(ctx context.Context, key string) error {
	_, err := within(ctx, b.delete, func(ctx context.Context) (nothing, error) { return nothing{}, b.storage.Delete(ctx, key) }, nil)
	return err
}

// Exists implements [Storage]. It is true where storage does not answer: what is read next fails then, while a folder that is
// not there would count as an empty one.
func (b *bounded) Exists(ctx context.Context, key string) bool {
	exists, err := within(ctx, b.exists, func(ctx context.Context) (bool, error) { return b.storage.Exists(ctx, key), nil }, nil)
	return exists || err != nil
}

// List implements [Storage].
func (b *bounded) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	return within(ctx, b.list, func(ctx context.Context) ([]string, error) { return b.storage.List(ctx, path, recursive) }, nil)
}

type boundedExpirer struct {
	b       *bounded
	expirer Expirer
}

// StoreUntil implements [Expirer].
func (e boundedExpirer) StoreUntil(ctx context.Context, key string, value []byte, expires time.Time) error {
	_, err := within(ctx, e.b.store, func(ctx context.Context) (nothing, error) {
		return nothing{}, e.expirer.StoreUntil(ctx, key, value, expires)
	}, nil)
	return err
}

type boundedTaker struct {
	taker Taker
	turns turns
}

// Take implements [Taker].
func (t boundedTaker) Take(ctx context.Context, key string) ([]byte, error) {
	return within(ctx, t.turns, func(ctx context.Context) ([]byte, error) { return t.taker.Take(ctx, key) }, nil)
}
