package localpool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// Account is a user as an operator sees it.
type Account struct {
	Username   string            `json:"username"`
	Sub        string            `json:"sub"`
	Status     string            `json:"status"` // as Cognito names it
	Enabled    bool              `json:"enabled"`
	Attributes map[string]string `json:"attributes"`
	Groups     []string          `json:"groups"`
	Passkeys   int               `json:"passkeys"`
	Created    time.Time         `json:"created"`
	Modified   time.Time         `json:"modified"`
}

// Errors of the operator's methods.
var (
	ErrNoAccount     = errors.New("there is no such user")
	ErrAccountExists = errors.New("there is a user with this address already")
	ErrAccountInput  = errors.New("not acceptable")
)

// MaxAccounts is the most accounts that [Pool.Accounts] returns at once.
const MaxAccounts = 1000

func accountOf(tx *bbolt.Tx, u user, now time.Time) (Account, error) {
	passkeys, err := listCredentials(tx, u.handle(), "", now)
	if err != nil {
		return Account{}, err
	}
	groups := slices.Clone(u.Groups)
	if groups == nil {
		groups = []string{}
	}
	return Account{
		Username: u.Username, Sub: u.Sub, Status: u.Status, Enabled: !u.Disabled, Attributes: maps.Clone(u.Attributes), Groups: groups,
		Passkeys: len(passkeys), Created: u.Created, Modified: u.Modified,
	}, nil
}

// Accounts lists users by user name, those after the given name, up to [MaxAccounts].
func (p *Pool) Accounts(after string) (list []Account, err error) {
	err = p.db.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(bucketUsers)).Cursor()
		for k, _ := c.Seek([]byte(after)); k != nil && len(list) < MaxAccounts; k, _ = c.Next() {
			if string(k) == after {
				continue
			}
			var u user
			found, err := getItem(tx, bucketUsers, k, p.now(), &u)
			if err != nil {
				return err
			}
			if !found {
				continue
			}
			a, err := accountOf(tx, u, p.now())
			if err != nil {
				return err
			}
			list = append(list, a)
		}
		return nil
	})
	return list, err
}

// Account finds a user by user name or address.
func (p *Pool) Account(name string) (a Account, err error) {
	err = p.db.view(func(tx *bbolt.Tx) error {
		u, found, err := findUser(tx, name, p.now())
		if err != nil || !found {
			return errors.Join(err, missing(found))
		}
		a, err = accountOf(tx, u, p.now())
		return err
	})
	return a, err
}

func missing(found bool) error {
	if found {
		return nil
	}
	return ErrNoAccount
}

// AddAccount makes a confirmed user. An address or a number counts as unverified until it is proven.
func (p *Pool) AddAccount(ctx context.Context, name string) (Account, error) {
	s := p.current.Load()
	u, err := s.newUser(name, map[string]string{})
	var refused *failure
	if errors.As(err, &refused) {
		return Account{}, fmt.Errorf("%w: users of this pool are named by %s", ErrAccountInput, s.Names)
	}
	if err != nil {
		return Account{}, err
	}
	u.Status = statusConfirmed
	if u.NamedBy != "" {
		u.Attributes[u.NamedBy+"_verified"] = "false"
	}
	err = p.db.update(ctx, func(tx *bbolt.Tx) error { return s.Names.addUser(tx, u, false, s.Now()) })
	if errors.As(err, &refused) && refused.Type == typeUsernameExists {
		return Account{}, ErrAccountExists
	}
	if err != nil {
		return Account{}, err
	}
	return p.Account(u.Username)
}

// changeAccount edits a user in one durable step.
func (p *Pool) changeAccount(ctx context.Context, name string, edit func(tx *bbolt.Tx, u *user) error) (Account, error) {
	var username string
	err := p.db.update(ctx, func(tx *bbolt.Tx) error {
		u, found, err := findUser(tx, name, p.now())
		if err != nil || !found {
			return errors.Join(err, missing(found))
		}
		before := u
		if err := edit(tx, &u); err != nil {
			return err
		}
		u.Modified, username = p.now().UTC(), u.Username
		return p.names().storeUser(tx, &before, u, false, p.now())
	})
	if err != nil {
		return Account{}, err
	}
	return p.Account(username)
}

// SetAccountEnabled lets a user sign in, or not. Disabling revokes every token of the user.
func (p *Pool) SetAccountEnabled(ctx context.Context, name string, enabled bool) (Account, error) {
	return p.changeAccount(ctx, name, func(tx *bbolt.Tx, u *user) error {
		u.Disabled = !enabled
		if enabled {
			return nil
		}
		return revokeFamilies(tx, u.Username, p.now())
	})
}

// groupPattern is what Cognito allows in a group's name, narrowed to what stays one word in lists and headers.
var groupPattern = regexp.MustCompile(`^[\p{L}\p{M}\p{N}!#$%&'*+./:=?@^_~-]{1,128}$`)

// SetAccountGroups replaces the groups of a user. Tokens carry them from the next refresh on.
func (p *Pool) SetAccountGroups(ctx context.Context, name string, groups []string) (Account, error) {
	for _, g := range groups {
		if !groupPattern.MatchString(g) {
			return Account{}, fmt.Errorf("%w: the name of a group is 1 to 128 letters, digits and marks, without spaces and commas", ErrAccountInput)
		}
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(groups)))
	return p.changeAccount(ctx, name, func(tx *bbolt.Tx, u *user) error {
		u.Groups = sorted
		for _, g := range sorted {
			if err := ensureGroup(tx, g, p.now()); err != nil {
				return err
			}
		}
		return nil
	})
}

// RemoveAccount deletes a user with passkeys and tokens.
func (p *Pool) RemoveAccount(ctx context.Context, name string) error {
	return p.db.update(ctx, func(tx *bbolt.Tx) error {
		u, found, err := findUser(tx, name, p.now())
		if err != nil || !found {
			return errors.Join(err, missing(found))
		}
		list, err := listCredentials(tx, u.handle(), "", p.now())
		if err != nil {
			return err
		}
		for _, c := range list {
			if err := removeCredential(tx, c); err != nil {
				return err
			}
		}
		if err := revokeFamilies(tx, u.Username, p.now()); err != nil {
			return err
		}
		return p.names().dropUser(tx, u)
	})
}
