package localpool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// closedFile is the bytes of a pool's file with some data in it, without what bbolt keeps in reserve behind its last page.
func closedFile(t testing.TB) (path string, raw []byte) {
	t.Helper()
	config := testConfig(t, newClock())
	p, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	signUp(t, p, alice)
	signInByLink(t, p, alice)
	var used int64
	if err := p.db.view(func(tx *bbolt.Tx) error { used = tx.Size(); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if raw, err = os.ReadFile(config.Path); err != nil {
		t.Fatal(err)
	}
	return config.Path, raw[:used]
}

// openBytes tries to open a file of these bytes and checks that a refusal left it as it was.
func openBytes(t *testing.T, path string, raw []byte) error {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	config := testConfig(t, newClock())
	config.Path = path
	p, err := Open(config)
	if err == nil {
		return p.Close()
	}
	after, rerr := os.ReadFile(path)
	if rerr != nil {
		t.Fatal(rerr)
	}
	if !bytes.Equal(raw, after) {
		t.Errorf("the refused file was changed (%v)", err)
	}
	if !strings.Contains(err.Error(), path) {
		t.Errorf("the error does not name the file: %v", err)
	}
	return err
}

func TestDamagedFileIsRefusedAndLeftAlone(t *testing.T) {
	path, good := closedFile(t)
	page := os.Getpagesize()
	edit := func(fn func(b []byte) []byte) []byte { return fn(bytes.Clone(good)) }
	for name, raw := range map[string][]byte{
		"empty":          {},
		"text":           []byte("this is no database\n"),
		"zeros":          make([]byte, len(good)),
		"truncated":      good[:len(good)/2/page*page],
		"one page short": good[:len(good)-page],
		"random": edit(func(b []byte) []byte {
			for i := range b {
				b[i] = byte(rand.Uint32())
			}
			return b
		}),
		"both meta pages": edit(func(b []byte) []byte { clear(b[16 : 2*page]); return b }),
		"one letter of a user": edit(func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("Alice@"), []byte("Malice")) // stale copies in free pages too
		}),
		"the data pages": edit(func(b []byte) []byte {
			for i := 2 * page; i < len(b); i++ {
				b[i] ^= 0x5a
			}
			return b
		}),
	} {
		t.Run(name, func(t *testing.T) {
			err := openBytes(t, path, raw)
			if err == nil {
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), "left as it is") {
				t.Errorf("%v", err)
			}
		})
	}
	if err := openBytes(t, path, good); err != nil {
		t.Errorf("the good file: %v", err)
	}
}

// No damage to the structure may crash the process: a file is refused and left alone, or opens and closes.
func FuzzDamagedFile(f *testing.F) {
	path, good := closedFile(f)
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		f.Add(uint32(random.IntN(len(good)/os.Getpagesize())*os.Getpagesize()+random.IntN(200)), byte(1+random.IntN(255)), uint32(0))
	}
	f.Add(uint32(0), byte(0), uint32(os.Getpagesize()))
	f.Fuzz(func(t *testing.T, at uint32, flip byte, cut uint32) {
		raw := bytes.Clone(good)
		raw[int(at)%len(raw)] ^= flip
		raw = raw[:len(raw)-int(cut)%len(raw)]
		_ = openBytes(t, path, raw)
	})
}

func TestForeignDatabaseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("theirs"))
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := openBytes(t, path, raw); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("got %v", err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path, _ := closedFile(t)
	db, err := openDatabase(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	err = db.update(t.Context(), func(tx *bbolt.Tx) error {
		var id identity
		if _, err := getItem(tx, bucketMeta, identityKey, time.Now(), &id); err != nil {
			return err
		}
		id.Schema = schemaVersion + 1
		return putItem(tx, bucketMeta, identityKey, time.Time{}, id)
	})
	if err := errors.Join(err, db.close()); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := openBytes(t, path, raw); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("got %v", err)
	}
}

func TestSecondOpenerIsTold(t *testing.T) {
	config := testConfig(t, newClock())
	openPool(t, config)
	_, err := Open(config)
	if err == nil || !strings.Contains(err.Error(), "in use by another process") || !strings.Contains(err.Error(), config.Path) {
		t.Errorf("got %v", err)
	}
}

// A change that fails leaves nothing behind and does not take the others of its commit with it.
func TestGroupCommit(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	refusal := errors.New("no")
	key := func(i int) []byte { return fmt.Appendf(nil, "key %d", i) }
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			err := p.db.update(context.Background(), func(tx *bbolt.Tx) error {
				if err := putItem(tx, bucketSecrets, key(i), time.Time{}, i); err != nil {
					return err
				}
				switch i % 5 {
				case 3:
					return refusal
				case 4:
					panic("a defect")
				}
				return nil
			})
			if (err != nil) != (i%5 > 2) || (i%5 == 3) != errors.Is(err, refusal) {
				t.Errorf("change %d: %v", i, err)
			}
		})
	}
	group.Wait()
	err := p.db.view(func(tx *bbolt.Tx) error {
		for i := range 200 {
			var n int
			found, err := getItem(tx, bucketSecrets, key(i), p.now(), &n)
			if err != nil || found != (i%5 < 3) {
				t.Errorf("key %d: found %t, %v", i, found, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Expired items leave the file; one that was stored again with a later end stays.
func TestSweep(t *testing.T) {
	c := newClock()
	p := openPool(t, testConfig(t, c))
	put := func(key string, ttl time.Duration) {
		t.Helper()
		err := p.db.update(t.Context(), func(tx *bbolt.Tx) error {
			return putItem(tx, bucketSecrets, []byte(key), c.now().Add(ttl), true)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put("short", time.Minute)
	put("renewed", time.Minute)
	put("renewed", time.Hour)
	c.advance(10 * time.Minute)
	put("other", time.Hour)
	err := p.db.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucketSecrets))
		if b.Get([]byte("short")) != nil {
			t.Error("an expired item is still in the file")
		}
		if b.Get([]byte("renewed")) == nil || b.Get([]byte("other")) == nil {
			t.Error("a living item is gone")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestClosedPool(t *testing.T) {
	p, err := Open(testConfig(t, newClock()))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Fatal(err)
	}
	if err := p.Credentials().PutSignInChallenge(t.Context(), "x", time.Now()); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := p.Credentials().List(t.Context(), "x", ""); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
}
