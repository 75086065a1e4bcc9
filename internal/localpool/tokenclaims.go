package localpool

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

// PreTokenVersion is the version of the event that PreTokenGeneration gets.
type PreTokenVersion string

// The versions, as Cognito's LambdaVersion names them. V3_0 is V2_0 for machines, which this pool does not sign in.
const (
	PreTokenV1 PreTokenVersion = "V1_0" // claims of the ID token
	PreTokenV2 PreTokenVersion = "V2_0" // claims of both tokens, and scopes
)

// claimChange is what PreTokenGeneration changed in one token.
type claimChange struct {
	add      map[string]any
	suppress []string
}

func (c claimChange) apply(claims map[string]any) {
	maps.Copy(claims, c.add)
	for _, name := range c.suppress {
		delete(claims, name)
	}
}

// tokenOverride is what a sign-in's tokens say beyond what the pool itself decides.
type tokenOverride struct {
	id, access claimChange
	scopes     []string
	groups     groupOverride
}

// claims puts the groups into a token; roles are in ID tokens only.
func (o groupOverride) claims(id bool) map[string]any {
	claims := map[string]any{}
	if len(o.GroupsToOverride) > 0 {
		claims["cognito:groups"] = o.GroupsToOverride
	}
	if id && len(o.IAMRolesToOverride) > 0 {
		claims["cognito:roles"] = o.IAMRolesToOverride
	}
	if id && o.PreferredRole != nil && *o.PreferredRole != "" {
		claims["cognito:preferred_role"] = *o.PreferredRole
	}
	return claims
}

// Claims that the trigger can neither set nor take away; of those that are in one kind of token only, some may go.
// https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-token-generation.html
var (
	protectedClaims = []string{
		"acr", "amr", "at_hash", "aud", "auth_time", "azp", "client_id", "device_key", "event_id", "exp", "iat", "identities", "iss",
		"jti", "nbf", "nonce", "origin_jti", "scope", "sub", "token_use", "username", "version",
	}
	suppressibleID     = []string{"cognito:groups", "cognito:roles", "cognito:preferred_role", "event_id"}
	suppressibleAccess = []string{"cognito:groups", "event_id", "client_id", "username", "version"}
)

func protected(claim string) bool {
	return slices.Contains(protectedClaims, claim) || strings.HasPrefix(claim, "cognito:") || strings.HasPrefix(claim, "dev:")
}

// change checks what the trigger wants to change in one token. A claim that it must not set fails the sign-in, for who reads the token
// would trust it; one that it must not suppress stays.
func (s *settings) change(add map[string]any, suppress, suppressible []string, access bool) (claimChange, error) {
	c := claimChange{add: make(map[string]any, len(add))}
	for claim, value := range add {
		if protected(claim) && !(access && claim == "aud" && value == s.ClientID) {
			return claimChange{}, &failure{Type: typeInvalidLambda, Message: "PreTokenGeneration must not set the claim " + clip(claim) + "."}
		}
		c.add[claim] = value
	}
	for _, claim := range suppress {
		if !protected(claim) || slices.Contains(suppressible, claim) {
			c.suppress = append(c.suppress, claim)
		}
	}
	return c, nil
}

// groupsOf are a user's groups as the trigger gets them: the role of the group that comes first is the preferred one.
func (p *Pool) groupsOf(u user) (groupOverride, error) {
	o := groupOverride{GroupsToOverride: []string{}, IAMRolesToOverride: []string{}}
	if len(u.Groups) == 0 {
		return o, nil
	}
	o.GroupsToOverride = u.Groups
	var first *int
	tie := false // two groups come first, with different roles: neither is preferred
	err := p.db.view(func(tx *bbolt.Tx) error {
		for _, name := range u.Groups {
			var g group
			found, err := getItem(tx, bucketMeta, groupKey(name), p.now(), &g)
			if err != nil {
				return err
			}
			if !found || g.RoleARN == "" {
				continue
			}
			if !slices.Contains(o.IAMRolesToOverride, g.RoleARN) {
				o.IAMRolesToOverride = append(o.IAMRolesToOverride, g.RoleARN)
			}
			switch {
			case g.Precedence == nil:
			case first == nil || *g.Precedence < *first:
				first, o.PreferredRole, tie = g.Precedence, &g.RoleARN, false
			case *g.Precedence == *first && *o.PreferredRole != g.RoleARN:
				tie = true
			}
		}
		if tie {
			o.PreferredRole = nil
		}
		return nil
	})
	return o, err
}

