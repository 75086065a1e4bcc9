package localpool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// adminOperations are those that need the signature of an administrator's key, as they need IAM permissions in Cognito.
var adminOperations = map[string]operation{
	"AdminCreateUser":             serve((*Pool).adminCreateUser),
	"AdminGetUser":                serve((*Pool).adminGetUser),
	"AdminDeleteUser":             serve((*Pool).adminDeleteUser),
	"AdminEnableUser":             serve((*Pool).adminEnableUser),
	"AdminDisableUser":            serve((*Pool).adminDisableUser),
	"AdminConfirmSignUp":          serve((*Pool).adminConfirmSignUp),
	"AdminUpdateUserAttributes":   serve((*Pool).adminUpdateUserAttributes),
	"AdminDeleteUserAttributes":   serve((*Pool).adminDeleteUserAttributes),
	"AdminSetUserPassword":        serve((*Pool).adminSetUserPassword),
	"AdminUserGlobalSignOut":      serve((*Pool).adminUserGlobalSignOut),
	"AdminInitiateAuth":           serve((*Pool).adminInitiateAuth),
	"AdminRespondToAuthChallenge": serve((*Pool).adminRespondToAuthChallenge),
	"ListUsers":                   serve((*Pool).listUsers),
	"DescribeUserPool":            serve((*Pool).describeUserPool),
	"ListUserPools":               serve((*Pool).listUserPools),
	"ListUserPoolClients":         serve((*Pool).listUserPoolClients),
	"GetUserPoolMfaConfig":        serve((*Pool).getUserPoolMfaConfig),
	"DescribeUserPoolClient":      serve((*Pool).describeUserPoolClient),
	"CreateGroup":                 serve((*Pool).createGroup),
	"GetGroup":                    serve((*Pool).getGroup),
	"UpdateGroup":                 serve((*Pool).updateGroup),
	"DeleteGroup":                 serve((*Pool).deleteGroup),
	"ListGroups":                  serve((*Pool).listGroups),
	"ListUsersInGroup":            serve((*Pool).listUsersInGroup),
	"AdminAddUserToGroup":         serve((*Pool).adminAddUserToGroup),
	"AdminRemoveUserFromGroup":    serve((*Pool).adminRemoveUserFromGroup),
	"AdminListGroupsForUser":      serve((*Pool).adminListGroupsForUser),
}

// seconds is a time as the JSON protocol has it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

type adminUserInput struct {
	UserPoolID     string            `json:"UserPoolId"`
	Username       string            `json:"Username"`
	UserAttributes []attribute       `json:"UserAttributes"`
	ClientMetadata map[string]string `json:"ClientMetadata"`
}

type adminCreateUserInput struct {
	adminUserInput
	TemporaryPassword  string `json:"TemporaryPassword"`
	ForceAliasCreation bool   `json:"ForceAliasCreation"`
}

type adminUserOutput struct {
	Username             string      `json:"Username"`
	UserAttributes       []attribute `json:"UserAttributes"`
	UserCreateDate       float64     `json:"UserCreateDate"`
	UserLastModifiedDate float64     `json:"UserLastModifiedDate"`
	Enabled              bool        `json:"Enabled"`
	UserStatus           string      `json:"UserStatus"`
}

// listedUser is a user in lists and in the answer of AdminCreateUser, which names the attributes otherwise.
type listedUser struct {
	Username             string      `json:"Username"`
	Attributes           []attribute `json:"Attributes"`
	UserCreateDate       float64     `json:"UserCreateDate"`
	UserLastModifiedDate float64     `json:"UserLastModifiedDate"`
	Enabled              bool        `json:"Enabled"`
	UserStatus           string      `json:"UserStatus"`
}

func listed(u user) listedUser {
	return listedUser{
		Username: u.Username, Attributes: u.attributeList(), UserCreateDate: seconds(u.Created), UserLastModifiedDate: seconds(u.Modified),
		Enabled: !u.Disabled, UserStatus: u.Status,
	}
}

// checkPool compares the user pool ID, as every operation of an administrator does first.
func (s *settings) checkPool(id string) error {
	if id == "" {
		return invalidParameter("Missing required parameter UserPoolId")
	}
	if id != s.UserPoolID {
		return &failure{Type: typeResourceNotFound, Message: "User pool " + clip(id) + " does not exist."}
	}
	return nil
}

