package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

const spa = "https://spa.example.com"

func shareWithSPA(_ *Realm, p *Portal) { p.FIDO2Origins = []string{spa} }

// fromSPA is a call as an existing browser client makes it, from another origin.
func (b *browser) fromSPA(method, route, body, bearer string) *httptest.ResponseRecorder {
	b.Helper()
	r := httptest.NewRequest(method, portalOrigin+"/auth/fido2/"+route, strings.NewReader(body))
	r.Header.Set("Origin", spa)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	return b.send(r)
}

// wantMessage checks a failure of the FIDO2 API.
func (p *portalTest) wantMessage(w *httptest.ResponseRecorder, status int, message string) {
	p.Helper()
	var answer map[string]string
	p.decode(w, status, &answer)
	if len(answer) != 1 || answer["message"] != message {
		p.Errorf("got %v, want %q", answer, message)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
		p.Errorf("headers %v", w.Header())
	}
}

// Libraries that follow the standard decode user.id as base64url; existing clients encode it as UTF-8. Both come to the same user handle.
func TestFIDO2OptionsAsStandardJSON(t *testing.T) {
	p := newPortal(t, shareWithSPA)
	b := p.browser()
	id := p.tokens(poolUser{annaSub, anna}, p.clock.Now()).ID
	start := func(query string) *httptest.ResponseRecorder {
		return b.fromSPA(http.MethodPost, "register-authenticator/start?rpId=auth.example.com"+query, "", id)
	}
	var plain, standard passkey.CreationOptions
	p.decode(start(""), http.StatusOK, &plain)
	p.decode(start("&format=json"), http.StatusOK, &standard)
	handle, err := challenge.DecodeBase64(standard.User.ID)
	if err != nil || string(handle) != plain.User.ID || plain.User.ID != annaSub {
		t.Errorf("user handle %q of %q, want %q: %v", handle, standard.User.ID, plain.User.ID, err)
	}
	standard.User.ID, standard.Challenge = plain.User.ID, plain.Challenge
	if !reflect.DeepEqual(standard, plain) {
		t.Errorf("the rest differs: %+v, %+v", standard, plain)
	}
	for _, unknown := range []string{"JSON", "cbor", "json%20", "json,plain"} {
		p.wantMessage(start("&format="+unknown), http.StatusBadRequest, "Unrecognized format")
	}
}

