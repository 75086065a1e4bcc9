package session

import (
	"context"
	"errors"
	"fmt"
	"path"
)

// A deny list that is deleted forgets who signed out. Beside the key ring, which lies in another folder and often in another
// storage, stands a note that the list exists. Without a note a missing list is a first start; with it, nobody gets in until an
// operator has restored the list, or has removed the note and restarted, and thereby accepted that signed-out sessions work again.

// ErrListLost says that the list of sign-outs existed and is gone.
var ErrListLost = errors.New("the list of sign-outs is gone")

// beginDenyList makes an empty list where there has never been one. Some storages cannot list a folder that is not there, so a
// failed listing alone does not tell.
func (m *Manager) beginDenyList(ctx context.Context) error {
	if m.denied.ready { // never while this process knows of one: note and list may have been deleted together
		return nil
	}
	noted, err := m.Keys.noted(ctx, m.denyNote())
	if err != nil {
		return fmt.Errorf("looking for the deny list: %w", err)
	}
	if noted {
		return nil
	}
	if err := m.Storage.Store(ctx, m.path("denied", denyMarker), []byte{1}); err != nil {
		return fmt.Errorf("marking the deny list: %w", err)
	}
	return nil
}

// denyListFails tells a list that is gone from one that cannot be read now.
func (m *Manager) denyListFails(ctx context.Context, err error) error {
	if errors.Is(err, errNoMarker) || missing(err) || !m.Storage.Exists(ctx, m.path("denied")) {
		return fmt.Errorf("%w: sessions that were signed out could be used again, so no one is let in. Restore %s in the session store, "+
			"or remove %s from Caddy's storage and restart to go on with an empty list", ErrListLost, m.path("denied"), m.Keys.notePath(m.denyNote()))
	}
	return fmt.Errorf("reading the deny list: %w", err)
}

// noteDenyList makes the note, after a poll that found the list.
func (m *Manager) noteDenyList(ctx context.Context) {
	d := &m.denied
	if d.noted {
		return
	}
	if err := m.Keys.note(ctx, m.denyNote()); err != nil {
		m.logger().Warn("noting that the list of sign-outs exists", "error", err)
		return
	}
	d.noted = true
}

func (m *Manager) denyNote() string { return "denied-" + realmFolder(m.Settings.Realm) }

// notePath is where a note lies in the key ring's storage.
func (k *KeyRing) notePath(name string) string { return path.Join(path.Dir(k.path), name) }

func (k *KeyRing) noted(ctx context.Context, name string) (bool, error) {
	_, err := k.storage.Load(ctx, k.notePath(name))
	if missing(err) {
		return false, nil
	}
	return err == nil, err
}

func (k *KeyRing) note(ctx context.Context, name string) error {
	if noted, err := k.noted(ctx, name); noted || err != nil {
		return err
	}
	return k.storage.Store(ctx, k.notePath(name), []byte("the list of sign-outs exists\n"))
}
