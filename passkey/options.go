package passkey

import (
	"slices"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// CreationOptions is the JSON for navigator.credentials.create, as existing browser clients expect it: Challenge and the IDs
// to exclude are base64url, while User.ID is the user handle itself, to be encoded as UTF-8.
type CreationOptions struct {
	Challenge              string                 `json:"challenge"`
	Attestation            string                 `json:"attestation"`
	RP                     OptionsRelyingParty    `json:"rp"`
	User                   OptionsUser            `json:"user"`
	PubKeyCredParams       []CredentialParameter  `json:"pubKeyCredParams"`
	AuthenticatorSelection AuthenticatorSelection `json:"authenticatorSelection"`
	Timeout                int64                  `json:"timeout"` // milliseconds
	ExcludeCredentials     []Descriptor           `json:"excludeCredentials"`
	Extensions             Extensions             `json:"extensions"`
}

// StandardJSON is o as PublicKeyCredentialCreationOptionsJSON (WebAuthn Level 3, section 5.1.9): User.ID is base64url too, for
// parseCreationOptionsFromJSON and libraries that expect it.
func (o CreationOptions) StandardJSON() CreationOptions {
	o.User.ID = challenge.EncodeBase64([]byte(o.User.ID))
	return o
}

// OptionsRelyingParty names the relying party to the authenticator.
type OptionsRelyingParty struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

// OptionsUser names the user to the authenticator.
type OptionsUser struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
}

// CredentialParameter is an acceptable kind of key.
type CredentialParameter struct {
	Type string `json:"type"` // "public-key"
	Alg  int    `json:"alg"`  // COSE
}

// AuthenticatorSelection says what kind of authenticator is wanted.
type AuthenticatorSelection struct {
	UserVerification        string `json:"userVerification"`
	AuthenticatorAttachment string `json:"authenticatorAttachment,omitempty"`
	ResidentKey             string `json:"residentKey,omitempty"`
	RequireResidentKey      bool   `json:"requireResidentKey,omitempty"`
}

// Descriptor names a passkey to the browser.
type Descriptor struct {
	ID         string   `json:"id"`   // base64url
	Type       string   `json:"type"` // "public-key"
	Transports []string `json:"transports,omitempty"`
}

// Extensions asks the client whether the passkey is discoverable (WebAuthn Level 3, section 10.1.3), and security keys to use it
// for nobody but their verified user (credProtect: CTAP 2.1, section 12.1).
type Extensions struct {
	CredProps                  bool   `json:"credProps,omitempty"`
	CredentialProtectionPolicy string `json:"credentialProtectionPolicy,omitempty"`
}

// Names of what [Settings].Extensions may hold.
const (
	extensionCredProps   = "credProps"
	extensionCredProtect = "credProtect"
	extensionNone        = "none"
)

var extensionNames = []string{extensionCredProps, extensionCredProtect, extensionNone}

// extensions are those of a registration. The protection is a wish: providers that know no such thing ask their user anyhow.
func (s Settings) extensions() Extensions {
	if len(s.Extensions) == 0 {
		return Extensions{CredProps: true}
	}
	e := Extensions{CredProps: slices.Contains(s.Extensions, extensionCredProps)}
	if slices.Contains(s.Extensions, extensionCredProtect) {
		e.CredentialProtectionPolicy = "userVerificationRequired"
	}
	return e
}

// RequestOptions is the JSON for navigator.credentials.get; binary values are base64url.
type RequestOptions struct {
	Challenge        string       `json:"challenge"`
	RPID             string       `json:"rpId"`
	Timeout          int64        `json:"timeout"` // milliseconds
	UserVerification string       `json:"userVerification"`
	AllowCredentials []Descriptor `json:"allowCredentials,omitempty"`
}

// RequestOptions makes the options of a sign-in: usernameless when allow is empty. An rpID of "" means the default one.
func (c *Ceremonies) RequestOptions(rpID, challengeB64 string, allow []Credential) RequestOptions {
	if rpID == "" && len(c.Settings.RelyingParties) > 0 {
		rpID = c.Settings.RelyingParties[0].ID
	}
	o := RequestOptions{
		Challenge:        challengeB64,
		RPID:             rpID,
		Timeout:          c.Settings.signInTimeout().Milliseconds(),
		UserVerification: c.Settings.userVerification(),
	}
	for _, cred := range allow {
		o.AllowCredentials = append(o.AllowCredentials, Descriptor{
			ID: challenge.EncodeBase64(cred.ID), Type: publicKeyType, Transports: cred.Transports,
		})
	}
	return o
}

const publicKeyType = "public-key"

func (c *Ceremonies) creationOptions(u User, rp RelyingParty, challengeB64 string, exclude []Credential) CreationOptions {
	s := c.Settings
	name := orDefault(u.Name, orDefault(u.DisplayName, u.Handle)) // a user with nothing but a phone has neither
	o := CreationOptions{
		Challenge:   challengeB64,
		Attestation: s.attestation(),
		RP:          OptionsRelyingParty{Name: orDefault(rp.Name, rp.ID), ID: rp.ID},
		User:        OptionsUser{ID: u.Handle, Name: name, DisplayName: orDefault(u.DisplayName, name)},
		AuthenticatorSelection: AuthenticatorSelection{
			UserVerification:        s.userVerification(),
			AuthenticatorAttachment: s.Attachment,
			ResidentKey:             s.residentKey(),
			RequireResidentKey:      s.residentKey() == "required",
		},
		Timeout:            s.registrationTimeout().Milliseconds(),
		ExcludeCredentials: []Descriptor{},
		Extensions:         s.extensions(),
	}
	for _, alg := range s.algorithms() {
		o.PubKeyCredParams = append(o.PubKeyCredParams, CredentialParameter{Type: publicKeyType, Alg: alg})
	}
	for _, cred := range exclude {
		o.ExcludeCredentials = append(o.ExcludeCredentials, Descriptor{ID: challenge.EncodeBase64(cred.ID), Type: publicKeyType})
	}
	return o
}