func TestFIDO2ForAnotherFrontEnd(t *testing.T) {
	p := newPortal(t, shareWithSPA)
	b := p.browser()
	id := p.tokens(poolUser{annaSub, anna}, p.clock.Now()).ID
	w := b.fromSPA(http.MethodOptions, "authenticators/list", "", "")
	h := w.Header()
	if w.Code != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != spa || h.Get("Access-Control-Allow-Methods") != "POST" ||
		h.Get("Access-Control-Allow-Headers") != "Content-Type,Authorization" || h.Get("Access-Control-Max-Age") != "86400" ||
		h.Get("Access-Control-Allow-Credentials") != "" || h.Get("Vary") != "Origin" {
		t.Errorf("preflight: %d %v", w.Code, h)
	}
	var options passkey.CreationOptions
	p.decode(b.fromSPA(http.MethodPost, "register-authenticator/start?rpId=auth.example.com", "", id), http.StatusOK, &options)
	if options.User.ID != annaSub || options.User.Name != anna || options.Timeout != 300000 {
		t.Errorf("options %+v", options)
	}
	device := passkeytest.NewAuthenticator(portalOrigin)
	attestation := device.Create(t, options)
	complete := func() *httptest.ResponseRecorder {
		return b.fromSPA(http.MethodPost, "register-authenticator/complete", `{"attestationObjectB64":"`+attestation.AttestationObjectB64+
			`","clientDataJSON_B64":"`+attestation.ClientDataJSONB64+`","friendlyName":"My key","transports":["internal"],"extra":1}`, id)
	}
	var added map[string]any
	p.decode(complete(), http.StatusOK, &added)
	for member, want := range map[string]any{
		"friendlyName": "My key", "signCount": 0.0, "flagUserVerified": 1.0, "flagBackupEligibility": 1.0, "flagBackupState": 1.0,
		"aaguid": "AAAAAAAAAAAAAAAAAAAAAA", "rpId": "auth.example.com",
	} {
		if added[member] != want {
			t.Errorf("%s is %v, want %v", member, added[member], want)
		}
	}
	if at, ok := added["createdAt"].(string); !ok || len(at) != len("2026-11-22T11:26:09.170Z") || !strings.HasSuffix(at, "Z") {
		t.Errorf("createdAt is %v", added["createdAt"])
	}
	// Attack: the same registration again.
	p.wantMessage(complete(), http.StatusBadRequest, "Challenge not found")

	var list struct{ Authenticators []map[string]any }
	p.decode(b.fromSPA(http.MethodPost, "authenticators/list?rpId=auth.example.com", "", id), http.StatusOK, &list)
	if len(list.Authenticators) != 1 || list.Authenticators[0]["credentialId"] != added["credentialId"] {
		t.Fatalf("list %v", list)
	}
	if _, ok := list.Authenticators[0]["lastSignIn"]; ok {
		t.Error("lastSignIn of a passkey that was never used")
	}
	credential, _ := added["credentialId"].(string)
	if w := b.fromSPA(http.MethodPost, "authenticators/update", `{"credentialId":"`+credential+`","friendlyName":"New"}`, id); w.Code != http.StatusOK || w.Body.Len() != 0 {
		t.Errorf("update: %d %s", w.Code, w.Body)
	}
	p.wantMessage(b.fromSPA(http.MethodPost, "authenticators/update", `{"credentialId":"AAAA","friendlyName":"New"}`, id), http.StatusBadRequest, "Unknown credential")
	// Attack: delete and rename somebody else's passkey.
	other := p.tokens(poolUser{bobSub, bob}, p.clock.Now()).ID
	p.wantMessage(b.fromSPA(http.MethodPost, "authenticators/update", `{"credentialId":"`+credential+`","friendlyName":"Bob's"}`, other), http.StatusBadRequest, "Unknown credential")
	if w := b.fromSPA(http.MethodPost, "authenticators/delete", `{"credentialId":"`+credential+`"}`, other); w.Code != http.StatusNoContent {
		t.Errorf("delete of an unknown passkey: %d", w.Code)
	}
	if own, err := p.store.List(t.Context(), annaSub, ""); err != nil || len(own) != 1 || own[0].FriendlyName != "New" {
		t.Fatalf("anna's passkeys: %v %v", own, err)
	}
	if w := b.fromSPA(http.MethodPost, "authenticators/delete", `{"credentialId":"`+credential+`"}`, id); w.Code != http.StatusNoContent || w.Body.Len() != 0 {
		t.Errorf("delete: %d %s", w.Code, w.Body)
	}
	if len(p.told) != 2 {
		t.Errorf("told %q", p.told)
	}
	var offered struct {
		Challenge        string
		Timeout          int
		UserVerification string
	}
	p.decode(b.fromSPA(http.MethodPost, "sign-in-challenge", "", ""), http.StatusOK, &offered)
	if raw, err := challenge.DecodeBase64(offered.Challenge); err != nil || len(raw) != 64 || offered.Timeout != 120000 || offered.UserVerification != "required" {
		t.Errorf("offered %+v", offered)
	}
}

