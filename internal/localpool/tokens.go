package localpool

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// scopeSelf lets an access token read and change its own user.
const scopeSelf = "aws.cognito.signin.user.admin"

func (p *Pool) issuer(s *settings) string { return s.PublicURL + "/" + s.UserPoolID }

// formerIssuers is what tokens of this pool may also name: until it had an address, the name of the in-process transport.
func (p *Pool) formerIssuers(s *settings) []string {
	if s.PublicURL == endpoint {
		return nil
	}
	return []string{endpoint + "/" + s.UserPoolID}
}

// issued reports whether a token that this pool signed names the pool as its issuer.
func (p *Pool) issued(s *settings, claims map[string]any) bool {
	iss, _ := claims["iss"].(string)
	return iss == p.issuer(s) || slices.Contains(p.formerIssuers(s), iss)
}

// issue makes the tokens of a finished sign-in.
func (p *Pool) issue(ctx context.Context, s *settings, u user, metadata map[string]string) (*authenticationResult, error) {
	now := s.Now().UTC().Truncate(time.Second)
	origin, err := newUUID(s.Rand)
	if err != nil {
		return nil, err
	}
	f := tokenFamily{ID: origin, Username: u.Username, ClientID: s.ClientID, AuthTime: now, Expires: now.Add(s.RefreshTokenLifetime)}
	result, err := p.mint(ctx, s, u, f, "TokenGeneration_Authentication", metadata)
	if err != nil {
		return nil, err
	}
	if result.RefreshToken, err = p.newRefreshToken(); err != nil {
		return nil, err
	}
	// Stored last: what is handed out exists, and a sign-in that failed left nothing.
	err = p.db.update(ctx, func(tx *bbolt.Tx) error {
		if now, found, err := findUser(tx, u.Username, s.Now()); err != nil || !found || now.Disabled {
			if err == nil {
				err = errDenied // deleted or disabled in the meantime
			}
			return err
		}
		return addFamily(tx, f, result.RefreshToken)
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// mint signs an ID and an access token.
// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html
// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
func (p *Pool) mint(ctx context.Context, s *settings, u user, f tokenFamily, source string, metadata map[string]string) (*authenticationResult, error) {
	p.rotateIfDue(ctx, s)
	override, err := p.preToken(ctx, s, u, source, metadata)
	if err != nil {
		return nil, err
	}
	var ids [3]string // jti of each token, and the event both came from
	for i := range ids {
		if ids[i], err = newUUID(s.Rand); err != nil {
			return nil, err
		}
	}
	now := s.Now()
	common := map[string]any{
		"sub": u.Sub, "iss": p.issuer(s), "origin_jti": f.ID, "event_id": ids[2],
		"auth_time": f.AuthTime.Unix(), "iat": now.Unix(), "exp": now.Add(s.AccessTokenLifetime).Unix(),
	}
	access := maps.Clone(common)
	maps.Copy(access, override.groups.claims(false))
	maps.Copy(access, map[string]any{
		"token_use": "access", "client_id": f.ClientID, "username": u.Username, "jti": ids[0], "scope": strings.Join(override.scopes, " "),
	})
	if len(override.scopes) == 0 {
		delete(access, "scope")
	}
	override.access.apply(access)
	id := maps.Clone(common)
	maps.Copy(id, override.groups.claims(true))
	maps.Copy(id, map[string]any{"token_use": "id", "aud": f.ClientID, "cognito:username": u.Username, "jti": ids[1]})
	for name, value := range u.Attributes {
		if strings.HasSuffix(name, "_verified") {
			id[name] = value == "true"
		} else {
			id[name] = value
		}
	}
	override.id.apply(id)
	result := &authenticationResult{ExpiresIn: int(s.AccessTokenLifetime / time.Second), TokenType: "Bearer"}
	if result.AccessToken, err = p.keys.signToken(access); err != nil {
		return nil, err
	}
	if result.IDToken, err = p.keys.signToken(id); err != nil {
		return nil, err
	}
	return result, nil
}
