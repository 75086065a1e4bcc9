package caddyauth

import (
	"fmt"
	"slices"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// offers reports whether people of this realm can have a factor at all; if not, with what option they could.
func (r *Realm) offers(factor string) (option string, ok bool) {
	switch session.Factor(factor) {
	case session.MagicLink:
		return "magic_link", r.MagicLink != nil
	case session.EmailCode:
		return "magic_link { code }", r.MagicLink != nil && r.MagicLink.Code
	case session.SMS:
		return "sms_step_up", r.SMSStepUp
	}
	return "", true
}

// checkFactors refuses a list of factors that all miss in this realm: nobody could ever pass an `allow`, and a step-up would take a link for what
// nobody has. No list means any factor.
func (r *Realm) checkFactors(rule string, factors []string) error {
	if len(factors) == 0 || slices.ContainsFunc(factors, func(name string) bool { _, ok := r.offers(name); return ok }) {
		return nil
	}
	option, _ := r.offers(factors[0])
	return fmt.Errorf("%s: nobody in this realm has %s: add `%s` to the global option `passwordless`, or name another factor", rule, factors[0], option)
}

// checkFactors looks at what is asked of sessions, which begin at this realm's portal. Tokens of other clients may have further factors.
func (g *Guard) checkFactors(config *Realm) error {
	if g.Bearer != "" {
		return nil
	}
	for _, rule := range g.Allow {
		if err := config.checkFactors("allow factor", rule.Factors); err != nil {
			return err
		}
	}
	for _, rule := range g.StepUp {
		if err := config.checkFactors("step_up", rule.Factors); err != nil {
			return err
		}
	}
	return nil
}
