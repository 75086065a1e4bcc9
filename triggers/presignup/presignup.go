// Package presignup answers Cognito's PreSignUp trigger: it enforces who may sign up, and confirms accounts.
//
// It never marks an address as verified: only a magic link that was used does that.
package presignup

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// Mode says who may sign up.
type Mode string

// The sign-up policies. Accounts that an administrator creates are always let through.
const (
	Open       Mode = "open"
	Domains    Mode = "domains"    // mail addresses of AllowedDomains only
	Invitation Mode = "invitation" // nobody by themselves: accounts are created by AdminCreateUser
	Closed     Mode = "closed"
)

// sourceAdmin is the trigger source of AdminCreateUser.
const sourceAdmin = "PreSignUp_AdminCreateUser"

type event = events.CognitoEventUserPoolsPreSignup

// Handler answers PreSignUp events.
type Handler struct {
	// Mode is the policy. Empty: Domains if there are AllowedDomains, else Open.
	Mode Mode
	// AllowedDomains are compared with the whole part behind "@", without regard to case. Subdomains are not included.
	AllowedDomains []string
}

// Validate reports a policy that cannot work.
func (h *Handler) Validate() error {
	switch h.mode() {
	case Open, Invitation, Closed:
		if len(h.AllowedDomains) > 0 {
			return fmt.Errorf("presignup: allowed domains have no effect in mode %q", h.Mode)
		}
	case Domains:
		if len(h.AllowedDomains) == 0 {
			return fmt.Errorf("presignup: mode %q needs allowed domains", h.Mode)
		}
	default:
		return fmt.Errorf("presignup: unknown mode %q, want open, domains, invitation or closed", h.Mode)
	}
	for _, d := range h.AllowedDomains {
		if d == "" || strings.ContainsAny(d, "@*/ ,") || strings.Trim(d, ".") != d {
			return fmt.Errorf("presignup: %q is not a domain; write it like example.com", d)
		}
	}
	return nil
}

// Handle confirms the account or refuses it with a [challenge.Failure].
func (h *Handler) Handle(_ context.Context, e event) (event, error) {
	if e.TriggerSource != sourceAdmin {
		switch h.mode() {
		case Open:
		case Domains:
			domain, ok := mailDomain(e.Request.UserAttributes["email"])
			if !ok || !slices.ContainsFunc(h.AllowedDomains, func(d string) bool { return strings.EqualFold(d, domain) }) {
				return e, &challenge.Failure{Text: "sign-up is not open for this address"}
			}
		default:
			return e, &challenge.Failure{Text: "sign-up is not open"}
		}
	}
	e.Response.AutoConfirmUser = true
	e.Response.AutoVerifyEmail = false
	e.Response.AutoVerifyPhone = false
	return e, nil
}

func (h *Handler) mode() Mode {
	switch {
	case h.Mode != "":
		return h.Mode
	case len(h.AllowedDomains) > 0:
		return Domains
	default:
		return Open
	}
}

// mailDomain takes only plain addresses: quoted local parts and several "@" would let parsers disagree on the domain.
func mailDomain(address string) (string, bool) {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" || domain == "" {
		return "", false
	}
	for _, r := range address {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),:;<>[\]`, r) {
			return "", false
		}
	}
	if strings.Contains(domain, "@") {
		return "", false
	}
	return domain, true
}
