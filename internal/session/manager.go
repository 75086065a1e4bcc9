package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	purposeSession = "session"
	purposeRecord  = "record"
	purposeOnce    = "once"
	purposeRevoke  = "revoke"
	purposeOwner   = "owner"

	// maxCookie bounds the cookie's value in characters: with name and attributes it stays below the 4096 bytes that
	// browsers promise (RFC 6265, section 6.1).
	maxCookie = 3800
)

// Manager starts, opens, refreshes and ends a realm's sessions. Fill in the fields and use it by pointer; Keys and Storage are
// required, Refresher too where sessions have refresh tokens. It is safe for concurrent use. Have [Manager.Run] running beside
// it.
type Manager struct {
	Settings
	Keys      *KeyRing
	Storage   Storage
	Refresher Refresher
	Now       func() time.Time // nil: time.Now
	Rand      io.Reader        // nil: crypto/rand.Reader
	Logger    *slog.Logger     // nil: slog.Default
	// Changed, if set, is called when sessions may have come to their end: after every round of Run and after every sign-out
	// in this process. It must not block for long; see [Manager.Check].
	Changed func()
	// Traded, if set, is called after each attempt to get new tokens for a session that the pool answered: with nil,
	// [ErrRefused], [ErrDoubtful] or [ErrUnverified].
	Traded func(s Session, err error)

	damaged, future, unverified seldom

	denied  denyList
	records recordCache
	flights flights

	sweepMu   sync.Mutex
	lastSweep time.Time
}

func (m *Manager) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

// instant is now as cookies and records keep it: in UTC and milliseconds.
func (m *Manager) instant() time.Time { return m.now().UTC().Truncate(time.Millisecond) }

func (m *Manager) rand() io.Reader {
	if m.Rand != nil {
		return m.Rand
	}
	return rand.Reader
}

func (m *Manager) logger() *slog.Logger {
	if m.Logger != nil {
		return m.Logger
	}
	return slog.Default()
}

// path makes a storage key of this realm.
func (m *Manager) path(parts ...string) string {
	key := "passwordless/" + realmFolder(m.Settings.Realm) + "/sessions"
	for _, p := range parts {
		key += "/" + p
	}
	return key
}

// realmFolder is the realm's name, or its hash where the name is no plain path element.
func realmFolder(realm string) string {
	if realm != "" && strings.Trim(realm, ".") != "" && strings.IndexFunc(realm, notPlain) < 0 {
		return realm
	}
	sum := sha256.Sum256([]byte(realm))
	return "realm-" + hex.EncodeToString(sum[:16])
}

func notPlain(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-", r))
}

func (m *Manager) owner(subject string) owner {
	return owner(m.Keys.MAC(purposeOwner, []byte(m.Settings.Realm), []byte(subject)))
}

// PublicID names a session in lists and in storage without giving away the sid.
func PublicID(s Session) string { return publicKeyOf(s.ID).String() }

// publicID is the binary form of PublicID.
type publicID [16]byte

func (p publicID) String() string { return hex.EncodeToString(p[:]) }

func publicKeyOf(sid string) publicID { return hashID("sid:", sid) }

// originKeyOf names a token family in the deny list.
func originKeyOf(jti string) publicID { return hashID("jti:", jti) }

func hashID(kind, id string) publicID {
	var buf [64]byte
	sum := sha256.Sum256(append(append(buf[:0], kind...), id...))
	return publicID(sum[:16])
}

// Start begins a session for someone who has just passed factor, and stores its record.
func (m *Manager) Start(ctx context.Context, f Fresh, factor Factor, d Device) (Session, error) {
	if f.Identity.Subject == "" {
		return Session{}, errors.New("starting a session: the tokens name no subject")
	}
	if f.Identity.EmailVerified {
		if err := m.endUnproven(ctx, f.Identity.Subject, ""); err != nil {
			return Session{}, fmt.Errorf("starting a session: %w", err)
		}
	}
	var sid [sidSize]byte
	if _, err := io.ReadFull(m.rand(), sid[:]); err != nil {
		return Session{}, fmt.Errorf("starting a session: %w", err)
	}
	now := m.instant()
	s := Session{
		ID:         hex.EncodeToString(sid[:]),
		Generation: 1,
		Started:    now,
		Ends:       now.Add(m.Settings.lifetime()),
		Seen:       now,
	}
	s = m.withIdentity(s, f.Identity)
	s.Factors = Factors{{factor, now}}
	rec := record{Session: s, Tokens: f.Tokens, OriginJTI: f.Identity.OriginJTI, Device: d.bounded()}
	if err := m.storeRecord(ctx, rec); err != nil {
		return Session{}, fmt.Errorf("starting a session: %w", err)
	}
	// The index comes second: an entry without a record would show a session that is none.
	if err := m.store(ctx, m.indexPath(s), []byte{1}, s.Ends); err != nil {
		m.deleteRecord(context.WithoutCancel(ctx), rec)
		return Session{}, fmt.Errorf("starting a session: storing the index: %w", err)
	}
	return s, nil
}

