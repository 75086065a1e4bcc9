package caddyauth

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/templates"
)

const (
	peoplePurpose = "people"
	// DefaultRememberedUsers is how many people a browser remembers.
	DefaultRememberedUsers = 3
	maxRememberedUsers     = 5
	peopleLifetime         = 90 * 24 * time.Hour
)

// remembered is somebody who signed in with this browser before. It says who may sign in here, not that anybody has: it is of no use
// to a guard, and proves nothing.
type remembered struct {
	Email   string    `json:"e"`
	Passkey bool      `json:"p,omitempty"` // signed in with one, the last time
	At      time.Time `json:"t"`
}

// people are whom this browser remembers, newest first. A cookie that is not of our making, or of keys that are gone, remembers nobody.
func (v *portalVisit) people() []remembered {
	value, err := v.rt.peopleCookie.Read(v.r)
	if err != nil || v.rt.config.rememberedUsers() == 0 {
		return nil
	}
	var all []remembered
	if err := v.rt.openState(peoplePurpose, value, &all); err != nil {
		return nil
	}
	all = slices.DeleteFunc(all, func(r remembered) bool { return !v.rt.recent(r.At, peopleLifetime) })
	return all[:min(len(all), v.rt.config.rememberedUsers())]
}

// setPeople sends the cookie, or takes it away when nobody is left.
func (v *portalVisit) setPeople(all []remembered) error {
	if len(all) == 0 {
		if _, err := v.rt.peopleCookie.Read(v.r); !errors.Is(err, http.ErrNoCookie) {
			v.rt.peopleCookie.Clear(v.w)
		}
		return nil
	}
	value, err := v.rt.sealState(peoplePurpose, all)
	if err != nil {
		return err
	}
	v.rt.peopleCookie.Set(v.w, value, peopleLifetime)
	return nil
}

// rememberPerson puts whoever signed in first.
func (v *portalVisit) rememberPerson(s session.Session, factor session.Factor) error {
	limit := v.rt.config.rememberedUsers()
	if limit == 0 || s.Email == "" || len(s.Email) > maxAddress {
		return v.setPeople(v.people())
	}
	all := slices.DeleteFunc(v.people(), func(r remembered) bool { return sameAddress(r.Email, s.Email) })
	all = slices.Insert(all, 0, remembered{Email: s.Email, Passkey: factor == session.Passkey || factor == passkeyPresence, At: v.rt.now()})
	return v.setPeople(all[:min(len(all), limit)])
}

// postForget lets this browser forget somebody.
func (v *portalVisit) postForget() error {
	var in struct {
		Flow  string `json:"flow"`
		Email string `json:"email"`
	}
	if err := v.body(&in); err != nil {
		return err
	}
	if _, err := v.ownFlow(in.Flow); err != nil {
		return err
	}
	if err := v.setPeople(slices.DeleteFunc(v.people(), func(r remembered) bool { return sameAddress(r.Email, in.Email) })); err != nil {
		return err
	}
	return v.json(http.StatusOK, struct{}{})
}

// offeredPeople are the buttons of the sign-in page.
func (v *portalVisit) offeredPeople() []templates.Person {
	var offered []templates.Person
	for _, r := range v.people() {
		offered = append(offered, templates.Person{Email: r.Email, Passkey: r.Passkey})
	}
	return offered
}

// rememberedUsers is the option with its default.
func (r *Realm) rememberedUsers() int {
	if r.RememberedUsers == nil {
		return DefaultRememberedUsers
	}
	return *r.RememberedUsers
}
