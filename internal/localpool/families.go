package localpool

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// tokenFamily is what one sign-in issued: everything with its origin_jti. It outlives its access tokens, so the
// user operations find in it whether a token was revoked.
type tokenFamily struct {
	ID       string    `json:"origin_jti"`
	Username string    `json:"username"`
	ClientID string    `json:"client_id"`
	AuthTime time.Time `json:"auth_time"`
	Expires  time.Time `json:"expires"` // of every refresh token in it
	Revoked  bool      `json:"revoked,omitempty"`
}

// refreshToken is kept under the SHA-256 of the token; the token itself is known to its holder only.
type refreshToken struct {
	Family  string    `json:"family"`
	Rotated time.Time `json:"rotated,omitzero"` // when a successor was given out
}

// keepExpired is how long a family stays in the file past its end, to tell a revoked token from an unknown one.
const keepExpired = 24 * time.Hour

var (
	errRefreshInvalid = notAuthorized("Invalid Refresh Token")
	errRefreshRevoked = notAuthorized("Refresh Token has been revoked")
	errRefreshExpired = notAuthorized("Refresh Token has expired")
	errRefreshReused  = &failure{Type: typeRefreshTokenReuse, Message: "Refresh Token has been rotated and cannot be used again."}
)

// newRefreshToken draws a token of 48 random bytes.
func (p *Pool) newRefreshToken() (string, error) {
	var b [48]byte
	if _, err := io.ReadFull(p.rand(), b[:]); err != nil {
		return "", fmt.Errorf("reading randomness: %w", err)
	}
	return challenge.EncodeBase64(b[:]), nil
}

func refreshKey(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// addFamily stores a new family with its first refresh token.
func addFamily(tx *bbolt.Tx, f tokenFamily, token string) error {
	if err := keepUser(tx, f.Username, f.AuthTime); err != nil {
		return err
	}
	keep := f.Expires.Add(keepExpired)
	if err := putItem(tx, bucketFamilies, []byte(f.ID), keep, f); err != nil {
		return err
	}
	if err := putItem(tx, bucketUserFamilies, joinKey(f.Username, f.ID), keep, true); err != nil {
		return err
	}
	return putItem(tx, bucketRefreshTokens, refreshKey(token), keep, refreshToken{Family: f.ID})
}

// familyOf finds a refresh token's family.
func familyOf(tx *bbolt.Tx, token string, now time.Time) (refreshToken, tokenFamily, error) {
	var r refreshToken
	var f tokenFamily
	found, err := getItem(tx, bucketRefreshTokens, refreshKey(token), now, &r)
	if err == nil && found {
		found, err = getItem(tx, bucketFamilies, []byte(r.Family), now, &f)
	}
	switch {
	case err != nil:
		return r, f, err
	case !found:
		return r, f, errRefreshInvalid
	}
	return r, f, nil
}

// usableFamily is familyOf for a client that wants tokens.
func usableFamily(tx *bbolt.Tx, token, clientID string, grace time.Duration, now time.Time) (refreshToken, tokenFamily, error) {
	r, f, err := familyOf(tx, token, now)
	switch {
	case err != nil:
	case f.ClientID != clientID:
		err = errRefreshInvalid
	case f.Revoked:
		err = errRefreshRevoked
	case !now.Before(f.Expires):
		err = errRefreshExpired
	case !r.Rotated.IsZero() && !now.Before(r.Rotated.Add(grace)):
		err = errRefreshReused
	}
	return r, f, err
}

// rotate gives out a successor of token. Of calls at the same time with one token, all but the first are reuse, unless the grace
// period lets them pass.
func (p *Pool) rotate(ctx context.Context, s *settings, token, successor string) error {
	return p.db.update(ctx, func(tx *bbolt.Tx) error {
		now := s.Now()
		r, f, err := usableFamily(tx, token, s.ClientID, s.RotationGrace, now)
		if err != nil {
			return err
		}
		keep := f.Expires.Add(keepExpired)
		if r.Rotated.IsZero() {
			r.Rotated = now.UTC()
			if err := putItem(tx, bucketRefreshTokens, refreshKey(token), keep, r); err != nil {
				return err
			}
		}
		return putItem(tx, bucketRefreshTokens, refreshKey(successor), keep, refreshToken{Family: f.ID})
	})
}

// revokeFamily marks one sign-in's tokens as revoked.
func revokeFamily(tx *bbolt.Tx, f tokenFamily) error {
	f.Revoked = true
	return putItem(tx, bucketFamilies, []byte(f.ID), f.Expires.Add(keepExpired), f)
}

// revokeFamilies marks all tokens of a user as revoked.
func revokeFamilies(tx *bbolt.Tx, username string, now time.Time) error {
	prefix := append([]byte(username), 0)
	var ids []string
	c := tx.Bucket([]byte(bucketUserFamilies)).Cursor()
	for k, _ := c.Seek(prefix); len(k) > len(prefix) && string(k[:len(prefix)]) == string(prefix); k, _ = c.Next() {
		ids = append(ids, string(k[len(prefix):]))
	}
	for _, id := range ids {
		var f tokenFamily
		found, err := getItem(tx, bucketFamilies, []byte(id), now, &f)
		if err != nil {
			return err
		}
		if found && !f.Revoked {
			if err := revokeFamily(tx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// signedIn checks an access token for the user operations, and finds its user.
func (p *Pool) signedIn(s *settings, accessToken string) (user, tokenFamily, error) {
	if accessToken == "" {
		return user{}, tokenFamily{}, invalidParameter("Missing required parameter AccessToken")
	}
	claims, err := p.keys.verifyToken(accessToken)
	if err != nil || claims["token_use"] != "access" || !p.issued(s, claims) {
		return user{}, tokenFamily{}, notAuthorized("Invalid Access Token")
	}
	if scope, _ := claims["scope"].(string); !slices.Contains(strings.Fields(scope), scopeSelf) {
		return user{}, tokenFamily{}, notAuthorized("Access Token does not have required scopes")
	}
	now := s.Now()
	expires, _ := claims["exp"].(float64)
	if now.Unix() >= int64(expires) {
		return user{}, tokenFamily{}, notAuthorized("Access Token has expired")
	}
	origin, _ := claims["origin_jti"].(string)
	var u user
	var f tokenFamily
	err = p.db.view(func(tx *bbolt.Tx) error {
		found, err := getItem(tx, bucketFamilies, []byte(origin), now, &f)
		if err != nil {
			return err
		}
		if !found || f.Revoked {
			return notAuthorized("Access Token has been revoked")
		}
		if u, found, err = findUser(tx, f.Username, now); err != nil {
			return err
		}
		if !found {
			return errNoUser
		}
		if u.Disabled {
			return errUserDisabled
		}
		return nil
	})
	return u, f, err
}

// sameSecret compares without telling by time how much is right.
func sameSecret(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
