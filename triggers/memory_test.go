package triggers_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/token"
	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/pretoken"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

type hash = [sha256.Size]byte

var errDown = errors.New("table name and secret things: unreachable")

// memory keeps what the triggers need, with the promises their interfaces ask for. fail makes the named call fail.
type memory struct {
	mu       sync.Mutex
	leases   map[hash]time.Time // zero: sent
	links    []*storedLink
	counts   map[hash][]hash
	receipts map[hash]verify.Receipt
	proven   []verify.Address
	calls    []string
	fail     map[string]bool
}

type storedLink struct {
	create.Link
	usedBy string
	usedAt time.Time
}

func newMemory() *memory {
	return &memory{leases: map[hash]time.Time{}, counts: map[hash][]hash{}, receipts: map[hash]verify.Receipt{}, fail: map[string]bool{}}
}

// enter locks and notes the call.
func (m *memory) enter(call string) error {
	m.mu.Lock()
	m.calls = append(m.calls, call)
	if m.fail[call] {
		return errDown
	}
	return nil
}

func (m *memory) Lease(_ context.Context, op hash, now time.Time, ttl time.Duration) (create.LeaseState, error) {
	defer m.mu.Unlock()
	if err := m.enter("Lease"); err != nil {
		return 0, err
	}
	end, known := m.leases[op]
	switch {
	case known && end.IsZero():
		return create.LeaseSent, nil
	case known && now.Before(end):
		return create.LeaseRunning, nil
	}
	m.leases[op] = now.Add(ttl)
	return create.LeaseHeld, nil
}

func (m *memory) Sent(_ context.Context, op hash) error {
	defer m.mu.Unlock()
	if err := m.enter("Sent"); err != nil {
		return err
	}
	m.leases[op] = time.Time{}
	return nil
}

func (m *memory) Release(_ context.Context, op hash) error {
	defer m.mu.Unlock()
	if err := m.enter("Release"); err != nil {
		return err
	}
	if end, ok := m.leases[op]; ok && !end.IsZero() {
		delete(m.leases, op)
	}
	return nil
}

func (m *memory) Put(_ context.Context, l create.Link, r create.LinkRules) error {
	defer m.mu.Unlock()
	if err := m.enter("Put"); err != nil {
		return err
	}
	kept, open := m.links[:0:0], 0
	tooSoon := false
	for _, s := range m.links {
		if s.UserNameHash == l.UserNameHash && s.Operation == l.Operation {
			continue
		}
		kept = append(kept, s)
		if s.UserNameHash != l.UserNameHash {
			continue
		}
		if s.usedAt.IsZero() && l.IssuedAt.Before(s.Expires) {
			open++
		}
		tooSoon = tooSoon || l.IssuedAt.Sub(s.IssuedAt) < r.Between
	}
	if tooSoon || open >= r.Outstanding {
		return create.ErrTooManyLinks
	}
	m.links = append(kept, &storedLink{Link: l})
	return nil
}

func (m *memory) Withdraw(_ context.Context, l create.Link) error {
	defer m.mu.Unlock()
	if err := m.enter("Withdraw"); err != nil {
		return err
	}
	for i, s := range m.links {
		if s.SignatureHash == l.SignatureHash {
			m.links = append(m.links[:i:i], m.links[i+1:]...)
			break
		}
	}
	return nil
}

func (m *memory) find(user, signature hash) *storedLink {
	for _, s := range m.links {
		if s.UserNameHash == user && s.SignatureHash == signature {
			return s
		}
	}
	return nil
}

func (m *memory) FindOperation(_ context.Context, user, operation hash) (hash, error) {
	defer m.mu.Unlock()
	if err := m.enter("FindOperation"); err != nil {
		return hash{}, err
	}
	for _, s := range m.links {
		if s.UserNameHash == user && s.Operation == operation {
			return s.SignatureHash, nil
		}
	}
	return hash{}, verify.ErrLinkNotFound
}

func (m *memory) Find(_ context.Context, user, signature hash) (verify.Link, error) {
	defer m.mu.Unlock()
	if err := m.enter("Find"); err != nil {
		return verify.Link{}, err
	}
	s := m.find(user, signature)
	if s == nil {
		return verify.Link{}, verify.ErrLinkNotFound
	}
	return verify.Link{IssuedAt: s.IssuedAt, Expires: s.Expires, KeyID: s.KeyID, AddressHash: s.AddressHash, UsedBy: s.usedBy, UsedAt: s.usedAt}, nil
}

