package localpool

import (
	"bytes"
	"context"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// group is a group of the pool, kept beside the pool's identity.
type group struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Precedence  *int      `json:"precedence,omitempty"`
	RoleARN     string    `json:"role_arn,omitempty"`
	Created     time.Time `json:"created"`
	Modified    time.Time `json:"modified,omitzero"`
}

// groupPrefix begins the keys of groups in bucketMeta.
const groupPrefix = "group\x00"

func groupKey(name string) []byte { return append([]byte(groupPrefix), name...) }

var (
	errNoGroup     = &failure{Type: typeResourceNotFound, Message: "Group not found."}
	errGroupExists = &failure{Type: "GroupExistsException", Message: "A group already exists with this name in the user pool."}
)

type groupInput struct {
	UserPoolID  string `json:"UserPoolId"`
	GroupName   string `json:"GroupName"`
	Username    string `json:"Username"`
	Description string `json:"Description"`
	RoleARN     string `json:"RoleArn"`
	Precedence  *int   `json:"Precedence"`
	Limit       int    `json:"Limit"`
	NextToken   string `json:"NextToken"`
}

type groupOutput struct {
	GroupName        string  `json:"GroupName"`
	UserPoolID       string  `json:"UserPoolId"`
	Description      string  `json:"Description,omitempty"`
	RoleARN          string  `json:"RoleArn,omitempty"`
	Precedence       *int    `json:"Precedence,omitempty"`
	CreationDate     float64 `json:"CreationDate"`
	LastModifiedDate float64 `json:"LastModifiedDate"`
}

type groupsOutput struct {
	Groups    []groupOutput `json:"Groups"`
	NextToken string        `json:"NextToken,omitempty"`
}

type groupUsersOutput struct {
	Users     []listedUser `json:"Users"`
	NextToken string       `json:"NextToken,omitempty"`
}

func (s *settings) group(g group) groupOutput {
	modified := g.Modified
	if modified.IsZero() {
		modified = g.Created
	}
	return groupOutput{
		GroupName: g.Name, UserPoolID: s.UserPoolID, Description: g.Description, RoleARN: g.RoleARN, Precedence: g.Precedence,
		CreationDate: seconds(g.Created), LastModifiedDate: seconds(modified),
	}
}

// checkGroup compares the pool and refuses names that cannot be.
func (s *settings) checkGroup(in groupInput) error {
	if err := s.checkPool(in.UserPoolID); err != nil {
		return err
	}
	if !groupPattern.MatchString(in.GroupName) {
		return invalidParameter("The name of a group is 1 to 128 letters, digits and marks, without spaces and commas.")
	}
	return nil
}

// ensureGroup makes a group unless there is one.
func ensureGroup(tx *bbolt.Tx, name string, now time.Time) error {
	var g group
	found, err := getItem(tx, bucketMeta, groupKey(name), now, &g)
	if err != nil || found {
		return err
	}
	return putItem(tx, bucketMeta, groupKey(name), time.Time{}, group{Name: name, Created: now.UTC()})
}

// createGroup: https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_CreateGroup.html
func (p *Pool) createGroup(ctx context.Context, in groupInput) (map[string]groupOutput, error) {
	s := p.current.Load()
	if err := s.checkGroup(in); err != nil {
		return nil, err
	}
	if err := checkGroupTexts(in.Description, in.RoleARN); err != nil {
		return nil, err
	}
	g := group{Name: in.GroupName, Description: in.Description, RoleARN: in.RoleARN, Precedence: in.Precedence, Created: s.Now().UTC()}
	err := p.db.update(ctx, func(tx *bbolt.Tx) error {
		var other group
		found, err := getItem(tx, bucketMeta, groupKey(in.GroupName), s.Now(), &other)
		if err == nil && found {
			err = errGroupExists
		}
		if err != nil {
			return err
		}
		return putItem(tx, bucketMeta, groupKey(in.GroupName), time.Time{}, g)
	})
	if err != nil {
		return nil, err
	}
	return map[string]groupOutput{"Group": s.group(g)}, nil
}

func checkGroupTexts(description, roleARN string) error {
	if len(description) > maxValue || len(roleARN) > maxValue {
		return invalidParameter("Description or RoleArn is too long.")
	}
	return nil
}

type updateGroupInput struct {
	UserPoolID  string  `json:"UserPoolId"`
	GroupName   string  `json:"GroupName"`
	Description *string `json:"Description"`
	RoleARN     *string `json:"RoleArn"`
	Precedence  *int    `json:"Precedence"`
}

// updateGroup changes what the request names and keeps the rest.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateGroup.html
func (p *Pool) updateGroup(ctx context.Context, in updateGroupInput) (map[string]groupOutput, error) {
	s := p.current.Load()
	if err := s.checkGroup(groupInput{UserPoolID: in.UserPoolID, GroupName: in.GroupName}); err != nil {
		return nil, err
	}
	var g group
	err := p.db.update(ctx, func(tx *bbolt.Tx) error {
		g = group{}
		found, err := getItem(tx, bucketMeta, groupKey(in.GroupName), s.Now(), &g)
		if err != nil {
			return err
		}
		if !found {
			return errNoGroup
		}
		if in.Description != nil {
			g.Description = *in.Description
		}
		if in.RoleARN != nil {
			g.RoleARN = *in.RoleARN
		}
		if in.Precedence != nil {
			g.Precedence = in.Precedence
		}
		if err := checkGroupTexts(g.Description, g.RoleARN); err != nil {
			return err
		}
		g.Modified = s.Now().UTC()
		return putItem(tx, bucketMeta, groupKey(in.GroupName), time.Time{}, g)
	})
	if err != nil {
		return nil, err
	}
	return map[string]groupOutput{"Group": s.group(g)}, nil
}