// clip bounds what an error repeats of a request.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64]
	}
	return s
}

// adminCreateUser makes an account that can sign in at once: there are no passwords to change first, and no invitation is mailed, because a
// person signs in with a link anyhow.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminCreateUser.html
func (p *Pool) adminCreateUser(ctx context.Context, in adminCreateUserInput) (map[string]listedUser, error) {
	s := p.current.Load()
	if err := s.checkPool(in.UserPoolID); err != nil {
		return nil, err
	}
	if in.TemporaryPassword != "" {
		return nil, invalidParameter("TemporaryPassword: users of this pool have no passwords")
	}
	if err := checkMetadata(in.ClientMetadata); err != nil {
		return nil, err
	}
	attributes, verified := make(map[string]string), make(map[string]string)
	for _, a := range in.UserAttributes {
		if err := s.checkAttribute(a); err != nil {
			return nil, err
		}
		if strings.HasSuffix(a.Name, "_verified") {
			verified[a.Name] = a.Value
		} else {
			attributes[a.Name] = a.Value
		}
	}
	u, err := s.newUser(in.Username, attributes)
	if err != nil {
		return nil, err
	}
	_, err = p.preSignUp(ctx, s, "PreSignUp_AdminCreateUser", u.Username, maps.Clone(u.Attributes), signUpInput{ClientMetadata: in.ClientMetadata})
	if err != nil {
		return nil, err
	}
	for _, kind := range []string{aliasEmail, aliasPhone} {
		if u.Attributes[kind] != "" {
			u.Attributes[kind+"_verified"] = cmp.Or(verified[kind+"_verified"], "false")
		}
	}
	u.Status = statusConfirmed
	err = p.db.update(ctx, func(tx *bbolt.Tx) error { return s.Names.addUser(tx, u, in.ForceAliasCreation, s.Now()) })
	if err != nil {
		return nil, err
	}
	return map[string]listedUser{"User": listed(u)}, nil
}

// edit finds the account that an administrator names, and does something to it in one durable step.
func (p *Pool) edit(ctx context.Context, in adminUserInput, change func(tx *bbolt.Tx, u *user) error) (*empty, error) {
	s := p.current.Load()
	if err := s.checkPool(in.UserPoolID); err != nil {
		return nil, err
	}
	_, err := p.changeAccount(ctx, in.Username, change)
	if errors.Is(err, ErrNoAccount) {
		return nil, errNoUser
	}
	if err != nil {
		return nil, err
	}
	return &empty{}, nil
}

// lookUp finds the account that an administrator names.
func (p *Pool) lookUp(poolID, name string) (user, error) {
	s := p.current.Load()
	if err := s.checkPool(poolID); err != nil {
		return user{}, err
	}
	u, found, err := p.user(name)
	if err == nil && !found {
		err = errNoUser
	}
	return u, err
}

// adminGetUser: https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminGetUser.html
func (p *Pool) adminGetUser(_ context.Context, in adminUserInput) (*adminUserOutput, error) {
	u, err := p.lookUp(in.UserPoolID, in.Username)
	if err != nil {
		return nil, err
	}
	l := listed(u)
	return &adminUserOutput{
		Username: l.Username, UserAttributes: l.Attributes, UserCreateDate: l.UserCreateDate, UserLastModifiedDate: l.UserLastModifiedDate,
		Enabled: l.Enabled, UserStatus: l.UserStatus,
	}, nil
}

func (p *Pool) adminDeleteUser(ctx context.Context, in adminUserInput) (*empty, error) {
	u, err := p.lookUp(in.UserPoolID, in.Username)
	if err != nil {
		return nil, err
	}
	return &empty{}, p.RemoveAccount(ctx, u.Username)
}

func (p *Pool) adminEnableUser(ctx context.Context, in adminUserInput) (*empty, error) {
	return p.edit(ctx, in, func(_ *bbolt.Tx, u *user) error {
		u.Disabled = false
		return nil
	})
}

// adminDisableUser revokes every token, as Cognito does.
func (p *Pool) adminDisableUser(ctx context.Context, in adminUserInput) (*empty, error) {
	return p.edit(ctx, in, func(tx *bbolt.Tx, u *user) error {
		u.Disabled = true
		return revokeFamilies(tx, u.Username, p.now())
	})
}

