package caddyauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-cognito/passwordless/internal/session"
)

// Rule is one condition on the person who is signed in. Exactly one of its parts is set; any of the listed values will do.
type Rule struct {
	// Members of one of these groups of the user pool. Compared exactly.
	Groups []string `json:"groups,omitempty"`

	// A claim, by name: "sub", "username", "email" (for an allow only when it is verified), "verified_email",
	// "email_local_part@<domain>", "groups", or one that the realm keeps (`session { claims … }`).
	Claim string `json:"claim,omitempty"`

	// How the claim's value is compared with Values; case counts. "equals": it is one of them; numbers are compared by value, exactly, however
	// many digits they have, so that 1000, 1e3 and 1000.0 are equal, while a claim that is text is compared as text. "contains": one of them is part of it.
	// "matches": one of them, a regular expression (RE2), matches all of it from beginning to end. For a claim that is a list, one
	// element is enough. A claim that is absent never matches. Default: "equals".
	Operator string `json:"operator,omitempty"`

	// What the claim is compared with.
	Values []string `json:"values,omitempty"`

	// Domains of an e-mail address, such as "example.com"; for an allow it has to be verified. Subdomains are not included; case does not
	// count.
	EmailDomains []string `json:"email_domains,omitempty"`

	// Factors of which one has passed in this session, however long ago: "passkey" (with user verification), "magic_link",
	// "email_code" or "sms". `step_up` asks for one instead of refusing.
	Factors []string `json:"factors,omitempty"`

	// Machines, by the names that the guard's `machine` gives them. Compared exactly.
	Clients []string `json:"clients,omitempty"`

	// Scopes of which a bearer's access token has one (RFC 6749, section 3.3). A session by cookie has none. Compared exactly.
	Scopes []string `json:"scopes,omitempty"`

	patterns []*regexp.Regexp
	numbers  []string // those of Values that are numbers, exactly
}

// How a rule compares a claim.
const (
	claimEquals   = "equals"
	claimContains = "contains"
	claimMatches  = "matches"
)

var claimOperators = []string{claimEquals, claimContains, claimMatches}

// validate checks that the rule says one thing, and prepares it. known reports whether the realm keeps a claim.
func (r *Rule) validate(known func(string) bool) error {
	parts := 0
	for _, set := range []bool{
		len(r.Groups) > 0, r.Claim != "" || r.Operator != "" || len(r.Values) > 0, len(r.EmailDomains) > 0, len(r.Factors) > 0, len(r.Clients) > 0, len(r.Scopes) > 0,
	} {
		if set {
			parts++
		}
	}
	switch {
	case parts != 1:
		return errors.New("a rule needs exactly one of group, client, scope, claim, email_domain or factor")
	case slices.Contains(r.Clients, "") || slices.Contains(r.Scopes, ""):
		return errors.New("client or scope: a name is empty")
	case slices.Contains(r.Groups, ""):
		return errors.New("group: a name is empty")
	}
	for _, domain := range r.EmailDomains {
		if domain == "" || strings.ContainsAny(domain, "@*/: ") {
			return fmt.Errorf("email_domain %q: write the domain alone, as in example.com", domain)
		}
	}
	for _, name := range r.Factors {
		if err := validFactor(name); err != nil {
			return fmt.Errorf("factor: %w", err)
		}
	}
	return r.validateClaim(known)
}

func (r *Rule) validateClaim(known func(string) bool) error {
	r.patterns, r.numbers = nil, nil
	for _, value := range r.Values {
		if n, ok := session.ParseNumber(value); ok {
			r.numbers = append(r.numbers, session.ExactNumber(n))
		}
	}
	switch {
	case r.Claim == "" && len(r.Values) == 0 && r.Operator == "":
		return nil
	case r.Claim == "" || len(r.Values) == 0:
		return errors.New("claim takes a name and at least one value, as in `claim department sales`")
	case !known(r.Claim):
		return unknownClaim(r.Claim)
	case r.Operator != "" && !slices.Contains(claimOperators, r.Operator):
		return fmt.Errorf("claim: %q is not a comparison: use equals, contains or matches", r.Operator)
	case r.Operator == claimContains && slices.Contains(r.Values, ""):
		return errors.New("claim: every value contains the empty one")
	case r.Operator != claimMatches:
		return nil
	}
	for _, value := range r.Values {
		_, err := regexp.Compile(value) // alone, for one that only closes our group is none
		if err != nil {
			return fmt.Errorf("claim: %q is not a regular expression (RE2): %w", value, err)
		}
		pattern, err := regexp.Compile(`\A(?:` + value + `)\z`)
		if err != nil {
			return fmt.Errorf("claim: %q cannot be matched from beginning to end: %w", value, err)
		}
		r.patterns = append(r.patterns, pattern)
	}
	return nil
}

