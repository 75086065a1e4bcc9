package embedded

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/internal/localpool"
)

// pools holds the open pools by the absolute path of their file, and by nothing else: a file can be opened once in a process, and at a
// reload the new configuration starts before the old one stops.
var pools = caddy.NewUsagePool()

// shared is one open pool with the settings of everybody who has it open, the newest last and in force.
type shared struct {
	pool *localpool.Pool

	mu       sync.Mutex
	settings []*opening
}

// opening is one configuration's hold on a pool.
type opening struct {
	shared *shared
	config localpool.Config
	once   sync.Once
	err    error
}

// Destruct implements [caddy.Destructor].
func (s *shared) Destruct() error { return s.pool.Close() }

// open joins the pool at the configured path, opening it if nobody has.
func open(c localpool.Config) (*opening, error) {
	value, loaded, err := pools.LoadOrNew(c.Path, func() (caddy.Destructor, error) {
		pool, err := localpool.Open(c)
		if err != nil {
			return nil, err
		}
		return &shared{pool: pool}, nil
	})
	if err != nil {
		return nil, err
	}
	s, ok := value.(*shared)
	if !ok {
		return nil, fmt.Errorf("user_pool embedded: %T is open at %s", value, c.Path)
	}
	o := &opening{shared: s, config: c}
	s.mu.Lock()
	defer s.mu.Unlock()
	if loaded {
		if err := s.pool.Reconfigure(c); err != nil {
			_, derr := pools.Delete(c.Path)
			return nil, errors.Join(err, derr)
		}
	}
	s.settings = append(s.settings, o)
	return o, nil
}

func (o *opening) pool() *localpool.Pool { return o.shared.pool }

// close gives the pool up. If these settings were in force (a reload that failed later on), the ones before come back.
func (o *opening) close() error {
	o.once.Do(func() { o.err = o.release() })
	return o.err
}

func (o *opening) release() error {
	s := o.shared
	s.mu.Lock()
	last := len(s.settings) - 1
	inForce := last >= 0 && s.settings[last] == o
	s.settings = slices.DeleteFunc(s.settings, func(other *opening) bool { return other == o })
	var err error
	if left := len(s.settings); inForce && left > 0 {
		err = s.pool.Reconfigure(s.settings[left-1].config)
	}
	s.mu.Unlock()
	_, derr := pools.Delete(o.config.Path)
	return errors.Join(err, derr)
}
