package passkey

import (
	"encoding/json"
	"errors"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// Limits on the passkeys that a Cognito session carries along.
const (
	maxCarried      = 20
	maxCarriedBytes = 16 << 10
)

// carried is what [Settings.Check] needs of a passkey, without what others might make use of.
type carried struct {
	ID             string    `json:"id"`
	PublicKey      PublicKey `json:"jwk"`
	SignCount      uint32    `json:"signCount,omitempty"`
	BackupEligible bool      `json:"be,omitempty"`
	RelyingPartyID string    `json:"rpId"`
}

// Carry encodes all passkeys of one user for the private challenge parameters of a Cognito session, so that they need not be read again
// when one of them answers: [Store.RecordSignIn] tells by its condition what changed meanwhile. It is "" for more than a
// session should carry; "[]" says that there are none.
func Carry(all []Credential) string {
	if len(all) > maxCarried {
		return ""
	}
	list := make([]carried, 0, len(all))
	for _, c := range all {
		list = append(list, carried{challenge.EncodeBase64(c.ID), c.PublicKey, c.SignCount, c.BackupEligible, c.RelyingPartyID})
	}
	b, err := json.Marshal(list)
	if err != nil {
		panic("passkey: plain fields always marshal: " + err.Error())
	}
	if len(b) > maxCarriedBytes {
		return ""
	}
	return string(b)
}

// Carried finds a passkey of the user in what [Carry] made: [ErrUnknownCredential] if it is not there.
func Carried(list, userHandle string, id []byte) (Credential, error) {
	var all []carried
	if len(list) > maxCarriedBytes || json.Unmarshal([]byte(list), &all) != nil {
		return Credential{}, errors.New("reading the passkeys that the session carries: they are damaged")
	}
	want := challenge.EncodeBase64(id)
	for _, c := range all {
		if c.ID == want && want != "" {
			return Credential{
				ID: id, UserHandle: userHandle, PublicKey: c.PublicKey, SignCount: c.SignCount, BackupEligible: c.BackupEligible,
				RelyingPartyID: c.RelyingPartyID,
			}, nil
		}
	}
	return Credential{}, ErrUnknownCredential
}
