package localpool

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// User states, as Cognito names them.
const (
	statusUnconfirmed = "UNCONFIRMED"
	statusConfirmed   = "CONFIRMED"
)

// user is one account. See [Names] for the user name.
type user struct {
	Username   string            `json:"username"`
	Sub        string            `json:"sub"`
	NamedBy    string            `json:"named_by,omitempty"` // attribute that was signed up with; "": email, or a chosen name
	Attributes map[string]string `json:"attributes"`
	Status     string            `json:"status"`
	Disabled   bool              `json:"disabled,omitempty"`
	SelfMade   bool              `json:"self_made,omitempty"` // by SignUp, and nobody has signed in yet
	Groups     []string          `json:"groups,omitempty"`
	Created    time.Time         `json:"created"`
	Modified   time.Time         `json:"modified"`
}

// handle is the WebAuthn user handle.
func (u user) handle() string { return challenge.UserHandle(u.Username, u.Sub) }

// eventAttributes are what triggers see.
func (u user) eventAttributes() map[string]string {
	a := maps.Clone(u.Attributes)
	if a == nil {
		a = make(map[string]string)
	}
	a["sub"] = u.Sub
	a["cognito:user_status"] = u.Status
	return a
}

// fold makes user names and addresses comparable: pools are not case sensitive by default.
func fold(name string) string { return strings.ToLower(name) }

var errNoUser = &failure{Type: typeUserNotFound, Message: "User does not exist."}

// findUser looks a name up: first as user name, then as alias.
func findUser(tx *bbolt.Tx, name string, now time.Time) (user, bool, error) {
	var u user
	key := fold(name)
	if key == "" {
		return u, false, nil
	}
	found, err := getItem(tx, bucketUsers, []byte(key), now, &u)
	if err != nil || found {
		return u, found, err
	}
	for _, kind := range aliasKinds {
		var username string
		found, err := getItem(tx, bucketAliases, joinKey(kind, key), now, &username)
		if err != nil {
			return u, false, err
		}
		if found {
			found, err = getItem(tx, bucketUsers, []byte(username), now, &u)
			return u, found, err
		}
	}
	return u, false, nil
}

// user finds an account by name or alias.
func (p *Pool) user(name string) (u user, found bool, err error) {
	err = p.db.view(func(tx *bbolt.Tx) error {
		u, found, err = findUser(tx, name, p.now())
		return err
	})
	return u, found, err
}

func putUser(tx *bbolt.Tx, u user) error {
	return putItem(tx, bucketUsers, []byte(u.Username), time.Time{}, u)
}

// standIn is the name under which triggers and the client meet a user that does not exist: always the same for the same name, and
// of the same form as a real one. Where names are chosen, an unknown one stands for itself.
func (p *Pool) standIn(name string) string {
	folded := fold(name)
	if isUUID(folded) || p.current.Load().Names.Chosen && !isEmail(folded) && !isPhone(folded) {
		return folded
	}
	mac := hmac.New(sha256.New, p.identity.StandIn)
	mac.Write([]byte("user name\x00" + folded))
	return formatUUID([16]byte(mac.Sum(nil)[:16]))
}

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func isUUID(s string) bool { return uuidPattern.MatchString(s) }

// emailPattern is Cognito's idea of an address, narrowed to what mail software reads in one way only.
var emailPattern = regexp.MustCompile("^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$")

// maxEmail is the longest address in characters (RFC 5321, section 4.5.3.1.3, less the brackets).
const maxEmail = 254

func isEmail(s string) bool { return len(s) <= maxEmail && emailPattern.MatchString(s) }

// verifyAddress marks a user's address as proven, if it is still this one. Whoever registered the account before that may not have
// owned the address, so their passkeys and tokens go in the same step. A second call changes nothing.
func (p *Pool) verifyAddress(ctx context.Context, username, address string) error {
	return p.db.update(ctx, func(tx *bbolt.Tx) error {
		now := p.now()
		u, found, err := findUser(tx, username, now)
		if err != nil || !found {
			return err
		}
		if fold(u.Attributes["email"]) != fold(address) || u.Attributes["email_verified"] == "true" {
			return nil
		}
		list, err := listCredentials(tx, u.handle(), "", now)
		if err != nil {
			return err
		}
		for _, c := range list {
			if err := removeCredential(tx, c); err != nil {
				return err
			}
		}
		if err := revokeFamilies(tx, u.Username, now); err != nil {
			return err
		}
		before := u
		u.Attributes = maps.Clone(u.Attributes)
		u.Attributes["email_verified"] = "true"
		u.Modified = now.UTC()
		return p.names().storeUser(tx, &before, u, false, now)
	})
}

// attribute is Cognito's form of a user attribute.
type attribute struct {
	Name  string `json:"Name"`
	Value string `json:"Value"`
}

// attributeList is sorted, with the sub first, as Cognito answers.
func (u user) attributeList() []attribute {
	list := []attribute{{"sub", u.Sub}}
	for _, name := range slices.Sorted(maps.Keys(u.Attributes)) {
		list = append(list, attribute{name, u.Attributes[name]})
	}
	return list
}