func (p *Pool) findGroup(s *settings, in groupInput) (g group, err error) {
	if err := s.checkGroup(in); err != nil {
		return g, err
	}
	err = p.db.view(func(tx *bbolt.Tx) error {
		found, err := getItem(tx, bucketMeta, groupKey(in.GroupName), s.Now(), &g)
		if err == nil && !found {
			err = errNoGroup
		}
		return err
	})
	return g, err
}

func (p *Pool) getGroup(_ context.Context, in groupInput) (map[string]groupOutput, error) {
	s := p.current.Load()
	g, err := p.findGroup(s, in)
	if err != nil {
		return nil, err
	}
	return map[string]groupOutput{"Group": s.group(g)}, nil
}

// deleteGroup takes the group from its users too.
func (p *Pool) deleteGroup(ctx context.Context, in groupInput) (*empty, error) {
	s := p.current.Load()
	if _, err := p.findGroup(s, in); err != nil {
		return nil, err
	}
	err := p.db.update(ctx, func(tx *bbolt.Tx) error {
		members, _, err := usersFrom(tx, "", -1, func(u user) bool { return slices.Contains(u.Groups, in.GroupName) }, s.Now())
		if err != nil {
			return err
		}
		for _, u := range members {
			u.Groups = slices.DeleteFunc(slices.Clone(u.Groups), func(g string) bool { return g == in.GroupName })
			if err := putUser(tx, u); err != nil {
				return err
			}
		}
		return deleteItem(tx, bucketMeta, groupKey(in.GroupName))
	})
	if err != nil {
		return nil, err
	}
	return &empty{}, nil
}

func (p *Pool) listGroups(_ context.Context, in groupInput) (*groupsOutput, error) {
	s := p.current.Load()
	if err := s.checkPool(in.UserPoolID); err != nil {
		return nil, err
	}
	limit, err := limitOf(in.Limit)
	if err != nil {
		return nil, err
	}
	after, err := p.pageStart("groups", in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &groupsOutput{Groups: []groupOutput{}}
	err = p.db.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(bucketMeta)).Cursor()
		prefix := []byte(groupPrefix)
		for k, _ := c.Seek(groupKey(after)); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			if after != "" && bytes.Equal(k, groupKey(after)) {
				continue
			}
			if len(out.Groups) == limit {
				out.NextToken = p.pageToken("groups", out.Groups[limit-1].GroupName)
				return nil
			}
			var g group
			if found, err := getItem(tx, bucketMeta, k, s.Now(), &g); err != nil {
				return err
			} else if found {
				out.Groups = append(out.Groups, s.group(g))
			}
		}
		return nil
	})
	return out, err
}

func (p *Pool) listUsersInGroup(_ context.Context, in groupInput) (*groupUsersOutput, error) {
	s := p.current.Load()
	if _, err := p.findGroup(s, in); err != nil {
		return nil, err
	}
	limit, err := limitOf(in.Limit)
	if err != nil {
		return nil, err
	}
	list := "group\x00" + in.GroupName
	after, err := p.pageStart(list, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &groupUsersOutput{Users: []listedUser{}}
	err = p.db.view(func(tx *bbolt.Tx) error {
		members, more, err := usersFrom(tx, after, limit, func(u user) bool { return slices.Contains(u.Groups, in.GroupName) }, s.Now())
		for _, u := range members {
			out.Users = append(out.Users, listed(u))
		}
		if more {
			out.NextToken = p.pageToken(list, members[len(members)-1].Username)
		}
		return err
	})
	return out, err
}

// regroup changes the groups of a user, whose tokens carry them from the next refresh on.
func (p *Pool) regroup(ctx context.Context, in groupInput, change func([]string) []string) (*empty, error) {
	if _, err := p.findGroup(p.current.Load(), in); err != nil {
		return nil, err
	}
	return p.edit(ctx, adminUserInput{UserPoolID: in.UserPoolID, Username: in.Username}, func(_ *bbolt.Tx, u *user) error {
		u.Groups = change(slices.Clone(u.Groups))
		return nil
	})
}

func (p *Pool) adminAddUserToGroup(ctx context.Context, in groupInput) (*empty, error) {
	return p.regroup(ctx, in, func(groups []string) []string {
		groups = append(groups, in.GroupName)
		slices.Sort(groups)
		return slices.Compact(groups)
	})
}

func (p *Pool) adminRemoveUserFromGroup(ctx context.Context, in groupInput) (*empty, error) {
	return p.regroup(ctx, in, func(groups []string) []string {
		return slices.DeleteFunc(groups, func(g string) bool { return g == in.GroupName })
	})
}

func (p *Pool) adminListGroupsForUser(_ context.Context, in groupInput) (*groupsOutput, error) {
	s := p.current.Load()
	u, err := p.lookUp(in.UserPoolID, in.Username)
	if err != nil {
		return nil, err
	}
	out := &groupsOutput{Groups: []groupOutput{}}
	err = p.db.view(func(tx *bbolt.Tx) error {
		for _, name := range u.Groups {
			g := group{Name: name, Created: u.Created}
			if _, err := getItem(tx, bucketMeta, groupKey(name), s.Now(), &g); err != nil {
				return err
			}
			out.Groups = append(out.Groups, s.group(g))
		}
		return nil
	})
	return out, err
}
