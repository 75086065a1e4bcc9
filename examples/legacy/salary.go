package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// proofAge is how long ago the person may have proved who they are.
const proofAge = 5 * time.Minute

// salary are pages for which being signed in is not enough: the application itself asks for a fresh proof. A guard with `step_up upstream` has
// the person give it, and one with `upstream_bearer id` tells the application of it.
func (a *application) salary(mux *http.ServeMux) {
	mux.HandleFunc("GET /salary", a.proven("passkey", a.page("Salary")))
	mux.HandleFunc("GET /salary/slip", a.proven("sms", a.page("Salary slip")))
	mux.HandleFunc("GET /salary/account", func(w http.ResponseWriter, r *http.Request) {
		p := a.pageOf("Bank account", r)
		p.AccountForm = true
		a.show(w, p)
	})
	mux.HandleFunc("POST /salary/account", a.proven("passkey", func(w http.ResponseWriter, r *http.Request) {
		fields, err := received(w, r)
		if err != nil {
			http.Error(w, "the form cannot be read: "+err.Error(), http.StatusBadRequest)
			return
		}
		p := a.pageOf("Bank account changed", r)
		p.Received = fields
		a.show(w, p)
	}))
}

// proven lets requests through that come soon enough after this proof, and answers others with the challenge of RFC 9470, section 3.
func (a *application) proven(factor string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if last := proofOf(r); slices.Contains(strings.Fields(last.Methods), factor) && a.now().Sub(time.Unix(last.At, 0)) <= proofAge {
			next(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer error="insufficient_user_authentication", acr_values=%q, max_age=%q`,
			factor, fmt.Sprint(int(proofAge.Seconds()))))
		p := a.pageOf("Confirm that it is you", r)
		p.Asked, p.Status = factor, http.StatusUnauthorized
		a.show(w, p)
	}
}

// proof is what a token says of its sign-in or step-up.
type proof struct {
	At      int64  `json:"auth_time"`    // Unix time, seconds
	Methods string `json:"auth_methods"` // separated by spaces
}

// proofOf reads the token of the guard, none being none. Its signature is not looked at: like the identity headers, the token cannot come from
// anybody else.
func proofOf(r *http.Request) proof {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	parts := strings.Split(token, ".")
	if !ok || len(parts) != 3 {
		return proof{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return proof{}
	}
	var p proof
	if err := json.Unmarshal(payload, &p); err != nil {
		return proof{}
	}
	return p
}
