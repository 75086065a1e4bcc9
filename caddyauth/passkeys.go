package caddyauth

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/passkey"
)

// Passkeys configures WebAuthn (https://www.w3.org/TR/webauthn-3/).
type Passkeys struct {
	// The relying parties; the first is the default.
	RelyingParties []RelyingParty `json:"relying_parties,omitempty"`

	// "required", "preferred" or "discouraged". Default: "required".
	UserVerification string `json:"user_verification,omitempty"`

	// "required", "preferred" or "discouraged": whether a passkey must work without typing a name. Default: "required".
	ResidentKey string `json:"resident_key,omitempty"`

	// "platform" or "cross-platform" to have browsers offer only that kind. Default: any.
	Attachment string `json:"attachment,omitempty"`

	// "none", or "direct" to ask authenticators for proof of their make. Default: "none".
	Attestation string `json:"attestation,omitempty"`

	// Files with PEM certificates of vendors. Every new passkey must prove by its attestation that it comes from one of them; most synced
	// passkeys cannot. Needs the attestation "direct". Default: none, and then attestation is no proof.
	TrustAnchors []string `json:"trust_anchors,omitempty"`

	// AAGUIDs of the only providers that are accepted. Needs TrustAnchors. Default: all.
	AllowProviders []string `json:"allow_providers,omitempty"`

	// AAGUIDs of providers that are refused. Needs the attestation "direct". Default: none.
	DenyProviders []string `json:"deny_providers,omitempty"`

	// COSE algorithm identifiers, in order of preference. Default: -7 (ES256) and -257 (RS256).
	Algorithms []int `json:"algorithms,omitempty"`

	// Extensions asked for at registration: "credProps", "credProtect", or "none" alone. Default: "credProps".
	Extensions []string `json:"extensions,omitempty"`

	// How long a registration may take, at most 1h. Default: 5m.
	RegistrationTimeout caddy.Duration `json:"registration_timeout,omitempty"`

	// How long a passkey prompt may take at sign-in, at most 1h. Default: 2m.
	SignInTimeout caddy.Duration `json:"sign_in_timeout,omitempty"`
}

// RelyingParty is a WebAuthn relying party.
type RelyingParty struct {
	// The RP ID: a domain that is the portal's host or a parent of it, such as "example.com".
	ID string `json:"id,omitempty"`

	// Name shown by passkey prompts. Default: the ID.
	Name string `json:"name,omitempty"`

	// Origins on the RP ID or below that may use it. Default: the portal's origin.
	Origins []string `json:"origins,omitempty"`

	// Origins on other domains that may use it, too. Browsers allow them if `passwordless_related_origins` serves the site of the RP ID.
	RelatedOrigins []string `json:"related_origins,omitempty"`
}

// maxTrustAnchors bounds a file of certificates, in bytes.
const maxTrustAnchors = 4 << 20

func (r *Realm) parsePasskeys() error {
	if r.Passkeys == nil || len(r.Passkeys.RelyingParties) == 0 {
		return fmt.Errorf("passkeys: relying_party is missing: add `passkeys { relying_party %s \"Your name\" }`", r.portalOrigin.host)
	}
	settings, err := r.Passkeys.settings(r.portalOrigin)
	if err != nil {
		return fmt.Errorf("passkeys: %w", err)
	}
	r.passkeys = settings
	if err := r.passkeys.Validate(); err != nil {
		return fmt.Errorf("passkeys: %w", err)
	}
	first := r.passkeys.RelyingParties[0]
	if !slices.Contains(slices.Concat(first.Origins, first.Related), r.portalOrigin.String()) {
		return fmt.Errorf("passkeys: the first relying_party, %s, does not list the portal's origin %s", first.ID, r.portalOrigin)
	}
	return nil
}

func (p *Passkeys) settings(portal origin) (passkey.Settings, error) {
	s := passkey.Settings{
		UserVerification: p.UserVerification, ResidentKey: p.ResidentKey, Attachment: p.Attachment, Attestation: p.Attestation,
		AllowedProviders: p.AllowProviders, DeniedProviders: p.DenyProviders, Algorithms: p.Algorithms, Extensions: p.Extensions,
		RegistrationTimeout: time.Duration(p.RegistrationTimeout), SignInTimeout: time.Duration(p.SignInTimeout),
	}
	if s.RegistrationTimeout > time.Hour || s.SignInTimeout > time.Hour {
		return s, errors.New("registration_timeout and sign_in_timeout are at most 1h: a challenge that lives long can be collected")
	}
	var err error
	if s.TrustAnchors, err = readTrustAnchors(p.TrustAnchors); err != nil {
		return s, err
	}
	for _, rp := range p.RelyingParties {
		own := passkey.RelyingParty{ID: rp.ID, Name: rp.Name, Origins: slices.Clone(rp.Origins), Related: slices.Clone(rp.RelatedOrigins)}
		if own.Name == "" {
			own.Name = rp.ID
		}
		if len(own.Origins) == 0 && !slices.Contains(own.Related, portal.String()) {
			own.Origins = []string{portal.String()}
		}
		s.RelyingParties = append(s.RelyingParties, own)
	}
	return s, nil
}

// readTrustAnchors joins the files. Like page templates they are read when the configuration is checked, so that a mistake shows then.
func readTrustAnchors(paths []string) (string, error) {
	var all strings.Builder
	for _, path := range paths {
		info, err := os.Stat(path)
		if err == nil && (!info.Mode().IsRegular() || info.Size() > maxTrustAnchors) {
			return "", fmt.Errorf("trust_anchors %s: not a file of at most %d bytes", path, maxTrustAnchors)
		}
		var text []byte
		if err == nil {
			text, err = os.ReadFile(path)
		}
		if err != nil {
			return "", fmt.Errorf("trust_anchors: %w: name files with PEM certificates that Caddy may read", err)
		}
		if !strings.Contains(string(text), "-----BEGIN CERTIFICATE-----") {
			return "", fmt.Errorf("trust_anchors %s: no PEM certificate in it: convert DER with `openssl x509 -inform der`", path)
		}
		all.Write(text)
		all.WriteByte('\n')
	}
	return all.String(), nil
}
