package caddyauth

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// Rule is one condition on the person who is signed in. Exactly one of its parts is set; any of the listed values will do.
type Rule struct {
	// Members of one of these groups of the user pool. Compared exactly.
	Groups []string `json:"groups,omitempty"`

	// A claim, by name: "sub", "username", "email", "groups", or one that the realm keeps (`session { claims … }`).
	Claim string `json:"claim,omitempty"`

	// Values of the claim that match. For a claim that is a list, one equal element is enough. Compared exactly.
	Values []string `json:"values,omitempty"`

	// Domains of a verified e-mail address, such as "example.com". Subdomains are not included; case does not count.
	EmailDomains []string `json:"email_domains,omitempty"`
}

// validate checks that the rule says one thing. known reports whether the realm keeps a claim.
func (r Rule) validate(known func(string) bool) error {
	parts := 0
	for _, set := range []bool{len(r.Groups) > 0, r.Claim != "" || len(r.Values) > 0, len(r.EmailDomains) > 0} {
		if set {
			parts++
		}
	}
	switch {
	case parts != 1:
		return fmt.Errorf("a rule needs exactly one of group, claim or email_domain")
	case r.Claim == "" && len(r.Values) > 0, r.Claim != "" && len(r.Values) == 0:
		return fmt.Errorf("claim takes a name and at least one value, as in `claim department sales`")
	case r.Claim != "" && !known(r.Claim):
		return unknownClaim(r.Claim)
	}
	for _, domain := range r.EmailDomains {
		if domain == "" || strings.ContainsAny(domain, "@*/: ") {
			return fmt.Errorf("email_domain %q: write the domain alone, as in example.com", domain)
		}
	}
	if slices.Contains(r.Groups, "") {
		return fmt.Errorf("group: a name is empty")
	}
	return nil
}

func unknownClaim(name string) error {
	return fmt.Errorf("claim %q is not kept in sessions: add `claims %s` to `session` in the global option `passwordless`", name, name)
}

// matches reports whether the rule holds for s.
func (r Rule) matches(s *session.Session) bool {
	for _, group := range r.Groups {
		if slices.Contains(s.Groups, group) {
			return true
		}
	}
	if len(r.EmailDomains) > 0 && s.EmailVerified {
		if at := strings.LastIndexByte(s.Email, '@'); at > 0 {
			for _, domain := range r.EmailDomains {
				if strings.EqualFold(s.Email[at+1:], domain) {
					return true
				}
			}
		}
	}
	if r.Claim != "" {
		for _, value := range claimValues(s, r.Claim) {
			if slices.Contains(r.Values, value) {
				return true
			}
		}
	}
	return false
}

// permitted applies a guard's rules: no deny may match and, where there is an allow, one must.
func permitted(allow, deny []Rule, s *session.Session) bool {
	for _, rule := range deny {
		if rule.matches(s) {
			return false
		}
	}
	if len(allow) == 0 {
		return true
	}
	for _, rule := range allow {
		if rule.matches(s) {
			return true
		}
	}
	return false
}

// standardClaims are in every session.
var standardClaims = []string{"sub", "username", "cognito:username", "email", "email_verified", "groups", "cognito:groups"}

// claimValues are the values of a claim as strings: none when it is absent, several when it is a list.
func claimValues(s *session.Session, name string) []string {
	switch name {
	case "sub":
		return nonEmpty(s.Subject)
	case "username", "cognito:username":
		return nonEmpty(s.Username)
	case "email":
		return nonEmpty(s.Email)
	case "email_verified":
		return []string{strconv.FormatBool(s.EmailVerified)}
	case "groups", "cognito:groups":
		return s.Groups
	}
	value, ok := s.Claims[name]
	if !ok {
		return nil
	}
	return valueStrings(value)
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func valueStrings(value any) []string {
	switch v := value.(type) {
	case nil:
		return nil
	case string:
		return []string{v}
	case bool:
		return []string{strconv.FormatBool(v)}
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}
	case int64:
		return []string{strconv.FormatInt(v, 10)}
	case []string:
		return v
	case []any:
		var values []string
		for _, item := range v {
			values = append(values, valueStrings(item)...)
		}
		return values
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	return []string{string(encoded)}
}
