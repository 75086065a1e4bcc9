package localpool

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

func withCustomAttributes(t *testing.T) (*Pool, *cognito.Client) {
	t.Helper()
	c := testConfig(t, &clock{at: time.Now()})
	c.AdminKeys = map[string]string{adminID: adminSecret}
	c.CustomAttributes, c.WritableCustomAttributes = []string{"tenant"}, []string{"theme"}
	p := openPool(t, c)
	return p, administrator(p, adminID, adminSecret, p.Region())
}

func sdkAttributes(pairs ...string) (list []types.AttributeType) {
	for pair := range slices.Chunk(pairs, 2) {
		list = append(list, types.AttributeType{Name: aws.String(pair[0]), Value: aws.String(pair[1])})
	}
	return list
}

// From sign-up to the token: users write what they may, administrators the rest, and an ID token carries both.
func TestCustomAttributes(t *testing.T) {
	p, admin := withCustomAttributes(t)
	ctx, pool := t.Context(), aws.String(p.UserPoolID())
	if _, err := sdk(p).SignUp(ctx, &cognito.SignUpInput{
		ClientId: aws.String(p.ClientID()), SecretHash: aws.String(hash(p, alice)), Username: aws.String(alice), Password: aws.String("x-Long-random-1"),
		UserAttributes: sdkAttributes("custom:theme", "dark"),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.AdminUpdateUserAttributes(ctx, &cognito.AdminUpdateUserAttributesInput{
		UserPoolId: pool, Username: aws.String(alice), UserAttributes: sdkAttributes("custom:tenant", "acme"),
	}); err != nil {
		t.Fatal(err)
	}
	tokens := signInByLink(t, p, alice)
	claims, err := p.keys.verifyToken(*tokens.IdToken)
	if err != nil || claims["custom:tenant"] != "acme" || claims["custom:theme"] != "dark" {
		t.Errorf("claims %v, %v", claims, err)
	}
	if err := update(t, p, tokens.AccessToken, "custom:theme", "light"); err != nil {
		t.Error(err)
	}
	listed, err := admin.ListUsers(ctx, &cognito.ListUsersInput{UserPoolId: pool, AttributesToGet: []string{"custom:theme"}})
	if err != nil || len(listed.Users) != 1 || len(listed.Users[0].Attributes) != 1 || *listed.Users[0].Attributes[0].Value != "light" {
		t.Errorf("%+v, %v", listed, err)
	}
	_, err = admin.ListUsers(ctx, &cognito.ListUsersInput{UserPoolId: pool, Filter: aws.String(`"custom:tenant" = "acme"`)})
	refused(t, err, "InvalidParameterException", "cannot be searched by")
	if _, err := admin.AdminDeleteUserAttributes(ctx, &cognito.AdminDeleteUserAttributesInput{
		UserPoolId: pool, Username: aws.String(alice), UserAttributeNames: []string{"custom:tenant"},
	}); err != nil {
		t.Error(err)
	}
	if a := memberAttributes(t, p, tokens.AccessToken); a["custom:tenant"] != "" || a["custom:theme"] != "light" {
		t.Errorf("attributes %v", a)
	}
	described, err := admin.DescribeUserPool(ctx, &cognito.DescribeUserPoolInput{UserPoolId: pool})
	if err != nil || !slices.ContainsFunc(described.UserPool.SchemaAttributes, func(a types.SchemaAttributeType) bool { return *a.Name == "custom:tenant" }) {
		t.Errorf("schema %+v, %v", described, err)
	}
	made, err := admin.AdminCreateUser(ctx, &cognito.AdminCreateUserInput{
		UserPoolId: pool, Username: aws.String("bob@example.com"), UserAttributes: sdkAttributes("custom:tenant", "acme", "custom:theme", "dark"),
	})
	if err != nil || len(made.User.Attributes) < 4 {
		t.Errorf("%+v, %v", made, err)
	}
}

// Attack: users give themselves the attribute that says which tenant they belong to, or take it away.
func TestAttackUsersWriteAdministratorsAttributes(t *testing.T) {
	p, admin := withCustomAttributes(t)
	_, err := sdk(p).SignUp(t.Context(), &cognito.SignUpInput{
		ClientId: aws.String(p.ClientID()), SecretHash: aws.String(hash(p, alice)), Username: aws.String(alice), Password: aws.String("x-Long-random-1"),
		UserAttributes: sdkAttributes("custom:tenant", "acme"),
	})
	refused(t, err, "NotAuthorizedException", "unauthorized attribute")
	signUp(t, p, alice)
	if _, err := admin.AdminUpdateUserAttributes(t.Context(), &cognito.AdminUpdateUserAttributesInput{
		UserPoolId: aws.String(p.UserPoolID()), Username: aws.String(alice), UserAttributes: sdkAttributes("custom:tenant", "small"),
	}); err != nil {
		t.Fatal(err)
	}
	access := signInByLink(t, p, alice).AccessToken
	refused(t, update(t, p, access, "custom:tenant", "acme"), "NotAuthorizedException", "unauthorized attribute")
	_, err = sdk(p).DeleteUserAttributes(t.Context(), &cognito.DeleteUserAttributesInput{AccessToken: access, UserAttributeNames: []string{"custom:tenant"}})
	refused(t, err, "NotAuthorizedException", "unauthorized attribute")
	for _, name := range []string{"custom:Tenant", "custom:", "custom:shoe_size", "Custom:tenant", "custom:tenant ", "tenant", "custom:custom:tenant", "dev:custom:tenant"} {
		refused(t, update(t, p, access, name, "acme"), "InvalidParameterException", "could not be determined")
	}
	refused(t, update(t, p, access, "custom:theme", strings.Repeat("x", maxValue+1)), "InvalidParameterException", "too long")
	if a := memberAttributes(t, p, access); a["custom:tenant"] != "small" {
		t.Errorf("attributes %v", a)
	}
}

func TestCustomAttributeNames(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"with its prefix":   func(c *Config) { c.CustomAttributes = []string{"custom:tenant"} },
		"empty":             func(c *Config) { c.CustomAttributes = []string{""} },
		"too long":          func(c *Config) { c.WritableCustomAttributes = []string{strings.Repeat("x", 21)} },
		"with a space":      func(c *Config) { c.CustomAttributes = []string{"a b"} },
		"in both":           func(c *Config) { c.CustomAttributes, c.WritableCustomAttributes = []string{"a"}, []string{"a"} },
		"more than Cognito": func(c *Config) { c.CustomAttributes = make([]string, 51) },
	} {
		c := testConfig(t, newClock())
		change(&c)
		if p, err := Open(c); err == nil {
			t.Errorf("%s: accepted", name)
			_ = p.Close()
		} else if !strings.Contains(err.Error(), "custom attribute") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
