package localpool

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// lockTimeout is how long Open waits for another process to let go of the file.
const lockTimeout = time.Second

// maxCommit bounds how many changes share one fsync.
const maxCommit = 256

// commitDelay is how long the writer waits for further changes while they come in company, as PostgreSQL's commit_delay does: an fsync
// holds up a processor that could make signatures. A change that comes alone does not wait.
const commitDelay = 5 * time.Millisecond

// sweepEvery is the least time between two removals of expired items, which ride in an ordinary commit.
const (
	sweepEvery = time.Minute
	sweepMost  = 2000
)

var errEmpty = errors.New("it is empty")

var errClosed = errors.New("the user pool is closed")

// database is one bbolt file with group commit: changes that arrive while an fsync runs share the next one, and each is
// acknowledged only after the fsync that made it durable.
type database struct {
	bolt    *bbolt.DB
	now     func() time.Time
	changes chan change
	done    chan struct{} // closed when the writer has stopped
	mu      sync.RWMutex  // guards closed against senders on changes
	closed  bool
	swept   time.Time                                                           // writer only
	dueUser atomic.Pointer[func(tx *bbolt.Tx, key []byte, now time.Time) error] // looks at an account whose time is over; nil: not yet
}

type change struct {
	apply  func(*bbolt.Tx) error
	result chan error
}

// openDatabase opens or creates the file. An existing file is read and checked completely before it is opened for writing.
func openDatabase(path string, now func() time.Time) (*database, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("creating the folder of the data file: %w", err)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist): // a first start
	case err != nil:
		return nil, fmt.Errorf("opening data file: %w", err)
	case info.Size() == 0: // no pool ever leaves such a file, but a full disk or a failed copy does
		return nil, damaged(path, errEmpty)
	default:
		if err := checkFile(path); err != nil {
			return nil, err
		}
	}
	// The list of free pages is made anew on opening, which reads every page anyway, instead of being written with every commit.
	options := &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType, NoFreelistSync: true}
	bolt, err := bbolt.Open(path, 0o600, options)
	if err != nil {
		return nil, openError(path, err)
	}
	d := &database{bolt: bolt, now: now, changes: make(chan change, maxCommit), done: make(chan struct{})}
	go d.write()
	return d, nil
}

// openError says what to do about a file that cannot be opened.
func openError(path string, err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("data file %s is in use by another process: stop that process, or give this one a file of its own", path)
	case errors.Is(err, os.ErrPermission), errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("opening data file: %w", err)
	}
	return damaged(path, err)
}

func damaged(path string, err error) error {
	return fmt.Errorf("data file %s is damaged or not a user pool's (%w); it has been left as it is: restore a backup, or move it away to start with an empty pool", path, err)
}

// view runs a read-only transaction.
func (d *database) view(fn func(*bbolt.Tx) error) error {
	err := d.bolt.View(fn)
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return errClosed
	}
	return err
}

// update runs fn in a write transaction and returns after it is durable. fn may run more than once: it must set its results
// afresh each time. An error from fn undoes what it wrote. When ctx ends first, the change may or may not have happened.
func (d *database) update(ctx context.Context, fn func(*bbolt.Tx) error) error {
	c := change{apply: fn, result: make(chan error, 1)}
	d.mu.RLock()
	if d.closed {
		d.mu.RUnlock()
		return errClosed
	}
	select {
	case d.changes <- c:
		d.mu.RUnlock()
	case <-ctx.Done():
		d.mu.RUnlock()
		return ctx.Err()
	}
	select {
	case err := <-c.result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *database) write() {
	defer close(d.done)
	company := false
	for first := range d.changes {
		if company || len(d.changes) > 0 {
			time.Sleep(commitDelay)
		}
		batch := []change{first}
	collect:
		for len(batch) < maxCommit {
			select {
			case next, ok := <-d.changes:
				if !ok {
					break collect
				}
				batch = append(batch, next)
			default:
				break collect
			}
		}
		company = len(batch) > 1
		d.commit(batch)
	}
}

// commit applies the changes in one transaction. A change that fails is taken out and answered, and the rest is tried again,
// so that nothing it wrote remains.
func (d *database) commit(batch []change) {
	for len(batch) > 0 {
		failed := -1
		var failure error
		err := d.bolt.Update(func(tx *bbolt.Tx) error {
			for i, c := range batch {
				if err := safely(c.apply, tx); err != nil {
					failed, failure = i, err
					return err
				}
			}
			return d.sweep(tx)
		})
		if failed < 0 {
			for _, c := range batch {
				c.result <- err
			}
			return
		}
		batch[failed].result <- failure
		batch = append(batch[:failed:failed], batch[failed+1:]...)
	}
}

// safely turns a panic of one change into its error: the writer serves everybody.
func safely(fn func(*bbolt.Tx) error, tx *bbolt.Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("changing the data file: %v", r)
		}
	}()
	return fn(tx)
}

