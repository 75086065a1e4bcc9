package localpool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// Backup writes a copy of the data file as it is at one moment, while the pool goes on working, and returns its size in bytes. The
// copy holds the signing keys, so only its owner can read it. A file that exists is never overwritten.
func (p *Pool) Backup(to string) (size int64, err error) {
	if !filepath.IsAbs(to) {
		return 0, fmt.Errorf("%w: the path of the backup must be absolute", ErrAccountInput)
	}
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return 0, fmt.Errorf("%w: %s exists already; a backup overwrites nothing", ErrAccountInput, to)
	}
	if err != nil {
		return 0, fmt.Errorf("making the backup: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("making the backup: %w", err), os.Remove(to))
		}
	}()
	err = p.db.view(func(tx *bbolt.Tx) (err error) {
		size, err = tx.WriteTo(file)
		return err
	})
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return 0, err
	}
	return size, checkFile(to)
}

// OpenExisting opens a file for administration only: nobody can sign in. A file that is not there is an error.
func OpenExisting(path string) (*Pool, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("there is no user pool: %w", err)
	}
	return Open(Config{Path: path, RedirectURIs: []string{endpoint}})
}
