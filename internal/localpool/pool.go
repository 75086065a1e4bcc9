// Package localpool is a user pool that speaks Amazon Cognito's wire protocol and keeps its data in one file: for development,
// tests and small installations. The same AWS SDK client that calls Cognito calls it, and it drives the same
// triggers with the same JSON events.
//
// What a caller was told is on disk: every change is acknowledged after the fsync that made it durable. Session strings of
// sign-ins under way are the exception; they live in memory for three minutes.
package localpool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-cognito/passwordless/passkey"
)

// Pool is an open user pool with one app client. It is safe for concurrent use.
type Pool struct {
	db       *database
	identity identity // as stored
	current  atomic.Pointer[settings]
	sessions sessionTable
	keys     keySet
	inbox    *Inbox
	lock     sync.Mutex // serialises Reconfigure
	rotation sync.Mutex // serialises rotations of keys
}

// settings is a configuration in force, with what is made of it. Requests under way keep the one they began with.
type settings struct {
	Config
	triggers Triggers
}

// Open opens the pool, making the file at first start. A file that is damaged, of another program or in use by another process
// is refused with an error that says what to do, and left as it is.
func Open(c Config) (*Pool, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("user pool: %w", err)
	}
	p := &Pool{inbox: newInbox(c.Now)}
	p.current.Store(&settings{Config: c})
	p.keys.now = p.now
	if p.db, err = openDatabase(c.Path, p.now); err != nil {
		return nil, fmt.Errorf("user pool: %w", err)
	}
	if err := p.load(c); err != nil {
		return nil, fmt.Errorf("user pool: %w", errors.Join(err, p.db.close()))
	}
	return p, nil
}

func (p *Pool) load(c Config) error {
	id, err := p.db.loadIdentity(context.Background(), c.Rand, c.Names)
	if err != nil {
		return err
	}
	p.identity = id
	if err := p.loadKeys(context.Background()); err != nil {
		return err
	}
	if err := p.Reconfigure(c); err != nil {
		return err
	}
	due := p.removeUnverified
	p.db.dueUser.Store(&due)
	return nil
}

// Reconfigure puts other settings in force, at once and for all; the path must stay the same. On an error the old ones stay.
func (p *Pool) Reconfigure(c Config) error {
	p.lock.Lock()
	defer p.lock.Unlock()
	c, err := c.withDefaults()
	if err != nil {
		return fmt.Errorf("user pool: %w", err)
	}
	if path := p.current.Load().Path; c.Path != path {
		return fmt.Errorf("user pool: it is open at %s and cannot move to %s", path, c.Path)
	}
	if c.Names, err = p.keptNames(c.Names); err != nil {
		return fmt.Errorf("user pool: %w", err)
	}
	setDefault(&c.Region, p.identity.Region)
	setDefault(&c.UserPoolID, p.identity.UserPoolID)
	if c.ClientID == "" {
		c.ClientID = p.identity.ClientID
		if !c.PublicClient {
			setDefault(&c.ClientSecret, p.identity.ClientSecret)
		}
	}
	s := &settings{Config: c}
	if s.triggers, err = p.buildTriggers(s); err != nil {
		return fmt.Errorf("user pool: %w", err)
	}
	p.inbox.allowHosts(c.InboxHosts...)
	p.current.Store(s)
	return nil
}

// keptNames are those that the pool was made with. A configuration that says nothing gets them; one that says otherwise is refused, for
// users would no longer be found.
func (p *Pool) keptNames(wanted Names) (Names, error) {
	kept, err := p.identity.Names.withDefaults()
	if err != nil || !wanted.Chosen && len(wanted.With) == 0 {
		return kept, err
	}
	if wanted, err = wanted.withDefaults(); err != nil {
		return kept, err
	}
	if !wanted.equal(kept) {
		return kept, fmt.Errorf("people sign in with %s in data file %s, which cannot be changed to %s: use another file", kept, p.db.bolt.Path(), wanted)
	}
	return kept, nil
}

func (p *Pool) names() Names { return p.current.Load().Names }

// Close waits for accepted changes to be on disk and closes the file.
func (p *Pool) Close() error { return p.db.close() }

// UserPoolID is that of the settings, or the one made at first start.
func (p *Pool) UserPoolID() string { return p.current.Load().UserPoolID }

// ClientID is that of the settings, or the one made at first start.
func (p *Pool) ClientID() string { return p.current.Load().ClientID }

// ClientSecret is empty for a public client: one whose ID was configured without a secret.
func (p *Pool) ClientSecret() string { return p.current.Load().ClientSecret }

// Region is "local" unless configured.
func (p *Pool) Region() string { return p.current.Load().Region }

// Inbox holds the messages that were delivered locally, and serves them as a page.
func (p *Pool) Inbox() *Inbox { return p.inbox }

// Credentials is the pool's passkey store.
func (p *Pool) Credentials() passkey.Store { return &credentials{db: p.db} }

func (p *Pool) now() time.Time       { return p.current.Load().Now() }
func (p *Pool) rand() io.Reader      { return p.current.Load().Rand }
func (p *Pool) logger() *slog.Logger { return p.current.Load().Logger }
