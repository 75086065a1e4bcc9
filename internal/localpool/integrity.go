package localpool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"go.etcd.io/bbolt"
)

// checkFile reads a data file completely without writing to it. bbolt maps the file into memory, where a reference past its
// end would end the process with a bus error; so the pages are walked with ordinary reads first, and only then does bbolt's
// own check run.
func checkFile(path string) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockTimeout})
	if err != nil {
		return openError(path, err)
	}
	defer func() { _ = db.Close() }() // read-only: nothing can be lost
	err = db.View(func(tx *bbolt.Tx) error {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%d bytes long, should be %d", info.Size(), tx.Size())
		}
		pageSize := db.Info().PageSize
		w := pageWalk{file: file, pageSize: int64(pageSize), pages: uint64(tx.Size()) / uint64(pageSize), seen: make(map[uint64]bool)}
		if err := w.start(); err != nil {
			return err
		}
		var first error
		for err := range tx.Check() { // drained: the checker blocks otherwise
			if first == nil {
				first = err
			}
		}
		if first != nil {
			return first
		}
		return checkItems(tx)
	})
	if err != nil {
		return damaged(path, err)
	}
	return nil
}

// checkItems compares every value with its checksum. bbolt has none of its own for them.
func checkItems(tx *bbolt.Tx) error {
	if tx.Bucket([]byte(bucketMeta)) == nil {
		return nil // another program's, or empty: see loadIdentity
	}
	for _, name := range buckets {
		b := tx.Bucket([]byte(name))
		if b == nil || name == bucketExpiry {
			continue
		}
		err := b.ForEach(func(k, v []byte) error {
			if v == nil || !intact(k, v) {
				return fmt.Errorf("bucket %q: %w", name, errItem)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Layout of bbolt's file: https://github.com/etcd-io/bbolt/blob/main/internal/common/page.go
const (
	pageHeader     = 16
	pageBranch     = 0x01
	pageLeaf       = 0x02
	pageMeta       = 0x04
	pageFreelist   = 0x10
	elementSize    = 16
	bucketElement  = 0x01
	bucketHeader   = 16
	maxPageDepth   = 64
	noFreelist     = ^uint64(0)
	metaRootOffset = 16 // magic, version, page size, flags
)

var errPage = errors.New("a page is malformed")

type pageWalk struct {
	file     io.ReaderAt
	pageSize int64
	pages    uint64
	seen     map[uint64]bool
}

// start finds the newer valid meta page, as bbolt has done by then, and walks from its root.
func (w *pageWalk) start() error {
	var root, freelist, newest uint64
	for id := uint64(0); id < 2; id++ {
		page, err := w.read(id)
		if err != nil {
			return err
		}
		meta := page[pageHeader:]
		if binary.NativeEndian.Uint16(page[8:]) != pageMeta || len(meta) < 64 {
			continue
		}
		// root bucket 16, freelist 32, high-water mark 40, transaction 48
		if txid := binary.NativeEndian.Uint64(meta[48:]); txid >= newest && binary.NativeEndian.Uint64(meta[40:]) == w.pages {
			newest = txid
			root, freelist = binary.NativeEndian.Uint64(meta[metaRootOffset:]), binary.NativeEndian.Uint64(meta[32:])
		}
	}
	if freelist != noFreelist {
		page, err := w.read(freelist)
		if err != nil {
			return err
		}
		count, at := uint64(binary.NativeEndian.Uint16(page[10:])), uint64(pageHeader)
		if count == 0xffff && len(page) >= pageHeader+8 {
			count, at = binary.NativeEndian.Uint64(page[pageHeader:]), pageHeader+8
		}
		if binary.NativeEndian.Uint16(page[8:]) != pageFreelist || count > (uint64(len(page))-at)/8 {
			return fmt.Errorf("%w: the list of free pages", errPage)
		}
	}
	return w.walk(root, 0)
}

func (w *pageWalk) read(id uint64) ([]byte, error) {
	if id >= w.pages {
		return nil, fmt.Errorf("%w: page %d of %d", errPage, id, w.pages)
	}
	head := make([]byte, pageHeader)
	if _, err := w.file.ReadAt(head, int64(id)*w.pageSize); err != nil {
		return nil, err
	}
	overflow := uint64(binary.NativeEndian.Uint32(head[12:]))
	if binary.NativeEndian.Uint64(head) != id || id+overflow >= w.pages {
		return nil, fmt.Errorf("%w: header of page %d", errPage, id)
	}
	page := make([]byte, (int64(overflow)+1)*w.pageSize)
	_, err := w.file.ReadAt(page, int64(id)*w.pageSize)
	return page, err
}

func (w *pageWalk) walk(id uint64, depth int) error {
	if w.seen[id] || depth > maxPageDepth {
		return fmt.Errorf("%w: page %d is reached twice", errPage, id)
	}
	w.seen[id] = true
	page, err := w.read(id)
	if err != nil {
		return err
	}
	if err := w.elements(page, depth); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// elements checks a branch or leaf page, which may also lie inside a value (a small bucket).
func (w *pageWalk) elements(page []byte, depth int) error {
	flags, count := binary.NativeEndian.Uint16(page[8:]), int(binary.NativeEndian.Uint16(page[10:]))
	if (flags != pageBranch && flags != pageLeaf) || count > (len(page)-pageHeader)/elementSize || (flags == pageBranch && count == 0) {
		return errPage
	}
	var previous []byte
	for i := range count {
		at := pageHeader + i*elementSize
		e := page[at : at+elementSize]
		var position, keySize, valueSize uint64
		if flags == pageBranch {
			position, keySize = uint64(binary.NativeEndian.Uint32(e)), uint64(binary.NativeEndian.Uint32(e[4:]))
		} else {
			position, keySize, valueSize = uint64(binary.NativeEndian.Uint32(e[4:])), uint64(binary.NativeEndian.Uint32(e[8:])), uint64(binary.NativeEndian.Uint32(e[12:]))
		}
		start := uint64(at) + position
		if start+keySize+valueSize > uint64(len(page)) {
			return errPage
		}
		key := page[start : start+keySize]
		if i > 0 && bytes.Compare(previous, key) >= 0 {
			return errPage
		}
		previous = key
		if flags == pageBranch {
			if err := w.walk(binary.NativeEndian.Uint64(e[8:]), depth+1); err != nil {
				return err
			}
			continue
		}
		if binary.NativeEndian.Uint32(e)&bucketElement == 0 {
			continue
		}
		value := page[start+keySize : start+keySize+valueSize]
		if err := w.bucket(value, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *pageWalk) bucket(value []byte, depth int) error {
	if len(value) < bucketHeader {
		return errPage
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return w.walk(root, depth+1)
	}
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || binary.NativeEndian.Uint16(inline[8:]) != pageLeaf {
		return errPage
	}
	return w.elements(inline, depth+1)
}
