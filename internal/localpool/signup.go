package localpool

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.etcd.io/bbolt"
)

type signUpInput struct {
	ClientID       string            `json:"ClientId"`
	SecretHash     string            `json:"SecretHash"`
	Username       string            `json:"Username"`
	Password       string            `json:"Password"` // never kept: there is no password sign-in
	UserAttributes []attribute       `json:"UserAttributes"`
	ValidationData []attribute       `json:"ValidationData"`
	ClientMetadata map[string]string `json:"ClientMetadata"`
}

type signUpOutput struct {
	UserConfirmed bool   `json:"UserConfirmed"`
	UserSub       string `json:"UserSub"`
}

// standardAttributes are those a person may set at sign-up.
// https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html
var standardAttributes = []string{
	"address", "birthdate", "email", "family_name", "gender", "given_name", "locale", "middle_name", "name", "nickname",
	"phone_number", "picture", "preferred_username", "profile", "updated_at", "website", "zoneinfo",
}

// serverAttributes are set by the pool only.
var serverAttributes = []string{"sub", "email_verified", "phone_number_verified", "identities"}

// signUp registers an account under an e-mail address.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_SignUp.html
func (p *Pool) signUp(ctx context.Context, in signUpInput) (*signUpOutput, error) {
	s := p.current.Load()
	if err := s.checkClient(in.ClientID); err != nil {
		return nil, err
	}
	if in.Username == "" {
		return nil, invalidParameter("Missing required parameter Username")
	}
	if err := s.checkSecretHash(in.SecretHash, in.Username); err != nil {
		return nil, err
	}
	if err := checkMetadata(in.ClientMetadata); err != nil {
		return nil, err
	}
	if !isEmail(in.Username) {
		return nil, invalidParameter("Username should be an email.")
	}
	attributes, err := signUpAttributes(in)
	if err != nil {
		return nil, err
	}
	id, err := newUUID(s.Rand)
	if err != nil {
		return nil, err
	}
	confirmed, err := p.preSignUp(ctx, s, "PreSignUp_SignUp", id, attributes, in)
	if err != nil {
		return nil, err
	}
	u := user{
		Username: id, Sub: id, Attributes: attributes, Status: statusUnconfirmed,
		Created: s.Now().UTC(), Modified: s.Now().UTC(),
	}
	u.Attributes["email_verified"] = "false"
	if confirmed.AutoVerifyEmail {
		u.Attributes["email_verified"] = "true"
	}
	if _, phone := attributes["phone_number"]; phone {
		u.Attributes["phone_number_verified"] = "false"
		if confirmed.AutoVerifyPhone {
			u.Attributes["phone_number_verified"] = "true"
		}
	}
	if confirmed.AutoConfirmUser {
		u.Status = statusConfirmed
	}
	if err := p.addUser(ctx, u); err != nil {
		return nil, err
	}
	return &signUpOutput{UserConfirmed: confirmed.AutoConfirmUser, UserSub: u.Sub}, nil
}

// addUser stores a new user, unless the address belongs to another.
func (p *Pool) addUser(ctx context.Context, u user) error {
	return p.db.update(ctx, func(tx *bbolt.Tx) error {
		email := u.Attributes["email"]
		if _, taken, err := findUser(tx, email, p.now()); err != nil || taken {
			if err == nil {
				err = &failure{Type: typeUsernameExists, Message: "An account with the given email already exists."}
			}
			return err
		}
		if err := putItem(tx, bucketAliases, joinKey(aliasEmail, fold(email)), time.Time{}, u.Username); err != nil {
			return err
		}
		return putUser(tx, u)
	})
}

// signUpAttributes checks what the person wants to be known as.
func signUpAttributes(in signUpInput) (map[string]string, error) {
	attributes := map[string]string{"email": in.Username}
	for _, a := range in.UserAttributes {
		switch {
		case slices.Contains(serverAttributes, a.Name) || strings.HasPrefix(a.Name, "cognito:"):
			return nil, notAuthorized("A client attempted to write unauthorized attribute")
		case !slices.Contains(standardAttributes, a.Name):
			return nil, invalidParameter("Attributes did not conform to the schema: Type for attribute could not be determined")
		case len(a.Value) > maxValue || !utf8.ValidString(a.Value):
			return nil, invalidParameter("Attributes did not conform to the schema: " + a.Name + " is too long")
		case a.Name == "email" && fold(a.Value) != fold(in.Username):
			return nil, invalidParameter("Attribute email must be the same as the user name.")
		case a.Name == "phone_number" && !isPhone(a.Value):
			return nil, invalidParameter("Invalid phone number format.")
		}
		attributes[a.Name] = a.Value
	}
	return attributes, nil
}

// isPhone accepts E.164 numbers.
func isPhone(s string) bool {
	if len(s) < 3 || len(s) > 16 || s[0] != '+' || s[1] == '0' {
		return false
	}
	return !strings.ContainsFunc(s[1:], func(r rune) bool { return r < '0' || r > '9' })
}
