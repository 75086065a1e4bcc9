package localpool

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// Names say what people are called and sign in with. A pool keeps those that it was made with.
// https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html#user-pool-settings-aliases
type Names struct {
	// Chosen lets people choose a user name, as in a Cognito pool with AliasAttributes. Default: false; the user name is made up and equal to the
	// sub, as in one with UsernameAttributes.
	Chosen bool `json:"chosen,omitempty"`
	// With are the attributes that people sign up and sign in with: "email", "phone_number"; beside a chosen name also "preferred_username". There,
	// addresses and numbers count once they are verified. Default: "email", and nothing beside a chosen name.
	With []string `json:"with,omitempty"`
}

// The kinds of aliases.
const (
	aliasEmail     = "email"
	aliasPhone     = "phone_number"
	aliasPreferred = "preferred_username"
)

var aliasKinds = []string{aliasEmail, aliasPhone, aliasPreferred}

func (n Names) withDefaults() (Names, error) {
	allowed := aliasKinds
	if !n.Chosen {
		allowed = aliasKinds[:2]
		if len(n.With) == 0 {
			n.With = aliasKinds[:1]
		}
	}
	for _, kind := range n.With {
		if !slices.Contains(allowed, kind) {
			return n, fmt.Errorf("people cannot sign in with the attribute %q: use %s", kind, strings.Join(allowed, ", "))
		}
	}
	n.With = slices.Compact(slices.Sorted(slices.Values(n.With)))
	return n, nil
}

func (n Names) equal(other Names) bool {
	return n.Chosen == other.Chosen && slices.Equal(n.With, other.With)
}

func (n Names) has(kind string) bool { return slices.Contains(n.With, kind) }

func (n Names) String() string {
	if n.Chosen {
		return strings.Join(append([]string{"user name"}, n.With...), ", ")
	}
	return strings.Join(n.With, ", ")
}

// attributeOf is the attribute that a user name stands for where names are not chosen.
func (n Names) attributeOf(username string) (string, error) {
	switch {
	case n.has(aliasEmail) && isEmail(username):
		return aliasEmail, nil
	case n.has(aliasPhone) && isPhone(username):
		return aliasPhone, nil
	case n.has(aliasEmail) && n.has(aliasPhone):
		return "", invalidParameter("Username should be either an email or a phone number.")
	case n.has(aliasPhone):
		return "", invalidParameter("Username should be a phone number.")
	}
	return "", invalidParameter("Username should be an email.")
}

// checkChosen refuses a chosen name that could be mistaken for somebody's alias.
func (n Names) checkChosen(username string) error {
	if err := checkName(username); err != nil {
		return err
	}
	switch {
	case n.has(aliasEmail) && isEmail(username):
		return invalidParameter("Username cannot be of email format, since user pool is configured for email alias.")
	case n.has(aliasPhone) && isPhone(username):
		return invalidParameter("Username cannot be of phone number format, since user pool is configured for phone number alias.")
	}
	return nil
}

// newUser makes up an account from what people or administrators ask for. Nothing is stored yet.
func (s *settings) newUser(username string, attributes map[string]string) (user, error) {
	id, err := newUUID(s.Rand)
	if err != nil {
		return user{}, err
	}
	now := s.Now().UTC()
	u := user{Username: id, Sub: id, Attributes: maps.Clone(attributes), Status: statusUnconfirmed, Created: now, Modified: now}
	if s.Names.Chosen {
		if err := s.Names.checkChosen(username); err != nil {
			return user{}, err
		}
		if s.Names.has(aliasPreferred) && attributes[aliasPreferred] != "" {
			return user{}, invalidParameter("preferred_username cannot be set before the user is confirmed.")
		}
		u.Username = fold(username)
		return u, nil
	}
	kind, err := s.Names.attributeOf(username)
	if err != nil {
		return user{}, err
	}
	if given := attributes[kind]; given != "" && fold(given) != fold(username) {
		return user{}, invalidParameter("Attribute " + kind + " must be the same as the user name.")
	}
	u.NamedBy, u.Attributes[kind] = kind, username
	return u, nil
}