// withIdentity puts what new tokens say into s. The pool's clock does not count: an authentication cannot lie ahead of ours.
func (m *Manager) withIdentity(s Session, id Identity) Session {
	now := m.instant()
	s.Subject, s.Username, s.Email, s.EmailVerified = id.Subject, id.Username, id.Email, id.EmailVerified
	s.Groups, s.Claims, s.Partial = id.Groups, id.Claims, false
	if len(s.Groups) == 0 {
		s.Groups = nil
	}
	if len(s.Claims) == 0 {
		s.Claims = nil
	}
	if !id.AuthTime.IsZero() {
		s.AuthTime = id.AuthTime.UTC().Truncate(time.Millisecond)
	}
	if s.AuthTime.IsZero() || s.AuthTime.After(now) {
		s.AuthTime = now
	}
	s.AccessExpires = id.AccessExpires.UTC().Truncate(time.Millisecond)
	return s
}

// Seal makes the cookie value of s for one host, at most 3800 characters. Groups and claims that do not fit are left to the
// record: the session that [Manager.Open] makes of it is Partial. It fails with [ErrTooLarge] if even the rest does not fit.
func (m *Manager) Seal(s Session, host string) (string, error) {
	who := m.owner(s.Subject)
	plaintext, err := appendSession(make([]byte, 0, 512), s, who, s.Partial)
	if err != nil {
		return "", fmt.Errorf("sealing a session: %w", err)
	}
	if sealedSize(len(plaintext)) > maxCookie && !s.Partial {
		if plaintext, err = appendSession(plaintext[:0], s, who, true); err != nil {
			return "", fmt.Errorf("sealing a session: %w", err)
		}
	}
	if sealedSize(len(plaintext)) > maxCookie {
		return "", ErrTooLarge
	}
	return m.Keys.Seal(Binding{Purpose: purposeSession, Realm: m.Settings.Realm, Host: host}, plaintext)
}

func sealedSize(plaintext int) int {
	return sealEncoding.EncodedLen(headSize + plaintext + tagSize)
}

// openBuffers save an allocation a request. A cookie's bytes and their binding fit into as many bytes as it has characters.
var openBuffers = sync.Pool{New: func() any { return new([maxCookie]byte) }}

// Open reads a cookie value that [Manager.Seal] made for the same host. It does no I/O, except when the deny list or a key was
// not read in time. It fails with [ErrInvalid], [ErrExpired], [ErrIdle], [ErrDenied] or [ErrFuture] and then returns the zero
// Session. A Partial session whose record is cached comes back complete.
func (m *Manager) Open(value, host string) (Session, error) {
	if len(value) > maxCookie {
		return Session{}, ErrInvalid
	}
	buffer := openBuffers.Get().(*[maxCookie]byte)
	defer openBuffers.Put(buffer) // what is decoded are copies
	plaintext, err := m.Keys.openIn(buffer[:], Binding{Purpose: purposeSession, Realm: m.Settings.Realm, Host: host}, value)
	if err != nil {
		return Session{}, err
	}
	s, who, err := decodeSession(plaintext)
	if err != nil {
		return Session{}, ErrInvalid
	}
	now := m.now()
	if err := m.inTime(&s, now); err != nil {
		if errors.Is(err, ErrFuture) {
			m.future.log(m, slog.LevelError, "a session cookie is from the future: this node's clock is behind, or that of the node that wrote it is ahead; synchronise them",
				"session", PublicID(s), "started", s.Started, "seen", s.Seen, "now", now)
		}
		return Session{}, err
	}
	if err := m.checkDenied(publicKeyOf(s.ID), who, s.Started, now); err != nil {
		return Session{}, err
	}
	if s.Partial {
		if rec, ok := m.records.get(s.ID, s.Generation, now); ok {
			s = rec.complete(s)
		}
	}
	return s, nil
}

// Check says whether a session that was opened before still lives, with the errors of [Manager.Open]. It does no I/O, except when
// the deny list was not read in time.
func (m *Manager) Check(s Session) error {
	now := m.now()
	if err := m.inTime(&s, now); err != nil {
		return err
	}
	return m.checkSubjectDenied(publicKeyOf(s.ID), s.Subject, s.Started, now)
}

func (m *Manager) changed() {
	if m.Changed != nil {
		m.Changed()
	}
}

// inTime checks all times of s against our clock.
func (m *Manager) inTime(s *Session, now time.Time) error {
	latest := now.Add(maxSkew)
	if s.Started.After(latest) || s.Seen.After(latest) || s.AuthTime.After(latest) {
		return ErrFuture
	}
	for i := range s.Factors {
		if s.Factors[i].At.After(latest) {
			return ErrFuture
		}
	}
	// A lifetime that was made shorter since also holds for sessions that live.
	if !now.Before(s.Ends) || now.Sub(s.Started) >= m.Settings.lifetime() {
		return ErrExpired
	}
	if now.Sub(s.Seen) >= m.Settings.idleTimeout() {
		return ErrIdle
	}
	return nil
}

// NeedsRefresh says that the access token has expired or is about to.
func (m *Manager) NeedsRefresh(s Session) bool {
	return !m.now().Before(s.AccessExpires.Add(-m.Settings.refreshBefore()))
}

// Touch notes that the session is in use. If it says true the caller sets the cookie again.
func (m *Manager) Touch(s Session) (Session, bool) {
	now := m.instant()
	if now.Sub(s.Seen) < m.Settings.touchEvery() {
		return s, false
	}
	s.Seen = now
	return s, true
}

// bounded keeps what a client sent from filling the storage.
func (d Device) bounded() Device {
	return Device{Address: d.Address[:min(len(d.Address), 64)], UserAgent: d.UserAgent[:min(len(d.UserAgent), 512)]}
}
