package localpool

import (
	"cmp"
	"context"
	"slices"

	"go.etcd.io/bbolt"
)

type confirmInput struct {
	ClientID           string            `json:"ClientId"`
	SecretHash         string            `json:"SecretHash"`
	Username           string            `json:"Username"`
	ConfirmationCode   string            `json:"ConfirmationCode"`
	ForceAliasCreation bool              `json:"ForceAliasCreation"`
	ClientMetadata     map[string]string `json:"ClientMetadata"`
}

// confirmBy is the attribute whose code confirms an account: what was signed up with, else the number before the address, as in Cognito;
// "" where only an administrator can.
func confirmBy(n Names, u user) string {
	kinds := []string{aliasPhone, aliasEmail}
	if !n.Chosen {
		kinds = []string{cmp.Or(u.NamedBy, aliasEmail)}
	}
	if i := slices.IndexFunc(kinds, func(kind string) bool { return u.Attributes[kind] != "" }); i >= 0 {
		return kinds[i]
	}
	return ""
}

// confirming finds the account that a sign-up is to be confirmed of.
func (p *Pool) confirming(s *settings, in confirmInput) (u user, found bool, err error) {
	if err := s.checkClient(in.ClientID); err != nil {
		return u, false, err
	}
	if err := checkName(in.Username); err != nil {
		return u, false, err
	}
	if err := s.checkSecretHash(in.SecretHash, in.Username); err != nil {
		return u, false, err
	}
	if err := checkMetadata(in.ClientMetadata); err != nil {
		return u, false, err
	}
	return p.user(in.Username)
}

// confirmSignUp confirms an account by the code that was sent to its address or number, which is proven by that, too. An unknown user
// is told apart from nobody whose code has expired.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ConfirmSignUp.html
func (p *Pool) confirmSignUp(ctx context.Context, in confirmInput) (*empty, error) {
	s := p.current.Load()
	u, found, err := p.confirming(s, in)
	if err != nil {
		return nil, err
	}
	if in.ConfirmationCode == "" {
		return nil, invalidParameter("Missing required parameter ConfirmationCode")
	}
	if !found {
		return nil, errCodeExpired
	}
	if u.Status == statusConfirmed {
		return nil, notAuthorized("User cannot be confirmed. Current status is " + u.Status)
	}
	kind := confirmBy(s.Names, u)
	err = p.useCode(ctx, s, u, kind, in.ConfirmationCode, func(tx *bbolt.Tx, before user) error {
		if before.Status == statusConfirmed {
			return errCodeExpired
		}
		now := before.verified(kind, s.Now())
		now.Status = statusConfirmed
		return s.Names.storeUser(tx, &before, now, in.ForceAliasCreation, s.Now())
	})
	if err != nil {
		return nil, err
	}
	return &empty{}, nil
}

// resendConfirmationCode sends a new code, which voids the earlier one. For a user that does not exist it says that it did.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ResendConfirmationCode.html
func (p *Pool) resendConfirmationCode(ctx context.Context, in confirmInput) (*attributeCodeOutput, error) {
	s := p.current.Load()
	u, found, err := p.confirming(s, in)
	if err != nil {
		return nil, err
	}
	if !found {
		// Limited as for a known one, so that the limit does not tell them apart.
		if err := p.countCode(ctx, s, attributeCodeKey(user{Username: p.standIn(in.Username)}, aliasEmail)); err != nil {
			return nil, err
		}
		return &attributeCodeOutput{CodeDeliveryDetails: p.simulatedDelivery(s, in.Username)}, nil
	}
	if u.Status == statusConfirmed {
		return nil, invalidParameter("User is already confirmed.")
	}
	kind := confirmBy(s.Names, u)
	if kind == "" {
		return nil, invalidParameter("Cannot resend codes. Auto verification not turned on.")
	}
	delivery, err := p.issueCode(ctx, s, u, kind)
	if err != nil {
		return nil, err
	}
	return &attributeCodeOutput{CodeDeliveryDetails: *delivery}, nil
}

// simulatedDelivery is to the name itself where it is an address or a number, else to a made-up address, the same at each call.
func (p *Pool) simulatedDelivery(s *settings, name string) codeDelivery {
	if s.Names.has(aliasPhone) && isPhone(name) {
		return deliveryOf(aliasPhone, name)
	}
	if isEmail(name) {
		return deliveryOf(aliasEmail, fold(name))
	}
	made := p.standIn("address of " + name)
	return deliveryOf(aliasEmail, made[:1]+"@"+made[1:2]+".example")
}
