package localpool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// answering is PreTokenGeneration with a fixed response.
func answering(response string) Trigger {
	return func(_ context.Context, payload []byte) ([]byte, error) {
		var e map[string]json.RawMessage
		if err := json.Unmarshal(payload, &e); err != nil {
			return nil, err
		}
		e["response"] = json.RawMessage(response)
		return json.Marshal(e)
	}
}

// tokensWith signs alice in with a trigger in force and returns the claims of both tokens.
func tokensWith(t *testing.T, version PreTokenVersion, trigger Trigger) (p *Pool, id, access map[string]any, raw string) {
	t.Helper()
	config := testConfig(t, newClock())
	config.PreTokenVersion, config.Triggers.PreTokenGeneration = version, trigger
	p = openPool(t, config)
	signUp(t, p, alice)
	result := signInByLink(t, p, alice)
	var err error
	if id, err = p.keys.verifyToken(*result.IdToken); err != nil {
		t.Fatal(err)
	}
	if access, err = p.keys.verifyToken(*result.AccessToken); err != nil {
		t.Fatal(err)
	}
	return p, id, access, *result.AccessToken
}

// Version 2 changes both tokens, scopes and groups; values keep their JSON types.
func TestPreTokenV2(t *testing.T) {
	var got []byte
	response := answering(`{"claimsAndScopeOverrideDetails":{
		"idTokenGeneration":{"claimsToAddOrOverride":{"plan":"gold","limits":[1,2]},"claimsToSuppress":["email","sub","cognito:groups"]},
		"accessTokenGeneration":{"claimsToAddOrOverride":{"tenant":{"id":12345678901234567}},"claimsToSuppress":["username","jti"],
			"scopesToAdd":["orders/read","orders/read"],"scopesToSuppress":["nothing"]},
		"groupOverrideDetails":{"groupsToOverride":["staff"],"iamRolesToOverride":["arn:aws:iam::1:role/staff"],"preferredRole":"arn:aws:iam::1:role/staff"}}}`)
	_, id, access, raw := tokensWith(t, PreTokenV2, func(ctx context.Context, payload []byte) ([]byte, error) {
		got = bytes.Clone(payload)
		return response(ctx, payload)
	})
	var e events.CognitoEventUserPoolsPreTokenGenV2_0
	if err := json.Unmarshal(got, &e); err != nil {
		t.Fatal(err)
	}
	if e.Version != "2" || e.TriggerSource != "TokenGeneration_Authentication" || !slices.Equal(e.Request.Scopes, []string{scopeSelf}) || e.Request.UserAttributes["email"] != alice {
		t.Errorf("event %s", got)
	}
	if !bytes.Contains(got, []byte(`"response":{"claimsAndScopeOverrideDetails":null}`)) {
		t.Errorf("event %s", got)
	}
	if id["plan"] != "gold" || id["email"] != nil || id["sub"] == nil || len(id["limits"].([]any)) != 2 {
		t.Errorf("ID token %v", id)
	}
	if id["cognito:groups"] != nil || id["cognito:preferred_role"] != "arn:aws:iam::1:role/staff" || len(id["cognito:roles"].([]any)) != 1 {
		t.Errorf("groups of the ID token %v", id)
	}
	if access["scope"] != scopeSelf+" orders/read" || access["username"] != nil || access["jti"] == nil {
		t.Errorf("access token %v", access)
	}
	payload, err := challenge.DecodeBase64(strings.Split(raw, ".")[1])
	if err != nil || !bytes.Contains(payload, []byte(`"tenant":{"id":12345678901234567}`)) {
		t.Errorf("a number changed: %s, %v", payload, err)
	}
	if groups, _ := access["cognito:groups"].([]any); len(groups) != 1 || groups[0] != "staff" || access["cognito:roles"] != nil || access["plan"] != nil {
		t.Errorf("groups of the access token %v", access)
	}
}

// This module's own trigger says in both tokens how the person signed in.
func TestPreTokenV2InProcess(t *testing.T) {
	_, id, access, _ := tokensWith(t, PreTokenV2, nil)
	if id["sign_in_method"] != "MAGIC_LINK" || access["sign_in_method"] != "MAGIC_LINK" || access["scope"] != scopeSelf {
		t.Errorf("ID token %v, access token %v", id, access)
	}
}

// A trigger that answers nothing changes nothing.
func TestPreTokenWithoutDetails(t *testing.T) {
	for _, version := range []PreTokenVersion{PreTokenV1, PreTokenV2} {
		_, id, access, _ := tokensWith(t, version, answering(`{}`))
		if id["email"] != alice || access["scope"] != scopeSelf {
			t.Errorf("%s: %v, %v", version, id, access)
		}
	}
}