// close waits for accepted changes and closes the file.
func (d *database) close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	close(d.changes)
	d.mu.Unlock()
	<-d.done
	return d.bolt.Close()
}

// Items are values that may expire: eight bytes with the Unix second after which they count as absent (0: never), JSON, and four bytes
// with the CRC-32C of key and value, so that damage is told from data.

// itemHead and itemTail are the bytes before and after an item's JSON.
const (
	itemHead = 8
	itemTail = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// intact reports whether an item is as it was stored.
func intact(key, value []byte) bool {
	body := len(value) - itemTail
	return body >= itemHead && binary.BigEndian.Uint32(value[body:]) == checksum(key, value[:body])
}

var errItem = errors.New("an item is not as it was stored")

// putItem stores v. A zero expires means never.
func putItem(tx *bbolt.Tx, bucket string, key []byte, expires time.Time, v any) error {
	encoded, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", bucket, err)
	}
	var until uint64
	if !expires.IsZero() {
		until = uint64(max(expires.Unix(), 1))
	}
	value := append(binary.BigEndian.AppendUint64(nil, until), encoded...)
	value = binary.BigEndian.AppendUint32(value, checksum(key, value))
	if err := tx.Bucket([]byte(bucket)).Put(key, value); err != nil {
		return fmt.Errorf("storing %s: %w", bucket, err)
	}
	if until == 0 {
		return nil
	}
	return tx.Bucket([]byte(bucketExpiry)).Put(expiryKey(until, bucket, key), nil)
}

// getItem reads into v and reports whether there is an unexpired item.
func getItem(tx *bbolt.Tx, bucket string, key []byte, now time.Time, v any) (bool, error) {
	value := tx.Bucket([]byte(bucket)).Get(key)
	if value == nil {
		return false, nil
	}
	if !intact(key, value) {
		return false, fmt.Errorf("reading %s from the data file: %w", bucket, errItem)
	}
	if expired(value, now) {
		return false, nil
	}
	if err := json.Unmarshal(value[itemHead:len(value)-itemTail], v); err != nil {
		return false, fmt.Errorf("reading %s from the data file: %w", bucket, err)
	}
	return true, nil
}

func expired(value []byte, now time.Time) bool {
	until := binary.BigEndian.Uint64(value)
	return until != 0 && now.Unix() > int64(until)
}

func deleteItem(tx *bbolt.Tx, bucket string, key []byte) error {
	return tx.Bucket([]byte(bucket)).Delete(key)
}

func expiryKey(until uint64, bucket string, key []byte) []byte {
	k := binary.BigEndian.AppendUint64(nil, until)
	k = append(append(k, bucket...), 0)
	return append(k, key...)
}

// sweep deletes expired items, oldest first, a bounded number at a time.
func (d *database) sweep(tx *bbolt.Tx) error {
	now := d.now()
	if now.Sub(d.swept) < sweepEvery {
		return nil
	}
	d.swept = now
	var due [][]byte
	c := tx.Bucket([]byte(bucketExpiry)).Cursor()
	for k, _ := c.First(); k != nil && len(due) < sweepMost; k, _ = c.Next() {
		if len(k) < 8 || int64(binary.BigEndian.Uint64(k)) >= now.Unix() {
			break
		}
		due = append(due, append([]byte(nil), k...))
	}
	dueUser := d.dueUser.Load()
	for _, k := range due {
		name, key, ok := cutZero(k[8:])
		users := ok && string(name) == bucketUsers
		if users && dueUser == nil {
			continue
		}
		if err := tx.Bucket([]byte(bucketExpiry)).Delete(k); err != nil {
			return err
		}
		if !ok || tx.Bucket(name) == nil {
			continue
		}
		if users {
			if err := (*dueUser)(tx, key, now); err != nil {
				return err
			}
			continue
		}
		// An item stored again with a later end has an expiry of its own.
		if value := tx.Bucket(name).Get(key); value != nil && intact(key, value) && expired(value, now) {
			if err := tx.Bucket(name).Delete(key); err != nil {
				return err
			}
		}
	}
	return nil
}