func TestFIDO2Refusals(t *testing.T) {
	p := newPortal(t, shareWithSPA)
	b := p.browser()
	b.signInByLink(anna)
	tokens := p.tokens(poolUser{annaSub, anna}, p.clock.Now())
	post := func(route, body, bearer string) *httptest.ResponseRecorder {
		return b.fromSPA(http.MethodPost, route, body, bearer)
	}
	const start = "register-authenticator/start?rpId=auth.example.com"

	// Attack: another origin uses the cookies of somebody who is signed in.
	p.wantMessage(post("authenticators/list?rpId=auth.example.com", "", ""), http.StatusUnauthorized, "Unauthorized")
	// Attack: a bad token, while the cookies would do.
	r := posted("/auth/fido2/authenticators/list?rpId=auth.example.com", "", "")
	r.Header.Set("Authorization", "Bearer x.y.z")
	p.wantMessage(b.send(r), http.StatusUnauthorized, "Unauthorized")

	p.wantMessage(post(start, "", tokens.Access), http.StatusUnauthorized, "Use your ID token to access this API")
	p.wantMessage(post("nothing", "", tokens.ID), http.StatusNotFound, "Not found")
	p.wantMessage(post("register-authenticator/start", "", tokens.ID), http.StatusBadRequest, "Missing RP ID")
	p.wantMessage(post("register-authenticator/start?rpId=evil.example", "", tokens.ID), http.StatusBadRequest, "Unrecognized RP ID")
	for _, body := range []string{"{", `{"credentialId":1}`, `{"credentialId":""}`, `{"credentialId":"!"}`} {
		p.wantMessage(post("authenticators/delete", body, tokens.ID), http.StatusBadRequest, "Invalid body")
	}
	for _, name := range []string{"", " ", strings.Repeat("ü", 257)} {
		p.wantMessage(post("authenticators/update", `{"credentialId":"AAAA","friendlyName":"`+name+`"}`, tokens.ID), http.StatusBadRequest, "Invalid body")
	}
	w := post(start, "", "x.y.z")
	if w.Header().Get("Access-Control-Allow-Origin") != spa {
		t.Error("an error is not shared with the listed origin")
	}
	// Attack: an origin that is not listed.
	r = httptest.NewRequest(http.MethodPost, portalOrigin+"/auth/fido2/"+start, nil)
	r.Header.Set("Origin", "https://evil.example")
	r.Header.Set("Authorization", "Bearer "+tokens.ID)
	if w := b.send(r); w.Code != http.StatusForbidden || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("got %d %v", w.Code, w.Header())
	}

	// Attack: an ID token from long ago adds or removes a passkey; listing is fine (WIRE, defect 10).
	old := p.tokens(poolUser{annaSub, anna}, p.clock.Now().Add(-11*time.Minute)).ID
	w = post(start, "", old)
	p.wantMessage(w, http.StatusUnauthorized, "Re-authentication required")
	if !strings.Contains(w.Header().Get("WWW-Authenticate"), "insufficient_user_authentication") {
		t.Errorf("challenge %q", w.Header().Get("WWW-Authenticate"))
	}
	p.wantMessage(post("authenticators/delete", `{"credentialId":"AAAA"}`, old), http.StatusUnauthorized, "Re-authentication required")
	if w := post("authenticators/list?rpId=auth.example.com", "", old); w.Code != http.StatusOK {
		t.Errorf("list: %d", w.Code)
	}
	// Attack: an ID token after sign-out.
	if w := b.submit("/auth/sign-out"); w.Code != http.StatusSeeOther {
		t.Fatal(w.Code)
	}
	p.wantMessage(post(start, "", tokens.ID), http.StatusUnauthorized, "Unauthorized")
}

