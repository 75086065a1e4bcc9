package session

import (
	"context"
	"encoding/hex"
	"fmt"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Summary is a session as its owner sees it in a list.
type Summary struct {
	ID      string // see [PublicID]
	Started time.Time
	Seen    time.Time // when its record last changed: within an access token's lifetime of the last use
	Device  Device
	Factors Factors
}

// indexEntry is a key below users/<owner>: "<public id>.<ends>", ends in milliseconds since 1970.
type indexEntry struct {
	id   publicID
	ends time.Time
	key  string
}

func (m *Manager) indexPath(s Session) string {
	name := PublicID(s) + "." + strconv.FormatInt(s.Ends.UnixMilli(), 10)
	return m.path("users", m.owner(s.Subject).String(), name)
}

func parseIndexEntry(key string) (indexEntry, bool) {
	id, ends, ok := strings.Cut(path.Base(key), ".")
	raw, err := hex.DecodeString(id)
	if !ok || err != nil || len(raw) != len(publicID{}) {
		return indexEntry{}, false
	}
	ms, err := strconv.ParseInt(ends, 10, 64)
	if err != nil {
		return indexEntry{}, false
	}
	return indexEntry{publicID(raw), time.UnixMilli(ms), key}, true
}

// index lists a user's sessions that have not reached their end.
func (m *Manager) index(ctx context.Context, who owner) ([]indexEntry, error) {
	folder := m.path("users", who.String())
	if !m.Storage.Exists(ctx, folder) {
		return nil, nil
	}
	keys, err := m.Storage.List(ctx, folder, false)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: listing sessions: %w", ErrUnavailable, err)
	}
	var entries []indexEntry
	for _, key := range keys {
		if e, ok := parseIndexEntry(key); ok && m.now().Before(e.ends) {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// List returns a user's living sessions, newest first.
func (m *Manager) List(ctx context.Context, subject string) ([]Summary, error) {
	entries, err := m.index(ctx, m.owner(subject))
	if err != nil {
		return nil, err
	}
	var list []Summary
	for _, e := range entries {
		rec, err := m.loadRecord(ctx, e.id)
		if missing(err) {
			continue // ended between listing and loading
		}
		if err != nil {
			m.logger().Warn("listing sessions", "session", e.id.String(), "error", err)
			continue
		}
		if rec.Session.Subject != subject || m.denied.has(e.id) {
			continue
		}
		list = append(list, Summary{
			ID:      e.id.String(),
			Started: rec.Session.Started,
			Seen:    rec.Session.Seen,
			Device:  rec.Device,
			Factors: rec.Session.Factors,
		})
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Started.After(list[j].Started) })
	return list, nil
}