// Attack: a trigger, or whoever feeds it, sets what says who the token is for, or Amazon's own scopes.
func TestProtectedClaimsV2(t *testing.T) {
	config := testConfig(t, newClock())
	config.PreTokenVersion = PreTokenV2
	p := openPool(t, config)
	signUp(t, p, alice)
	u, _, err := p.user(alice)
	if err != nil {
		t.Fatal(err)
	}
	for name, part := range map[string]string{
		"sub in the ID token":         `"idTokenGeneration":{"claimsToAddOrOverride":{"sub":"x"}}`,
		"sub in the access token":     `"accessTokenGeneration":{"claimsToAddOrOverride":{"sub":"x"}}`,
		"scope as a claim":            `"accessTokenGeneration":{"claimsToAddOrOverride":{"scope":"a b"}}`,
		"groups as a claim":           `"accessTokenGeneration":{"claimsToAddOrOverride":{"cognito:groups":["admins"]}}`,
		"another client's aud":        `"accessTokenGeneration":{"claimsToAddOrOverride":{"aud":"another"}}`,
		"aud of the ID token":         `"idTokenGeneration":{"claimsToAddOrOverride":{"aud":"` + p.ClientID() + `"}}`,
		"two scopes in one":           `"accessTokenGeneration":{"scopesToAdd":["a b"]}`,
		"Amazon's scope":              `"accessTokenGeneration":{"scopesToAdd":["aws.cognito.other"]}`,
		"developer claim":             `"idTokenGeneration":{"claimsToAddOrOverride":{"dev:custom":"x"}}`,
		"a list instead of an object": `"idTokenGeneration":[]`,
	} {
		c := config
		c.Triggers.PreTokenGeneration = answering(`{"claimsAndScopeOverrideDetails":{` + part + `}}`)
		if err := p.Reconfigure(c); err != nil {
			t.Fatal(err)
		}
		_, err = p.preToken(t.Context(), p.current.Load(), u, "TokenGeneration_Authentication", nil)
		var f *failure
		if !errors.As(err, &f) || f.Type != typeInvalidLambda {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := config
	c.Triggers.PreTokenGeneration = answering(`{"claimsAndScopeOverrideDetails":{"accessTokenGeneration":{"claimsToAddOrOverride":{"aud":"` + p.ClientID() + `"}}}}`)
	if err := p.Reconfigure(c); err != nil {
		t.Fatal(err)
	}
	override, err := p.preToken(t.Context(), p.current.Load(), u, "TokenGeneration_Authentication", nil)
	if err != nil || override.access.add["aud"] != p.ClientID() {
		t.Errorf("the client's own aud: %v, %v", override, err)
	}
}

// A token whose scope for the own account was taken away neither reads nor changes it.
func TestTokenWithoutScope(t *testing.T) {
	p, _, access, raw := tokensWith(t, PreTokenV2, answering(`{"claimsAndScopeOverrideDetails":{"accessTokenGeneration":{"scopesToSuppress":["`+scopeSelf+`"]}}}`))
	if access["scope"] != nil {
		t.Errorf("scope %q", access["scope"])
	}
	_, err := sdk(p).GetUser(t.Context(), &cognito.GetUserInput{AccessToken: &raw})
	refused(t, err, "NotAuthorizedException", "required scopes")
	refused(t, update(t, p, &raw, "name", "x"), "NotAuthorizedException", "required scopes")
}

// Groups bring their roles; the role of the group that comes first is preferred, unless two do.
func TestRolesOfGroups(t *testing.T) {
	p, admin := administered(t)
	ctx, pool, name := t.Context(), aws.String(p.UserPoolID()), aws.String(signUp(t, p, alice))
	group := func(g, role string, precedence int32) {
		t.Helper()
		_, err := admin.CreateGroup(ctx, &cognito.CreateGroupInput{UserPoolId: pool, GroupName: aws.String(g), RoleArn: aws.String(role), Precedence: aws.Int32(precedence)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := admin.AdminAddUserToGroup(ctx, &cognito.AdminAddUserToGroupInput{UserPoolId: pool, GroupName: aws.String(g), Username: name}); err != nil {
			t.Fatal(err)
		}
	}
	preferred := func() (*string, []string) {
		t.Helper()
		u, _, err := p.user(alice)
		if err != nil {
			t.Fatal(err)
		}
		o, err := p.groupsOf(u)
		if err != nil {
			t.Fatal(err)
		}
		return o.PreferredRole, o.IAMRolesToOverride
	}
	group("staff", "arn:staff", 5)
	group("admins", "arn:admins", 1)
	if role, roles := preferred(); aws.ToString(role) != "arn:admins" || len(roles) != 2 {
		t.Errorf("%v of %v", aws.ToString(role), roles)
	}
	group("owners", "arn:owners", 1)
	if role, _ := preferred(); role != nil {
		t.Errorf("two groups come first, and %s is preferred", *role)
	}
	claims, err := p.keys.verifyToken(*signInByLink(t, p, alice).IdToken)
	if err != nil || len(claims["cognito:roles"].([]any)) != 3 || claims["cognito:preferred_role"] != nil {
		t.Errorf("claims %v, %v", claims, err)
	}
}