// preToken asks the trigger what tokens are to say.
func (p *Pool) preToken(ctx context.Context, s *settings, u user, source string, metadata map[string]string) (tokenOverride, error) {
	groups, err := p.groupsOf(u)
	if err != nil {
		return tokenOverride{}, err
	}
	request := preTokenRequest{UserAttributes: u.eventAttributes(), ClientMetadata: metadata, GroupConfiguration: groups}
	o := occasion{name: "PreTokenGeneration", trigger: s.triggers.PreTokenGeneration, source: source, username: u.Username}
	if s.PreTokenVersion == PreTokenV2 {
		return preTokenV2(ctx, s, o, request)
	}
	override := tokenOverride{scopes: []string{scopeSelf}, groups: groups}
	response, err := invoke[preTokenResponse](ctx, s, o, request)
	if err != nil || response.ClaimsOverrideDetails == nil {
		return override, err
	}
	details := response.ClaimsOverrideDetails
	add := make(map[string]any, len(details.ClaimsToAddOrOverride))
	for claim, value := range details.ClaimsToAddOrOverride {
		add[claim] = value
	}
	if override.id, err = s.change(add, details.ClaimsToSuppress, suppressibleID, false); err != nil {
		return tokenOverride{}, err
	}
	if details.GroupOverrideDetails != nil {
		override.groups = *details.GroupOverrideDetails
	}
	return override, nil
}

func preTokenV2(ctx context.Context, s *settings, o occasion, request preTokenRequest) (tokenOverride, error) {
	o.version = "2"
	override := tokenOverride{scopes: []string{scopeSelf}, groups: request.GroupConfiguration}
	response, err := invoke[preTokenResponseV2](ctx, s, o, preTokenRequestV2{request, override.scopes})
	if err != nil || response.Details == nil {
		return override, err
	}
	details := response.Details
	if override.id, err = s.change(details.ID.Add, details.ID.Suppress, suppressibleID, false); err != nil {
		return tokenOverride{}, err
	}
	if override.access, err = s.change(details.Access.Add, details.Access.Suppress, suppressibleAccess, true); err != nil {
		return tokenOverride{}, err
	}
	if override.scopes, err = scopes(override.scopes, details.Access.ScopesToAdd, details.Access.ScopesToSuppress); err != nil {
		return tokenOverride{}, err
	}
	if details.GroupOverrideDetails != nil {
		override.groups = *details.GroupOverrideDetails
	}
	return override, nil
}

// scopes adds to those of the sign-in and takes away. Amazon's own cannot be added.
func scopes(have, add, suppress []string) ([]string, error) {
	list := slices.Clone(have)
	for _, scope := range add {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }) {
			return nil, &failure{Type: typeInvalidLambda, Message: "PreTokenGeneration added a scope that is no scope."}
		}
		if strings.HasPrefix(scope, "aws.cognito") && !slices.Contains(have, scope) {
			return nil, &failure{Type: typeInvalidLambda, Message: "PreTokenGeneration must not add the scope " + clip(scope) + "."}
		}
		if !slices.Contains(list, scope) {
			list = append(list, scope)
		}
	}
	return slices.DeleteFunc(list, func(scope string) bool { return slices.Contains(suppress, scope) }), nil
}

type preTokenRequest struct {
	UserAttributes     map[string]string `json:"userAttributes"`
	GroupConfiguration groupOverride     `json:"groupConfiguration"`
	ClientMetadata     map[string]string `json:"clientMetadata,omitempty"`
}

type groupOverride struct {
	GroupsToOverride   []string `json:"groupsToOverride"`
	IAMRolesToOverride []string `json:"iamRolesToOverride"`
	PreferredRole      *string  `json:"preferredRole"`
}

type preTokenResponse struct {
	ClaimsOverrideDetails *struct {
		ClaimsToAddOrOverride map[string]string `json:"claimsToAddOrOverride"`
		ClaimsToSuppress      []string          `json:"claimsToSuppress"`
		GroupOverrideDetails  *groupOverride    `json:"groupOverrideDetails"`
	} `json:"claimsOverrideDetails"`
}

type preTokenRequestV2 struct {
	preTokenRequest
	Scopes []string `json:"scopes"`
}

// tokenChanges are of one token; only an access token has scopes.
type tokenChanges struct {
	Add              map[string]any `json:"claimsToAddOrOverride"`
	Suppress         []string       `json:"claimsToSuppress"`
	ScopesToAdd      []string       `json:"scopesToAdd"`
	ScopesToSuppress []string       `json:"scopesToSuppress"`
}

// UnmarshalJSON keeps numbers as they were written.
func (c *tokenChanges) UnmarshalJSON(raw []byte) error {
	type plain tokenChanges
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	return d.Decode((*plain)(c))
}

type preTokenResponseV2 struct {
	Details *struct {
		ID                   tokenChanges   `json:"idTokenGeneration"`
		Access               tokenChanges   `json:"accessTokenGeneration"`
		GroupOverrideDetails *groupOverride `json:"groupOverrideDetails"`
	} `json:"claimsAndScopeOverrideDetails"`
}