func (m *memory) Consume(_ context.Context, u verify.Use) error {
	defer m.mu.Unlock()
	if err := m.enter("Consume"); err != nil {
		return err
	}
	s := m.find(u.UserNameHash, u.SignatureHash)
	switch {
	case s == nil:
		return verify.ErrLinkNotFound
	case !s.usedAt.IsZero() && (u.By == "" || s.usedBy != u.By):
		return verify.ErrLinkUsed
	case !s.usedAt.IsZero():
		return nil
	}
	s.usedBy, s.usedAt = u.By, u.At
	kept := m.links[:0:0]
	for _, o := range m.links {
		if o == s || o.UserNameHash != u.UserNameHash {
			kept = append(kept, o)
		}
	}
	m.links = kept
	return nil
}

func (m *memory) Take(_ context.Context, key, op hash, limit int, _ time.Duration, _ time.Time) (bool, error) {
	defer m.mu.Unlock()
	if err := m.enter("Take"); err != nil {
		return false, err
	}
	for i, o := range m.counts[key] {
		if o == op {
			return i < limit, nil
		}
	}
	m.counts[key] = append(m.counts[key], op)
	return len(m.counts[key]) <= limit, nil
}

func (m *memory) Return(_ context.Context, key, op hash) error {
	defer m.mu.Unlock()
	if err := m.enter("Return"); err != nil {
		return err
	}
	for i, o := range m.counts[key] {
		if o == op {
			m.counts[key] = append(m.counts[key][:i:i], m.counts[key][i+1:]...)
			break
		}
	}
	return nil
}

func (m *memory) PutReceipt(_ context.Context, key hash, r verify.Receipt) error {
	defer m.mu.Unlock()
	if err := m.enter("PutReceipt"); err != nil {
		return err
	}
	m.receipts[key] = r
	return nil
}

func (m *memory) Receipt(_ context.Context, key hash) (pretoken.Receipt, error) {
	defer m.mu.Unlock()
	if err := m.enter("Receipt"); err != nil {
		return pretoken.Receipt{}, err
	}
	r, ok := m.receipts[key]
	if !ok {
		return pretoken.Receipt{}, pretoken.ErrReceiptNotFound
	}
	return pretoken.Receipt(r), nil
}

func (m *memory) AddressVerified(_ context.Context, a verify.Address) error {
	defer m.mu.Unlock()
	if err := m.enter("AddressVerified"); err != nil {
		return err
	}
	m.proven = append(m.proven, a)
	return nil
}

// signer is a key that signs as AWS KMS does, and can be replaced as behind an alias.
type signer struct{ keys map[string]*rsa.PrivateKey }

func (s *signer) Sign(_ context.Context, digest []byte) ([]byte, string, error) {
	sig, err := rsa.SignPSS(rand.Reader, s.keys["current"], crypto.SHA512, digest, &rsa.PSSOptions{SaltLength: challenge.LinkSaltLength})
	return sig, "current", err
}

func (s *signer) PublicKey(_ context.Context, keyID string) (*rsa.PublicKey, error) {
	k, ok := s.keys[keyID]
	if !ok {
		return nil, errDown
	}
	return &k.PublicKey, nil
}

// outbox collects mails and messages; refuse makes it decline the next ones.
type outbox struct {
	mu     sync.Mutex
	mails  []create.Mail
	texts  []create.Text
	refuse int
}

func (o *outbox) Send(_ context.Context, m create.Mail) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refuse > 0 {
		o.refuse--
		return errDown
	}
	o.mails = append(o.mails, m)
	return nil
}

type texter struct{ *outbox }

func (o texter) Send(_ context.Context, t create.Text) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refuse > 0 {
		o.refuse--
		return errDown
	}
	o.texts = append(o.texts, t)
	return nil
}

// tokens accepts what it lists.
type tokens map[string]token.Claims

func (t tokens) Verify(_ context.Context, raw string, use token.Use) (token.Claims, error) {
	c, ok := t[raw]
	if !ok || c.Use != use {
		return token.Claims{}, token.ErrInvalid
	}
	return c, nil
}
