package localpool

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"go.etcd.io/bbolt"
)

type updateAttributesInput struct {
	AccessToken    string            `json:"AccessToken"`
	UserAttributes []attribute       `json:"UserAttributes"`
	ClientMetadata map[string]string `json:"ClientMetadata"`
}

type updateAttributesOutput struct {
	CodeDeliveryDetailsList []codeDelivery `json:"CodeDeliveryDetailsList"`
}

type deleteAttributesInput struct {
	AccessToken        string   `json:"AccessToken"`
	UserAttributeNames []string `json:"UserAttributeNames"`
}

const errSchema = "Attributes did not conform to the schema: "

// updateUserAttributes changes the account of an access token. A new address or number counts as unverified; codes are sent when they
// are asked for, as in a Cognito pool that verifies nothing by itself.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserAttributes.html
func (p *Pool) updateUserAttributes(ctx context.Context, in updateAttributesInput) (*updateAttributesOutput, error) {
	s := p.current.Load()
	u, _, err := p.signedIn(s, in.AccessToken)
	if err != nil {
		return nil, err
	}
	if err := checkMetadata(in.ClientMetadata); err != nil {
		return nil, err
	}
	for _, a := range in.UserAttributes {
		if !s.writable(a.Name) {
			return nil, errUnauthorizedAttribute
		}
	}
	err = p.db.update(ctx, func(tx *bbolt.Tx) error { return s.changeAttributes(tx, u.Username, in.UserAttributes) })
	if err != nil {
		return nil, err
	}
	return &updateAttributesOutput{CodeDeliveryDetailsList: []codeDelivery{}}, nil
}

// changeAttributes sets attributes in one step with the aliases that they are. Whoever may set whether something is verified must check before
// who asks.
func (s *settings) changeAttributes(tx *bbolt.Tx, username string, list []attribute) error {
	now := s.Now()
	u, found, err := findUser(tx, username, now)
	if err != nil {
		return err
	}
	if !found {
		return errNoUser
	}
	before := u
	u.Attributes = maps.Clone(before.Attributes)
	for _, a := range list {
		if err := s.checkAttribute(a); err != nil {
			return err
		}
		if (a.Name == "email" || a.Name == "phone_number") && a.Value != before.Attributes[a.Name] {
			u.Attributes[a.Name+"_verified"] = "false"
		}
		u.Attributes[a.Name] = a.Value
	}
	for _, a := range list { // after the values, whose change takes the mark away
		if strings.HasSuffix(a.Name, "_verified") {
			u.Attributes[a.Name] = a.Value
		}
	}
	u.Modified = now.UTC()
	return s.Names.storeUser(tx, &before, u, false, now)
}

func (s *settings) checkAttribute(a attribute) error {
	switch {
	case strings.HasSuffix(a.Name, "_verified") && slices.Contains(serverAttributes, a.Name):
		if a.Value != "true" && a.Value != "false" {
			return invalidParameter(errSchema + a.Name + " is true or false")
		}
	case !s.known(a.Name):
		return invalidParameter(errSchema + "Type for attribute could not be determined")
	case len(a.Value) > maxValue || !utf8.ValidString(a.Value):
		return invalidParameter(errSchema + a.Name + " is too long")
	case a.Name == "email" && !isEmail(a.Value):
		return invalidParameter("Invalid email address format.")
	case a.Name == "phone_number" && !isPhone(a.Value):
		return invalidParameter("Invalid phone number format.")
	}
	return nil
}

// deleteUserAttributes takes attributes away. The one that the user signed up with stays, for it is the user's name.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_DeleteUserAttributes.html
func (p *Pool) deleteUserAttributes(ctx context.Context, in deleteAttributesInput) (*empty, error) {
	s := p.current.Load()
	u, _, err := p.signedIn(s, in.AccessToken)
	if err != nil {
		return nil, err
	}
	for _, name := range in.UserAttributeNames {
		if !s.writable(name) {
			return nil, errUnauthorizedAttribute
		}
	}
	return p.removeAttributes(ctx, s, u, in.UserAttributeNames)
}

// removeAttributes takes attributes of a user away, with the marks that say whether they are verified.
func (p *Pool) removeAttributes(ctx context.Context, s *settings, u user, names []string) (*empty, error) {
	for _, name := range names {
		switch {
		case !s.Names.Chosen && name == cmp.Or(u.NamedBy, aliasEmail):
			return nil, invalidParameter(name + " cannot be deleted: the user signs in with it")
		case slices.Contains(serverAttributes, name):
			return nil, invalidParameter("Cannot modify the non-mutable attribute " + name)
		case !s.known(name):
			return nil, invalidParameter(errSchema + "Type for attribute could not be determined")
		}
	}
	err := p.db.update(ctx, func(tx *bbolt.Tx) error {
		before, found, err := findUser(tx, u.Username, s.Now())
		if err != nil {
			return err
		}
		if !found {
			return errNoUser // deleted in the meantime
		}
		now := before
		now.Attributes = maps.Clone(before.Attributes)
		for _, name := range names {
			delete(now.Attributes, name)
			delete(now.Attributes, name+"_verified")
		}
		now.Modified = s.Now().UTC()
		return s.Names.storeUser(tx, &before, now, false, s.Now())
	})
	if err != nil {
		return nil, err
	}
	return &empty{}, nil
}

// deleteUser deletes the account of an access token, with its passkeys and tokens.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_DeleteUser.html
func (p *Pool) deleteUser(ctx context.Context, in accessTokenInput) (*empty, error) {
	u, _, err := p.signedIn(p.current.Load(), in.AccessToken)
	if err != nil {
		return nil, err
	}
	return &empty{}, p.RemoveAccount(ctx, u.Username)
}
