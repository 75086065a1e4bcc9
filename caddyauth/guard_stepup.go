package caddyauth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/templates"
)

// minStepUpAge is the shortest time that a factor can count: coming back from the portal takes some of it.
const minStepUpAge = 10 * time.Second

// stepUpFactors are what a guard can ask for.
var stepUpFactors = []session.Factor{session.Passkey, session.MagicLink, session.EmailCode, session.SMS}

// StepUpRule asks people who are signed in for a factor that passed not long ago.
type StepUpRule struct {
	// How old the factor may be, at least 10s. Required.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// Any of these counts: "passkey" (with user verification), "magic_link", "email_code", "sms". Default: all of them.
	Factors []string `json:"factors,omitempty"`

	// Methods of the requests that need it; case does not count here, and headers by which an upstream would take a request for
	// another method are removed. Default: all.
	Methods []string `json:"methods,omitempty"`

	// Asks for every single request: a step-up approves one request of one session in one browser, with the same method, address and
	// body, once and within MaxAge. The upstream gets the approval's random ID as X-Passwordless-Transaction, the user pool as the
	// client metadata transactionId. Bodies are read first, up to KeepBody, or 1 MiB where KeepBody is negative; larger ones get 413.
	// Default: false.
	Transaction bool `json:"transaction,omitempty"`
}

// validate checks the rule; errors name the option.
func (s StepUpRule) validate() error {
	if time.Duration(s.MaxAge) < minStepUpAge {
		return fmt.Errorf("step_up: an age of %s is too short to come back in: use at least %s, as in `step_up 5m passkey`", time.Duration(s.MaxAge), minStepUpAge)
	}
	for _, name := range s.Factors {
		if err := validFactor(name); err != nil {
			return fmt.Errorf("step_up: %w", err)
		}
	}
	for _, method := range s.Methods {
		if !isMethod(method) {
			return fmt.Errorf("step_up: methods: %q is no method; write it as in `methods POST DELETE`", method)
		}
	}
	return nil
}

func validFactor(name string) error {
	if !slices.Contains(stepUpFactors, session.Factor(name)) {
		return fmt.Errorf("%q is not a factor: use passkey, magic_link, email_code or sms", name)
	}
	return nil
}

// demand is a step-up that a request needs.
type demand struct {
	transaction bool             // of this request alone
	newest      bool             // earlier factors than the one that passed last do not count
	factors     []session.Factor // any of these; empty: any factor
	maxAge      time.Duration
}

func (s StepUpRule) demand() demand {
	d := demand{transaction: s.Transaction, maxAge: time.Duration(s.MaxAge)}
	for _, name := range s.Factors {
		d.factors = append(d.factors, session.Factor(name))
	}
	return d
}

// met reports whether one of the factors has passed recently enough in the session.
func (d *demand) met(s *session.Session, now time.Time) bool { return d.passed(s.Factors, now) }

// passed reports whether one of the factors is among these, and recent enough.
func (d *demand) passed(factors session.Factors, now time.Time) bool {
	var since time.Time
	if d.newest {
		since = factors.Newest()
	}
	for _, passed := range factors {
		if now.Sub(passed.At) <= d.maxAge && !passed.At.Before(since) && (len(d.factors) == 0 || slices.Contains(d.factors, passed.Factor.For())) {
			return true
		}
	}
	return false
}

// stepUp is a [StepUpRule] at work.
type stepUp struct {
	demand
	methods []string
}

// covers reports whether the rule is for the request's method: the one that came, and the one that the upstream gets.
func (s *stepUp) covers(r *http.Request) bool {
	return len(s.methods) == 0 || slices.ContainsFunc(s.methods, func(m string) bool {
		return strings.EqualFold(m, r.Method) || strings.EqualFold(m, methodOf(r))
	})
}

// stepUpRefusal says which factor the request still needs, if any.
func (g *Guard) stepUpRefusal(v *visit, w http.ResponseWriter, r *http.Request) *refusal {
	for i := range g.stepUps {
		rule := &g.stepUps[i]
		if !rule.covers(r) {
			continue
		}
		met := rule.met(&v.session, v.rt.now())
		if rule.transaction {
			var refused *refusal
			if met, refused = g.approved(v, w, r, rule, met); refused != nil {
				return refused
			}
		}
		if !met {
			return &refusal{status: http.StatusUnauthorized, reason: "step_up", detail: "confirm once more that it is you", demand: &rule.demand}
		}
	}
	return nil
}

// approved reports whether this very request was approved for a rule that is met otherwise. Tokens and gRPC clients come by no page on which
// somebody could approve anything. In this order: a copy of the session from before the step-up must not use the approval up.
func (g *Guard) approved(v *visit, w http.ResponseWriter, r *http.Request, rule *stepUp, met bool) (bool, *refusal) {
	if v.session.ID == "" || isGRPC(r.Header) {
		return false, nil
	}
	if refused := g.describe(v, w, r); refused != nil || !met {
		return false, refused
	}
	return v.approvedBy(r, &rule.demand)
}

