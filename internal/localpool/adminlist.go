package localpool

import (
	"context"
	"regexp"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// mostListed is what lists return at once, as in Cognito.
const mostListed = 60

type listUsersInput struct {
	UserPoolID      string   `json:"UserPoolId"`
	Limit           int      `json:"Limit"`
	PaginationToken string   `json:"PaginationToken"`
	Filter          string   `json:"Filter"`
	AttributesToGet []string `json:"AttributesToGet"`
}

type listUsersOutput struct {
	Users           []listedUser `json:"Users"`
	PaginationToken string       `json:"PaginationToken,omitempty"`
}

// filterPattern is Cognito's: an attribute, = or ^= (begins with), a value in quotes.
var filterPattern = regexp.MustCompile(`^\s*"?([A-Za-z0-9_.:-]+)"?\s*(\^?=)\s*"((?:[^"\\]|\\.)*)"\s*$`)

// userFilter reads a filter. https://docs.aws.amazon.com/cognito/latest/developerguide/how-to-manage-user-accounts.html
func userFilter(text string) (func(user) bool, error) {
	if text == "" {
		return func(user) bool { return true }, nil
	}
	m := filterPattern.FindStringSubmatch(text)
	if m == nil {
		return nil, invalidParameter("Error while parsing filter.")
	}
	name, operator, want := m[1], m[2], strings.ReplaceAll(strings.ReplaceAll(m[3], `\"`, `"`), `\\`, `\`)
	var value func(user) string
	switch name {
	case "username":
		value = func(u user) string { return u.Username }
	case "sub":
		value = func(u user) string { return u.Sub }
	case "cognito:user_status":
		value = func(u user) string { return u.Status }
	case "status":
		value = func(u user) string {
			if u.Disabled {
				return "Disabled"
			}
			return "Enabled"
		}
	case "email", "phone_number", "name", "given_name", "family_name", "preferred_username":
		value = func(u user) string { return u.Attributes[name] }
	default:
		return nil, invalidParameter("One or more requested attributes cannot be searched by.")
	}
	return func(u user) bool {
		have := value(u)
		if operator == "^=" {
			return len(have) >= len(want) && strings.EqualFold(have[:len(want)], want)
		}
		return strings.EqualFold(have, want)
	}, nil
}

// usersFrom collects users whose names come after a given one, and says whether there are more.
func usersFrom(tx *bbolt.Tx, after string, limit int, match func(user) bool, now time.Time) (list []user, more bool, err error) {
	c := tx.Bucket([]byte(bucketUsers)).Cursor()
	for k, _ := c.Seek([]byte(after)); k != nil; k, _ = c.Next() {
		if string(k) == after {
			continue
		}
		var u user
		found, err := getItem(tx, bucketUsers, k, now, &u)
		if err != nil {
			return nil, false, err
		}
		if !found || !match(u) {
			continue
		}
		if len(list) == limit {
			return list, true, nil
		}
		list = append(list, u)
	}
	return list, false, nil
}

func limitOf(n int) (int, error) {
	switch {
	case n < 0 || n > mostListed:
		return 0, invalidParameter("Limit must be 1 to 60.")
	case n == 0:
		return mostListed, nil
	}
	return n, nil
}

// listUsers: https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ListUsers.html
func (p *Pool) listUsers(_ context.Context, in listUsersInput) (*listUsersOutput, error) {
	s := p.current.Load()
	if err := s.checkPool(in.UserPoolID); err != nil {
		return nil, err
	}
	limit, err := limitOf(in.Limit)
	if err != nil {
		return nil, err
	}
	match, err := userFilter(in.Filter)
	if err != nil {
		return nil, err
	}
	after, err := p.pageStart("users", in.PaginationToken)
	if err != nil {
		return nil, err
	}
	out := &listUsersOutput{Users: []listedUser{}}
	err = p.db.view(func(tx *bbolt.Tx) error {
		list, more, err := usersFrom(tx, after, limit, match, s.Now())
		for _, u := range list {
			out.Users = append(out.Users, only(listed(u), in.AttributesToGet))
		}
		if more {
			out.PaginationToken = p.pageToken("users", list[len(list)-1].Username)
		}
		return err
	})
	return out, err
}

func only(u listedUser, names []string) listedUser {
	if len(names) == 0 {
		return u
	}
	var kept []attribute
	for _, a := range u.Attributes {
		for _, name := range names {
			if a.Name == name {
				kept = append(kept, a)
			}
		}
	}
	u.Attributes = kept
	return u
}
