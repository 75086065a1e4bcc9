package main

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

// bearer is a token with this payload, as the guard would give it.
func bearer(payload string) string {
	return "Bearer e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2lnbmF0dXJl"
}

// The clock of these tests stands at 1770000000.
func TestSalaryAsksForAFreshProof(t *testing.T) {
	for name, authorization := range map[string]string{
		"no token":        "",
		"old":             bearer(`{"auth_time":1769999699,"auth_methods":"passkey"}`),
		"another factor":  bearer(`{"auth_time":1770000000,"auth_methods":"magic_link sms"}`),
		"no factor":       bearer(`{"auth_time":1770000000}`),
		"no JSON":         bearer(`x`),
		"no base64":       "Bearer a.%.c",
		"two parts":       "Bearer a.b",
		"another scheme":  strings.Replace(bearer(`{"auth_time":1770000000,"auth_methods":"passkey"}`), "Bearer", "Basic", 1),
		"words that lead": bearer(`{"auth_time":1770000000,"auth_methods":"passkeys"}`),
	} {
		w := ask(t, "/salary", "Authorization", authorization)
		want := `Bearer error="insufficient_user_authentication", acr_values="passkey", max_age="300"`
		if w.Code != http.StatusUnauthorized || w.Header().Get("Www-Authenticate") != want || !strings.Contains(w.Body.String(), `id="asked"`) {
			t.Errorf("%s: %d %v\n%s", name, w.Code, w.Header(), w.Body)
		}
	}
	for target, methods := range map[string]string{"/salary": "magic_link passkey", "/salary/slip": "sms"} {
		w := ask(t, target, "Authorization", bearer(`{"auth_time":1769999700,"auth_methods":"`+methods+`"}`))
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `<span id="path">`+target+`</span>`) {
			t.Errorf("%s: %d\n%s", target, w.Code, w.Body)
		}
	}
	if w := ask(t, "/salary/account"); !strings.Contains(w.Body.String(), `id="bank-account"`) {
		t.Errorf("no form in\n%s", w.Body)
	}
}

// A token is a secret that the page does not show.
func TestTokenIsNotShown(t *testing.T) {
	token := bearer(`{"auth_time":1770000000,"auth_methods":"passkey"}`)
	body := ask(t, "/salary", "Authorization", token).Body.String()
	if strings.Contains(body, token) || !strings.Contains(body, `data-name="Authorization"`) {
		t.Errorf("shown:\n%s", body)
	}
}