// challenge is the WWW-Authenticate of RFC 9470, section 3.
func (d *demand) challenge(realm string) string {
	s := fmt.Sprintf("Bearer realm=%q, error=%q, error_description=%q", realm, insufficientAuthentication, "a more recent authentication is needed")
	if len(d.factors) > 0 {
		s += fmt.Sprintf(", acr_values=%q", d.acrValues())
	}
	return s + fmt.Sprintf(", max_age=%q", strconv.FormatInt(d.seconds(), 10))
}

const insufficientAuthentication = "insufficient_user_authentication"

func (d *demand) seconds() int64 { return int64(d.maxAge / time.Second) }

func (d *demand) acrValues() string {
	names := make([]string, len(d.factors))
	for i, factor := range d.factors {
		names[i] = string(factor)
	}
	return strings.Join(names, " ")
}

// askStepUp sends a navigation to the portal's step-up page and back. Everything else gets RFC 9470's challenge, with an address
// that the person can open in this browser.
func (v *visit) askStepUp(w http.ResponseWriter, r *http.Request, d *demand, navigation bool) error {
	if v.bearer != "" { // a token is stepped up where it came from
		return v.challengeStepUp(w, d, "")
	}
	form := !navigation && isFormNavigation(r)
	if (navigation || form) && !v.shared && v.nonce().loops(v.rt.now()) {
		v.logger.Error("a browser does not keep the session that it was given after a step-up")
		return v.rt.guardPage(w, r, http.StatusForbidden, templates.ErrorPage{
			Status: http.StatusForbidden, Code: "cookies_refused", Reference: reference(r), ActionURL: "/",
		})
	}
	asked := StepUp{Factors: d.factors, MaxAge: d.maxAge, Newest: d.newest}
	switch {
	case form:
		return v.askStepUpOfForm(w, r, asked, d.transaction)
	case navigation:
		address, err := v.stepUpURL(w, r, v.rt.returnTarget(r, v.origin), asked, d.transaction)
		if err != nil {
			return err
		}
		return redirectToPortal(w, http.StatusFound, address)
	}
	address, err := v.stepUpURL(w, r, v.origin+"/", asked, d.transaction)
	if err != nil {
		return err
	}
	return v.challengeStepUp(w, d, address)
}

// askStepUpOfForm keeps a form and sends its sender to the step-up page, and from there to a page that offers to send the form. Where it
// cannot be kept, a page says so.
func (v *visit) askStepUpOfForm(w http.ResponseWriter, r *http.Request, asked StepUp, transaction bool) error {
	back, err := "", errNotKept
	if sealed := claimed(r); sealed != "" && !v.sent {
		if _, openErr := v.openForm(sealed); openErr == nil { // it waits already
			back, err = v.sendAgainURL(sealed), nil
		}
	} else if v.isForm(r) {
		back, err = v.keepForm(w, r)
	}
	if err == nil {
		address, err := v.stepUpURL(w, r, back, asked, transaction)
		if err != nil {
			return err
		}
		return redirectToPortal(w, http.StatusSeeOther, address)
	}
	if !errors.Is(err, errNotKept) {
		v.logger.Error("a form that waits for a step-up could not be kept", zap.Error(err))
	}
	// An approval of a form that is filled in once more with the same is as good; of another site's form nobody is asked to approve any.
	address, err := v.stepUpURL(w, r, v.origin+"/", asked, transaction && v.isForm(r))
	if err != nil {
		return err
	}
	return v.rt.guardPage(w, r, http.StatusForbidden, templates.ErrorPage{
		Status: http.StatusForbidden, Code: "form_not_kept", Reference: reference(r), ActionURL: address,
	})
}

func (v *visit) challengeStepUp(w http.ResponseWriter, d *demand, address string) error {
	w.Header().Set("WWW-Authenticate", d.challenge(v.rt.name))
	return writeJSON(w, http.StatusUnauthorized, struct {
		Error     string `json:"error"`
		Reason    string `json:"reason"`
		Message   string `json:"message"`
		ACRValues string `json:"acr_values,omitempty"`
		MaxAge    int64  `json:"max_age"`
		StepUpURL string `json:"step_up_url,omitempty"`

		Transaction bool `json:"transaction,omitempty"` // for this very request: send the same body again
	}{insufficientAuthentication, "step_up", "confirm in a browser that it is you, then try again", d.acrValues(), d.seconds(), address, d.transaction})
}

// stepUpURL is the address of the portal's step-up page for the session of this visit.
func (v *visit) stepUpURL(w http.ResponseWriter, r *http.Request, target string, s StepUp, transaction bool) (string, error) {
	if !v.authenticated {
		return "", errors.New("a step-up without session")
	}
	if transaction {
		var err error
		if s.Transaction, err = v.transaction(r); err != nil {
			return "", err
		}
	}
	flow, err := v.flowTo(w, r, target)
	if err != nil {
		return "", err
	}
	s.Subject, s.Session = v.session.Subject, session.PublicID(v.session)
	flow.StepUp = &s
	return v.rt.pageOf("step-up", flow)
}