func unknownClaim(name string) error {
	if strings.HasPrefix(name, "email_local_part") {
		return fmt.Errorf("%q needs one domain, as in `%sexample.com`: people of two domains can have the same local part", name, localPartOf)
	}
	return fmt.Errorf("claim %q is not kept in sessions: add `claims %s` to `session` in the global option `passwordless`", name, name)
}

// matches reports whether the rule holds for s, as far as an allow goes: an address that nobody verified is anybody's to claim.
func (r *Rule) matches(s *session.Session) bool { return r.holds(s, s.EmailVerified) }

// concerns is matches for a deny, which an address names whether or not it is verified.
func (r *Rule) concerns(s *session.Session) bool { return r.holds(s, true) }

func (r *Rule) holds(s *session.Session, addressCounts bool) bool {
	for _, group := range r.Groups {
		if slices.Contains(s.Groups, group) {
			return true
		}
	}
	if len(r.EmailDomains) > 0 && addressCounts {
		if at := strings.LastIndexByte(s.Email, '@'); at > 0 {
			for _, domain := range r.EmailDomains {
				if strings.EqualFold(s.Email[at+1:], domain) {
					return true
				}
			}
		}
	}
	if machine, ok := strings.CutPrefix(s.Username, machinePrefix); ok && slices.Contains(r.Clients, machine) {
		return true
	}
	for _, scope := range r.Scopes {
		if slices.Contains(s.Scopes, scope) {
			return true
		}
	}
	for _, name := range r.Factors {
		if s.Factors.Has(session.Factor(name)) {
			return true
		}
	}
	if r.Claim == "" || r.Claim == "email" && !addressCounts {
		return false
	}
	if r.equalsNumber(s.Claims[r.Claim]) && !slices.Contains(standardClaims, r.Claim) {
		return true
	}
	return slices.ContainsFunc(claimValues(s, r.Claim), r.matchesValue)
}

// equalsNumber reports whether the claim, or an element of it, is a number that Values name in another notation.
func (r *Rule) equalsNumber(claim any) bool {
	if len(r.numbers) == 0 || r.Operator == claimContains || r.Operator == claimMatches {
		return false
	}
	switch claim := claim.(type) {
	case json.Number, float64:
		return slices.Contains(r.numbers, valueStrings(claim)[0])
	case []any:
		return slices.ContainsFunc(claim, r.equalsNumber)
	}
	return false
}

func (r *Rule) matchesValue(value string) bool {
	switch r.Operator {
	case claimContains:
		return slices.ContainsFunc(r.Values, func(part string) bool { return strings.Contains(value, part) })
	case claimMatches:
		return slices.ContainsFunc(r.patterns, func(p *regexp.Regexp) bool { return p.MatchString(value) })
	}
	return slices.Contains(r.Values, value)
}

// permitted applies a guard's rules: no deny may match and, where there is an allow, one must.
func permitted(allow, deny []Rule, s *session.Session) bool {
	for i := range deny {
		if deny[i].concerns(s) {
			return false
		}
	}
	if len(allow) == 0 {
		return true
	}
	for i := range allow {
		if allow[i].matches(s) {
			return true
		}
	}
	return false
}

// standardClaims are in every session.
var standardClaims = []string{"sub", "username", "cognito:username", "email", "email_verified", verifiedEmail, "groups", "cognito:groups"}

// keepsClaim reports whether rules and headers can use a claim.
func (r *Realm) keepsClaim(name string) bool {
	_, local := localPartDomain(name)
	return local || slices.Contains(standardClaims, name) || r.Session != nil && slices.Contains(r.Session.Claims, name)
}

// claimValues are the values of a claim as strings: none when it is absent, several when it is a list.
func claimValues(s *session.Session, name string) []string {
	switch name {
	case "sub":
		return nonEmpty(s.Subject)
	case "username", "cognito:username":
		return nonEmpty(s.Username)
	case "email":
		return nonEmpty(s.Email)
	case verifiedEmail:
		return nonEmpty(verifiedEmailOf(s))
	case "email_verified":
		return []string{strconv.FormatBool(s.EmailVerified)}
	case "groups", "cognito:groups":
		return s.Groups
	}
	if domain, ok := localPartDomain(name); ok {
		return nonEmpty(localPart(s, domain))
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
	case json.Number:
		return []string{session.ExactNumber(v)}
	case float64: // of a cookie, exact there
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