// Attack: every way of adding or removing a passkey without a proof of one's own for that very act (rule 10).
func TestProofs(t *testing.T) {
	p := newPortal(t)
	device, stranger := passkeytest.NewAuthenticator(portalOrigin), passkeytest.NewAuthenticator(portalOrigin)
	b, other, c := p.browser(), p.browser(), p.browser()
	b.signInByLink(anna)
	id := b.addPasskey(device)
	other.signInByLink(bob)
	bobID := other.addPasskey(stranger)
	c.signInByPasskey(device) // a second session of anna

	start := func(b *browser, code string) int {
		return b.call("/auth/fido2/register-authenticator/start?rpId=auth.example.com", map[string]string{"proof": code}).Code
	}
	remove := func(b *browser, id, code string) int {
		return b.call("/auth/fido2/authenticators/delete", map[string]string{"credentialId": id, "proof": code}).Code
	}
	refused := func(what string, got int) {
		t.Helper()
		if got != http.StatusForbidden {
			t.Errorf("%s: %d", what, got)
		}
	}
	random, err := randomCode(nil)
	if err != nil {
		t.Fatal(err)
	}
	refused("no proof", start(b, ""))
	refused("an invented proof", start(b, random))
	used := b.prove(device, proofAdd, "")
	if got := start(b, used); got != http.StatusOK {
		t.Fatalf("a good proof: %d", got)
	}
	refused("a proof used twice", start(b, used))
	refused("a proof of another session of the same person", start(c, b.prove(device, proofAdd, "")))
	refused("a proof of another person", start(other, b.prove(device, proofAdd, "")))
	refused("a proof to add, for deleting", remove(b, id, b.prove(device, proofAdd, "")))
	refused("a proof to delete, for adding", start(b, b.prove(device, proofDelete, id)))
	refused("a proof to delete another passkey", remove(b, id, b.prove(device, proofDelete, bobID)))
	late := b.prove(device, proofAdd, "")
	p.clock.Advance(proofLifetime + time.Second)
	refused("a proof too old", start(b, late))

	// Assertions: of another person, for another session's challenge, and twice.
	answer := func(b *browser, asked askedProof, device *passkeytest.Authenticator, forge ...passkeytest.Forge) *httptest.ResponseRecorder {
		options := asked.PublicKey
		options.AllowCredentials = nil
		return b.call("/auth/reauthenticate", map[string]any{"state": asked.State, "answer": device.Get(t, options, forge...)})
	}
	p.wantError(answer(b, b.proofOptions(proofAdd, ""), stranger), http.StatusForbidden, "unknown_credential")
	p.wantError(answer(b, c.proofOptions(proofAdd, ""), device), http.StatusForbidden, "invalid")
	p.wantError(answer(b, b.proofOptions(proofAdd, ""), device, func(c *passkeytest.Ceremony) { c.Flags &^= passkeytest.FlagUserVerified }), http.StatusForbidden, "invalid")
	asked := b.proofOptions(proofAdd, "")
	assertion := map[string]any{"state": asked.State, "answer": device.Get(t, asked.PublicKey)}
	if w := b.call("/auth/reauthenticate", assertion); w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	p.wantError(b.call("/auth/reauthenticate", assertion), http.StatusForbidden, "invalid")
	stale := b.proofOptions(proofAdd, "")
	p.clock.Advance(reauthenticateLifetime + time.Second)
	p.wantError(answer(b, stale, device), http.StatusBadRequest, "expired_flow")
	for _, body := range []map[string]string{{}, {"purpose": "rename"}, {"purpose": "delete"}, {"purpose": "delete", "credentialId": "!"}} {
		p.wantError(b.call("/auth/reauthenticate/options", body), http.StatusBadRequest, "invalid")
	}
	p.wantError(p.browser().call("/auth/reauthenticate/options", map[string]string{"purpose": "add"}), http.StatusUnauthorized, "expired_flow")
}

// Who has no passkey adds the first one soon after a link, and not later.
func TestFirstPasskeyNeedsFreshLink(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	b.signInByLink(anna)
	p.clock.Advance(freshSignIn + time.Second)
	p.wantError(b.call("/auth/reauthenticate/options", map[string]string{"purpose": "add"}), http.StatusForbidden, "reauthentication_required")
}