// aliases of a user by kind, folded.
func (n Names) aliases(u user) map[string]string {
	m := make(map[string]string, len(n.With))
	for _, kind := range n.With {
		if value := u.Attributes[kind]; value != "" && n.counts(kind, u) {
			m[kind] = fold(value)
		}
	}
	return m
}

// counts reports whether an attribute leads to its user: what was signed up with always does, the rest once it is proven.
func (n Names) counts(kind string, u user) bool {
	switch {
	case n.Chosen && u.Status != statusConfirmed:
		return false
	case kind == aliasPreferred:
		return true
	case !n.Chosen && kind == cmp.Or(u.NamedBy, aliasEmail):
		return true
	}
	return u.Attributes[kind+"_verified"] == "true"
}

// checkPreferred refuses a preferred name that would stand in the way of an address or a number.
func (n Names) checkPreferred(u user) error {
	value := u.Attributes[aliasPreferred]
	if value == "" || !n.has(aliasPreferred) {
		return nil
	}
	if err := n.checkChosen(value); err != nil {
		return invalidParameter("preferred_username cannot be like an address or a phone number that people sign in with, nor hold spaces.")
	}
	return nil
}

func errAliasExists(kind string) error {
	return &failure{Type: typeAliasExists, Message: "An account with the given " + kind + " already exists."}
}

// storeUser writes a user with the aliases that lead to it. before is nil for a new user. An alias of another user is refused, or, with
// force, taken from that user, whose address or number counts as unverified from then on.
func (n Names) storeUser(tx *bbolt.Tx, before *user, u user, force bool, now time.Time) error {
	had := map[string]string{}
	if before != nil {
		had = n.aliases(*before)
	}
	if err := n.checkPreferred(u); err != nil {
		return err
	}
	has := n.aliases(u)
	for _, kind := range slices.Sorted(maps.Keys(has)) {
		if had[kind] == has[kind] {
			continue
		}
		other, taken, err := findUser(tx, has[kind], now)
		if err != nil {
			return err
		}
		if taken && other.Username != u.Username {
			if !force || n.aliases(other)[kind] != has[kind] || kind == aliasPreferred {
				return errAliasExists(kind)
			}
			other.Attributes = maps.Clone(other.Attributes)
			other.Attributes[kind+"_verified"] = "false"
			if err := putUser(tx, other); err != nil {
				return err
			}
		}
		if err := putItem(tx, bucketAliases, joinKey(kind, has[kind]), time.Time{}, u.Username); err != nil {
			return err
		}
	}
	for kind, value := range had {
		if has[kind] == value {
			continue
		}
		if err := deleteItem(tx, bucketAliases, joinKey(kind, value)); err != nil {
			return err
		}
	}
	return putUser(tx, u)
}

// dropUser deletes an account with its aliases.
func (n Names) dropUser(tx *bbolt.Tx, u user) error {
	for kind, value := range n.aliases(u) {
		if err := deleteItem(tx, bucketAliases, joinKey(kind, value)); err != nil {
			return err
		}
	}
	return deleteItem(tx, bucketUsers, []byte(u.Username))
}

// usernameExists is what a sign-up hears of a name that is taken.
func (n Names) usernameExists(u user) error {
	message := "User already exists"
	if !n.Chosen {
		message = "An account with the given " + u.NamedBy + " already exists."
	}
	return &failure{Type: typeUsernameExists, Message: message}
}

// addUser stores a new user, unless the name belongs to another. With force, a verified address or number may be taken from another.
func (n Names) addUser(tx *bbolt.Tx, u user, force bool, now time.Time) error {
	if _, taken, err := findUser(tx, u.Username, now); err != nil {
		return err
	} else if taken {
		return n.usernameExists(u)
	}
	err := n.storeUser(tx, nil, u, force, now)
	var f *failure
	if !n.Chosen && errors.As(err, &f) && f.Type == typeAliasExists {
		return n.usernameExists(u)
	}
	return err
}
