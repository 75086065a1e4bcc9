package localpool

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-cognito/passwordless/passkey"
)

// FIDO2Path is where the FIDO2 API is served.
const FIDO2Path = "/fido2/"

// fido2Fresh is how long ago a sign-in may be that adds or removes a passkey, as at the portal.
const fido2Fresh = 10 * time.Minute

// maxFIDO2Body bounds a request body in bytes: an attestation with its certificates.
const maxFIDO2Body = 64 << 10

// fido2Caller is who shows an ID token.
type fido2Caller struct {
	user     user
	authTime time.Time
}

func (c fido2Caller) passkeyUser() passkey.User {
	name := c.user.Attributes["email"]
	if name == "" {
		name = c.user.Username
	}
	return passkey.User{Handle: c.user.handle(), Name: name}
}

// fido2Error is an answer other than 2xx; its text is for the caller.
type fido2Error struct {
	status  int
	message string
}

func (e *fido2Error) Error() string { return e.message }

var (
	errFIDO2Unauthorized = &fido2Error{http.StatusUnauthorized, "Unauthorized"}
	errFIDO2Access       = &fido2Error{http.StatusUnauthorized, "Use your ID token to access this API"}
	errFIDO2Stale        = &fido2Error{http.StatusUnauthorized, "Re-authentication required"}
	errFIDO2Body         = &fido2Error{http.StatusBadRequest, "Invalid body"}
)

// fido2Call is a request to the FIDO2 API, with the settings it began with.
type fido2Call struct {
	pool       *Pool
	settings   *settings
	ceremonies *passkey.Ceremonies
	caller     fido2Caller
	request    *http.Request
	body       []byte
}

// fido2Route is one operation. It answers with JSON, or with nothing and the status.
type fido2Route struct {
	serve     func(*fido2Call) (any, error)
	anonymous bool
	fresh     bool // needs a sign-in of the last minutes
	status    int  // of an answer without content
}

var fido2Routes = map[string]fido2Route{
	"register-authenticator/start":    {serve: (*fido2Call).start, fresh: true},
	"register-authenticator/complete": {serve: (*fido2Call).complete, fresh: true},
	"authenticators/list":             {serve: (*fido2Call).list},
	"authenticators/delete":           {serve: (*fido2Call).remove, fresh: true, status: http.StatusNoContent},
	"authenticators/update":           {serve: (*fido2Call).rename, status: http.StatusOK},
	"sign-in-challenge":               {serve: (*fido2Call).signInChallenge, anonymous: true},
}

// HandlerWithFIDO2 is [Pool.Handler] with, below [FIDO2Path], the API by which users add and manage passkeys: for a pool that runs without a
// portal. Callers show an ID token; cookies are not looked at.
func (p *Pool) HandlerWithFIDO2() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, FIDO2Path) {
			p.serveFIDO2(w, r)
			return
		}
		p.serveHTTP(w, r)
	})
}

func (p *Pool) serveFIDO2(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	route, found := fido2Routes[strings.TrimPrefix(r.URL.Path, FIDO2Path)]
	answer, err := any(nil), error(&fido2Error{http.StatusNotFound, "Not found"})
	s := p.current.Load()
	switch {
	case !found || len(s.Passkeys.RelyingParties) == 0:
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		err = &fido2Error{http.StatusMethodNotAllowed, "Method not allowed"}
	default:
		answer, err = p.callFIDO2(s, route, w, r)
	}
	switch {
	case err != nil:
		p.failFIDO2(w, r, err)
	case route.status != 0:
		w.WriteHeader(route.status)
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

func (p *Pool) callFIDO2(s *settings, route fido2Route, w http.ResponseWriter, r *http.Request) (any, error) {
	c := &fido2Call{pool: p, settings: s, request: r}
	c.ceremonies = &passkey.Ceremonies{Settings: s.Passkeys, Store: p.Credentials(), Now: s.Now, Rand: s.Rand}
	if !route.anonymous {
		var err error
		if c.caller, err = p.fido2Caller(s, r.Header.Values("Authorization")); err != nil {
			return nil, err
		}
		if age := s.Now().Sub(c.caller.authTime); route.fresh && (age < 0 || age > fido2Fresh) {
			return nil, errFIDO2Stale
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFIDO2Body))
	if err != nil {
		return nil, &fido2Error{http.StatusRequestEntityTooLarge, "Invalid body"}
	}
	c.body = body
	return route.serve(c)
}

// fido2Caller checks an ID token as the operations of users check an access token.
func (p *Pool) fido2Caller(s *settings, headers []string) (fido2Caller, error) {
	if len(headers) != 1 {
		return fido2Caller{}, errFIDO2Unauthorized
	}
	scheme, raw, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return fido2Caller{}, errFIDO2Unauthorized
	}
	claims, err := p.keys.verifyToken(strings.TrimSpace(raw))
	if err != nil || !p.issued(s, claims) {
		return fido2Caller{}, errFIDO2Unauthorized
	}
	if claims["token_use"] == "access" {
		return fido2Caller{}, errFIDO2Access
	}
	expires, _ := claims["exp"].(float64)
	now := s.Now()
	if claims["token_use"] != "id" || claims["aud"] != s.ClientID || now.Unix() >= int64(expires) {
		return fido2Caller{}, errFIDO2Unauthorized
	}
	origin, _ := claims["origin_jti"].(string)
	var c fido2Caller
	err = p.db.view(func(tx *bbolt.Tx) error {
		var f tokenFamily
		found, err := getItem(tx, bucketFamilies, []byte(origin), now, &f)
		if err != nil {
			return err
		}
		if !found || f.Revoked {
			return errFIDO2Unauthorized
		}
		if c.user, found, err = findUser(tx, f.Username, now); err != nil {
			return err
		}
		if !found || c.user.Disabled {
			return errFIDO2Unauthorized
		}
		c.authTime = f.AuthTime
		return nil
	})
	return c, err
}

// failFIDO2 answers with a message for the caller; what is not for the caller goes to the log.
func (p *Pool) failFIDO2(w http.ResponseWriter, r *http.Request, err error) {
	status, message := http.StatusInternalServerError, "Internal Server Error"
	var known *fido2Error
	var refused *passkey.Error
	switch {
	case errors.As(err, &known):
		status, message = known.status, known.message
	case errors.As(err, &refused):
		status, message = http.StatusBadRequest, refused.Message
	default:
		p.logger().LogAttrs(r.Context(), slog.LevelError, "FIDO2 API failed", slog.Any("error", err))
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	writeJSON(w, status, map[string]string{"message": message})
}

func writeJSON(w http.ResponseWriter, status int, content any) {
	body, err := json.Marshal(content)
	if err != nil {
		panic("localpool: answers always marshal: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller has gone
}

// relyingParty is the one that the query names.
func (c *fido2Call) relyingParty() (string, error) {
	id := c.request.URL.Query().Get("rpId")
	if id == "" {
		return "", &fido2Error{http.StatusBadRequest, "Missing RP ID"}
	}
	if !slices.ContainsFunc(c.settings.Passkeys.RelyingParties, func(rp passkey.RelyingParty) bool { return rp.ID == id }) {
		return "", &fido2Error{http.StatusBadRequest, "Unrecognized RP ID"}
	}
	return id, nil
}
