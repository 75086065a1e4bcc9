package localpool

import (
	"context"
	"maps"
	"strconv"
	"strings"

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
	UserConfirmed       bool          `json:"UserConfirmed"`
	UserSub             string        `json:"UserSub"`
	CodeDeliveryDetails *codeDelivery `json:"CodeDeliveryDetails,omitempty"`
}

// standardAttributes are those a person may set at sign-up.
// https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-attributes.html
var standardAttributes = []string{
	"address", "birthdate", "email", "family_name", "gender", "given_name", "locale", "middle_name", "name", "nickname",
	"phone_number", "picture", "preferred_username", "profile", "updated_at", "website", "zoneinfo",
}

// serverAttributes are set by the pool only.
var serverAttributes = []string{"sub", "email_verified", "phone_number_verified", "identities"}

// signUp registers an account. Where PreSignUp does not confirm it, a code does, which is sent to the address or the number.
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
	attributes, err := s.signUpAttributes(in)
	if err != nil {
		return nil, err
	}
	u, err := s.newUser(in.Username, attributes)
	if err != nil {
		return nil, err
	}
	if err := limitSignUp(ctx); err != nil {
		return nil, err
	}
	confirmed, err := p.preSignUp(ctx, s, "PreSignUp_SignUp", u.Username, maps.Clone(u.Attributes), in)
	if err != nil {
		return nil, err
	}
	for kind, verified := range map[string]bool{aliasEmail: confirmed.AutoVerifyEmail, aliasPhone: confirmed.AutoVerifyPhone} {
		if u.Attributes[kind] != "" {
			u.Attributes[kind+"_verified"] = strconv.FormatBool(verified)
		}
	}
	if confirmed.AutoConfirmUser {
		u.Status = statusConfirmed
	}
	u.SelfMade = true
	err = p.db.update(ctx, func(tx *bbolt.Tx) error {
		if err := s.Names.addUser(tx, u, false, s.Now()); err != nil {
			return err
		}
		return watchUnverified(tx, u, s.UnverifiedLifetime)
	})
	if err != nil {
		return nil, err
	}
	out := &signUpOutput{UserConfirmed: confirmed.AutoConfirmUser, UserSub: u.Sub}
	if kind := confirmBy(s.Names, u); !out.UserConfirmed && kind != "" {
		if out.CodeDeliveryDetails, err = p.issueCode(ctx, s, u, kind); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// signUpAttributes checks what the person wants to be known as.
func (s *settings) signUpAttributes(in signUpInput) (map[string]string, error) {
	attributes := make(map[string]string)
	for _, a := range in.UserAttributes {
		if !s.writable(a.Name) {
			return nil, errUnauthorizedAttribute
		}
		if err := s.checkAttribute(a); err != nil {
			return nil, err
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