// Attack: the assertion that signs in is forged, replayed, of another page, or for another browser's challenge.
func TestForgedPasskeySignIns(t *testing.T) {
	p := newPortal(t)
	device := passkeytest.NewAuthenticator(portalOrigin)
	b := p.browser()
	b.signInByLink(anna)
	b.addPasskey(device)

	for name, forge := range map[string]passkeytest.Forge{
		"another origin":       func(c *passkeytest.Ceremony) { c.ClientData["origin"] = "https://evil.example" },
		"another challenge":    func(c *passkeytest.Ceremony) { c.ClientData["challenge"] = "AAAA" },
		"a registration":       func(c *passkeytest.Ceremony) { c.ClientData["type"] = "webauthn.create" },
		"another RP ID":        func(c *passkeytest.Ceremony) { c.RPID = "evil.example" },
		"no user verification": func(c *passkeytest.Ceremony) { c.Flags &^= passkeytest.FlagUserVerified },
		"in a foreign frame":   func(c *passkeytest.Ceremony) { c.ClientData["crossOrigin"] = true },
	} {
		c := p.browser()
		calls := len(p.pool.calls)
		p.wantError(c.tryPasskey(device, forge), http.StatusForbidden, "invalid")
		if _, ok := c.session(); ok || len(p.pool.calls) != calls {
			t.Errorf("%s: signed in %v, calls %v", name, ok, p.pool.calls[calls:])
		}
	}
	p.wantError(p.browser().tryPasskey(device, func(c *passkeytest.Ceremony) { c.UserHandle = bobSub }), http.StatusForbidden, "unknown_credential")
	p.wantError(p.browser().tryPasskey(device, func(c *passkeytest.Ceremony) { c.UserHandle = "" }), http.StatusForbidden, "no_passkey")
	p.wantError(p.browser().tryPasskey(device, func(c *passkeytest.Ceremony) { c.UserHandle = "s|" + annaSub }), http.StatusForbidden, "no_passkey")

	// Twice the same, in the same browser.
	c := p.browser()
	body := c.pagePasskey(device)
	if w := c.call("/auth/passkey/sign-in", body); w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	p.wantError(c.call("/auth/passkey/sign-in", body), http.StatusForbidden, "invalid")
	// Also when another sign-in came between, which overwrites what the store remembers.
	c.signedOut().signInByPasskey(device)
	p.wantError(c.call("/auth/passkey/sign-in", body), http.StatusForbidden, "invalid")

	// Stolen on the way, used from another browser: with its flow, and with one's own.
	victim, thief := p.browser(), p.browser()
	stolen := victim.pagePasskey(device)
	own := thief.pagePasskey(device)
	p.wantError(thief.call("/auth/passkey/sign-in", stolen), http.StatusBadRequest, "expired_flow")
	stolen["flow"] = own["flow"]
	p.wantError(thief.call("/auth/passkey/sign-in", stolen), http.StatusBadRequest, "expired_flow")

	// A challenge that waited too long in the page.
	slow := p.browser()
	late := slow.pagePasskey(device)
	p.clock.Advance(passkeyLifetime + time.Second)
	p.wantError(slow.call("/auth/passkey/sign-in", late), http.StatusBadRequest, "expired_flow")
}

// signedOut forgets the session cookie.
func (b *browser) signedOut() *browser {
	delete(b.cookies, b.rt.sessionCookie.Name)
	return b
}

// A store that is down is told as such, and nobody is signed in.
func TestSessionStorageDown(t *testing.T) {
	p := newPortal(t)
	device := passkeytest.NewAuthenticator(portalOrigin)
	b := p.browser()
	b.signInByLink(anna)
	b.addPasskey(device)
	c := p.browser()
	body := c.pagePasskey(device)
	p.storage.Fail(func(op, _ string) error {
		if op == "store" {
			return http.ErrHandlerTimeout
		}
		return nil
	})
	w := c.call("/auth/passkey/sign-in", body)
	p.wantError(w, http.StatusServiceUnavailable, "unavailable")
	if _, ok := c.session(); ok || w.Header().Get("Retry-After") == "" {
		t.Error("signed in, or no Retry-After")
	}
}
