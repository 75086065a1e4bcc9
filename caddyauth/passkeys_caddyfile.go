package caddyauth

import (
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// unmarshal reads the block `passkeys`; see parseGlobalOption for the syntax.
func (p *Passkeys) unmarshal(d *caddyfile.Dispenser) error {
	err := unmarshalBlock(d, "passkeys", map[string]func() error{
		"relying_party":        func() error { return p.unmarshalRelyingParty(d) },
		"related_origins":      func() error { return p.unmarshalRelatedOrigins(d) },
		"user_verification":    func() error { return choiceArgument(d, &p.UserVerification, "required", "preferred", "discouraged") },
		"resident_key":         func() error { return choiceArgument(d, &p.ResidentKey, "required", "preferred", "discouraged") },
		"attachment":           func() error { return choiceArgument(d, &p.Attachment, "platform", "cross-platform") },
		"attestation":          func() error { return choiceArgument(d, &p.Attestation, "none", "direct") },
		"trust_anchors":        func() error { return listArgument(d, &p.TrustAnchors, "a file of PEM certificates") },
		"allow_providers":      func() error { return listArgument(d, &p.AllowProviders, "an AAGUID") },
		"deny_providers":       func() error { return listArgument(d, &p.DenyProviders, "an AAGUID") },
		"extensions":           func() error { return listArgument(d, &p.Extensions, "credProps, credProtect or none") },
		"registration_timeout": func() error { return durationArgument(d, &p.RegistrationTimeout) },
		"sign_in_timeout":      func() error { return durationArgument(d, &p.SignInTimeout) },
		"algorithms": func() error {
			var numbers []string
			if err := listArgument(d, &numbers, "a COSE number such as -7"); err != nil {
				return err
			}
			for _, number := range numbers {
				alg, err := strconv.Atoi(number)
				if err != nil {
					return d.Errf("algorithms takes COSE numbers such as -7 and -257, not %q", number)
				}
				p.Algorithms = append(p.Algorithms, alg)
			}
			return nil
		},
	})
	if err == nil && len(p.RelyingParties) == 0 {
		return d.Err("passkeys: relying_party is missing: add `relying_party example.com \"Example Corp\"`")
	}
	return err
}

func (p *Passkeys) unmarshalRelyingParty(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Err("relying_party takes an RP ID and a name, as in `relying_party example.com \"Example Corp\"`")
	}
	rp := RelyingParty{ID: args[0]}
	if strings.Contains(rp.ID, "://") {
		return d.Errf("relying_party %q: an RP ID is a domain without scheme, as in example.com", rp.ID)
	}
	if len(args) > 1 {
		rp.Name = args[1]
	}
	if len(args) > 2 {
		rp.Origins = args[2:]
	}
	p.RelyingParties = append(p.RelyingParties, rp)
	return nil
}

func (p *Passkeys) unmarshalRelatedOrigins(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.Err("related_origins takes an RP ID and origins, as in `related_origins example.com https://example.de`")
	}
	i := slices.IndexFunc(p.RelyingParties, func(rp RelyingParty) bool { return rp.ID == args[0] })
	if i < 0 {
		return d.Errf("related_origins: no relying_party %q above: add `relying_party %s \"Your name\"` before it", args[0], args[0])
	}
	p.RelyingParties[i].RelatedOrigins = append(p.RelyingParties[i].RelatedOrigins, args[1:]...)
	return nil
}

// listArgument appends one or more values; example says what they are.
func listArgument(d *caddyfile.Dispenser, target *[]string, example string) error {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("%s takes at least one value: %s", option, example)
	}
	*target = append(*target, args...)
	return nil
}