func (p *Pool) adminConfirmSignUp(ctx context.Context, in adminUserInput) (*empty, error) {
	return p.edit(ctx, in, func(_ *bbolt.Tx, u *user) error {
		if u.Status == statusConfirmed {
			return notAuthorized("User cannot be confirmed. Current status is " + u.Status)
		}
		u.Status = statusConfirmed
		return nil
	})
}

// adminUpdateUserAttributes may set whether an address or a number is verified, too.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminUpdateUserAttributes.html
func (p *Pool) adminUpdateUserAttributes(ctx context.Context, in adminUserInput) (*empty, error) {
	u, err := p.lookUp(in.UserPoolID, in.Username)
	if err != nil {
		return nil, err
	}
	err = p.db.update(ctx, func(tx *bbolt.Tx) error {
		return p.current.Load().changeAttributes(tx, u.Username, in.UserAttributes)
	})
	if err != nil {
		return nil, err
	}
	return &empty{}, nil
}

type adminDeleteAttributesInput struct {
	UserPoolID         string   `json:"UserPoolId"`
	Username           string   `json:"Username"`
	UserAttributeNames []string `json:"UserAttributeNames"`
}

// adminDeleteUserAttributes: https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminDeleteUserAttributes.html
func (p *Pool) adminDeleteUserAttributes(ctx context.Context, in adminDeleteAttributesInput) (*empty, error) {
	u, err := p.lookUp(in.UserPoolID, in.Username)
	if err != nil {
		return nil, err
	}
	return p.removeAttributes(ctx, p.current.Load(), u, in.UserAttributeNames)
}

type adminSetPasswordInput struct {
	adminUserInput
	Password  string `json:"Password"` // never kept: there is no password sign-in
	Permanent bool   `json:"Permanent"`
}

// adminSetUserPassword does what a permanent password does to an account: it is confirmed. The password itself is discarded, as at SignUp. A temporary
// one would lock the user out until it is changed, which nobody can do here: it is refused.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminSetUserPassword.html
func (p *Pool) adminSetUserPassword(ctx context.Context, in adminSetPasswordInput) (*empty, error) {
	if in.Password == "" {
		return nil, invalidParameter("Missing required parameter Password")
	}
	if !in.Permanent {
		return nil, invalidParameter("Permanent: users of this pool have no passwords, so nobody could change a temporary one")
	}
	return p.edit(ctx, in.adminUserInput, func(_ *bbolt.Tx, u *user) error {
		u.Status = statusConfirmed
		return nil
	})
}

// adminUserGlobalSignOut: https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminUserGlobalSignOut.html
func (p *Pool) adminUserGlobalSignOut(ctx context.Context, in adminUserInput) (*empty, error) {
	return p.edit(ctx, in, func(tx *bbolt.Tx, u *user) error { return revokeFamilies(tx, u.Username, p.now()) })
}

type adminInitiateAuthInput struct {
	UserPoolID string `json:"UserPoolId"`
	initiateAuthInput
}

// adminInitiateAuth is InitiateAuth for servers that sign their requests.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_AdminInitiateAuth.html
func (p *Pool) adminInitiateAuth(ctx context.Context, in adminInitiateAuthInput) (*authOutput, error) {
	if err := p.current.Load().checkPool(in.UserPoolID); err != nil {
		return nil, err
	}
	return p.initiateAuth(ctx, in.initiateAuthInput)
}

type adminRespondInput struct {
	UserPoolID string `json:"UserPoolId"`
	respondInput
}

func (p *Pool) adminRespondToAuthChallenge(ctx context.Context, in adminRespondInput) (*authOutput, error) {
	if err := p.current.Load().checkPool(in.UserPoolID); err != nil {
		return nil, err
	}
	return p.respondToAuthChallenge(ctx, in.respondInput)
}

// CheckAdminKey refuses a key that no AWS client could use or that could be guessed.
func CheckAdminKey(id, secret string) error {
	if !keyID.MatchString(id) || len(secret) < 16 {
		return fmt.Errorf("the administrators' key %q: give it an ID of 3 or more letters and digits, and a secret of 16 or more", clip(id))
	}
	return nil
}

// keyID is what an access key ID may be, as the header of a signature has it.
var keyID = regexp.MustCompile(`^[A-Za-z0-9_-]{3,128}$`)
