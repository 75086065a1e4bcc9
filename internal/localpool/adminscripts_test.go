package localpool

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

// Scripts make a user ready with a permanent password. Here that confirms the user; the password opens nothing and is kept nowhere.
func TestAdminSetUserPassword(t *testing.T) {
	c := testConfig(t, &clock{at: time.Now()})
	c.AdminKeys = map[string]string{adminID: adminSecret}
	c.Triggers.PreSignUp = unconfirmed
	p := openPool(t, c)
	admin := administrator(p, adminID, adminSecret, p.Region())
	ctx, pool := t.Context(), aws.String(p.UserPoolID())
	if _, err := sdk(p).SignUp(ctx, &cognito.SignUpInput{
		ClientId: aws.String(p.ClientID()), SecretHash: aws.String(hash(p, alice)), Username: aws.String(alice), Password: aws.String("x-Long-random-1"),
	}); err != nil {
		t.Fatal(err)
	}
	set := func(pool, name *string, password string, permanent bool) error {
		_, err := admin.AdminSetUserPassword(ctx, &cognito.AdminSetUserPasswordInput{UserPoolId: pool, Username: name, Password: aws.String(password), Permanent: permanent})
		return err
	}
	status := func() types.UserStatusType {
		got, err := admin.AdminGetUser(ctx, &cognito.AdminGetUserInput{UserPoolId: pool, Username: aws.String(alice)})
		if err != nil {
			t.Fatal(err)
		}
		return got.UserStatus
	}
	if got := status(); got != types.UserStatusTypeUnconfirmed {
		t.Fatalf("the test needs an unconfirmed user, got %s", got)
	}
	const password = "Correct-horse-battery-1"
	refused(t, set(pool, aws.String(alice), password, false), "InvalidParameterException", "no passwords")
	refused(t, set(pool, aws.String(alice), "", true), "InvalidParameterException", "Password")
	refused(t, set(pool, aws.String("nobody@example.com"), password, true), "UserNotFoundException", "does not exist")
	refused(t, set(aws.String("local_another00"), aws.String(alice), password, true), "ResourceNotFoundException", "does not exist")
	if got := status(); got != types.UserStatusTypeUnconfirmed {
		t.Errorf("a refused password changed the status to %s", got)
	}
	if err := set(pool, aws.String(alice), password, true); err != nil {
		t.Fatal(err)
	}
	if got := status(); got != types.UserStatusTypeConfirmed {
		t.Errorf("status %s", got)
	}
	_, err := sdk(p).InitiateAuth(ctx, &cognito.InitiateAuthInput{
		ClientId: aws.String(p.ClientID()), AuthFlow: types.AuthFlowTypeUserPasswordAuth,
		AuthParameters: map[string]string{"USERNAME": alice, "PASSWORD": password, "SECRET_HASH": hash(p, alice)},
	})
	refused(t, err, "InvalidParameterException", "")
}

func TestAdminDeleteUserAttributes(t *testing.T) {
	p, admin := administered(t)
	ctx, pool := t.Context(), aws.String(p.UserPoolID())
	if _, err := admin.AdminCreateUser(ctx, &cognito.AdminCreateUserInput{UserPoolId: pool, Username: aws.String(alice), UserAttributes: []types.AttributeType{
		{Name: aws.String("phone_number"), Value: aws.String("+31612345678")}, {Name: aws.String("phone_number_verified"), Value: aws.String("true")},
		{Name: aws.String("name"), Value: aws.String("Alice")}, {Name: aws.String("locale"), Value: aws.String("en")},
	}}); err != nil {
		t.Fatal(err)
	}
	remove := func(pool *string, user string, names ...string) error {
		_, err := admin.AdminDeleteUserAttributes(ctx, &cognito.AdminDeleteUserAttributesInput{UserPoolId: pool, Username: aws.String(user), UserAttributeNames: names})
		return err
	}
	attributes := func() map[string]string {
		got, err := admin.AdminGetUser(ctx, &cognito.AdminGetUserInput{UserPoolId: pool, Username: aws.String(alice)})
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]string{}
		for _, a := range got.UserAttributes {
			m[*a.Name] = *a.Value
		}
		return m
	}
	refused(t, remove(pool, alice, "name", "sub"), "InvalidParameterException", "non-mutable")
	refused(t, remove(pool, alice, "name", "email"), "InvalidParameterException", "signs in with it")
	refused(t, remove(pool, alice, "name", "shoe_size"), "InvalidParameterException", "could not be determined")
	refused(t, remove(pool, "nobody@example.com", "name"), "UserNotFoundException", "does not exist")
	refused(t, remove(aws.String("local_another00"), alice, "name"), "ResourceNotFoundException", "does not exist")
	if a := attributes(); a["name"] != "Alice" {
		t.Errorf("a refused request changed the user: %v", a)
	}
	if err := remove(pool, alice, "name", "phone_number"); err != nil {
		t.Fatal(err)
	}
	a := attributes()
	for _, gone := range []string{"name", "phone_number", "phone_number_verified"} {
		if _, there := a[gone]; there {
			t.Errorf("%s is still there: %v", gone, a)
		}
	}
	if a["locale"] != "en" || a["email"] != alice {
		t.Errorf("attributes %v", a)
	}
}

// What a request leaves out stays as it was; an empty text clears.
func TestUpdateGroup(t *testing.T) {
	p, admin := administered(t)
	ctx, pool := t.Context(), aws.String(p.UserPoolID())
	made, err := admin.CreateGroup(ctx, &cognito.CreateGroupInput{
		UserPoolId: pool, GroupName: aws.String("staff"), Description: aws.String("old"), Precedence: aws.Int32(5), RoleArn: aws.String("arn:aws:iam::000000000000:role/staff"),
	})
	if err != nil {
		t.Fatal(err)
	}
	update := func(in cognito.UpdateGroupInput) *types.GroupType {
		t.Helper()
		in.UserPoolId, in.GroupName = pool, aws.String("staff")
		if _, err := admin.UpdateGroup(ctx, &in); err != nil {
			t.Fatal(err)
		}
		got, err := admin.GetGroup(ctx, &cognito.GetGroupInput{UserPoolId: pool, GroupName: aws.String("staff")})
		if err != nil {
			t.Fatal(err)
		}
		return got.Group
	}
	g := update(cognito.UpdateGroupInput{Description: aws.String("new")})
	if aws.ToString(g.Description) != "new" || aws.ToInt32(g.Precedence) != 5 || aws.ToString(g.RoleArn) == "" || !g.CreationDate.Equal(*made.Group.CreationDate) {
		t.Errorf("after the description: %+v", g)
	}
	if g.LastModifiedDate.Before(*g.CreationDate) {
		t.Errorf("modified %v, created %v", g.LastModifiedDate, g.CreationDate)
	}
	g = update(cognito.UpdateGroupInput{Precedence: aws.Int32(0), Description: aws.String("")})
	if aws.ToString(g.Description) != "" || g.Precedence == nil || *g.Precedence != 0 {
		t.Errorf("after the precedence: %+v", g)
	}
	_, err = admin.UpdateGroup(ctx, &cognito.UpdateGroupInput{UserPoolId: pool, GroupName: aws.String("nobody"), Description: aws.String("x")})
	refused(t, err, "ResourceNotFoundException", "Group not found")
	long := make([]byte, maxValue+1)
	_, err = admin.UpdateGroup(ctx, &cognito.UpdateGroupInput{UserPoolId: pool, GroupName: aws.String("staff"), Description: aws.String(string(long))})
	refused(t, err, "InvalidParameterException", "too long")
}

// Tools ask for pools, clients and settings before they do anything.
func TestListsOfPoolsAndClients(t *testing.T) {
	p, admin := administered(t)
	ctx, pool := t.Context(), aws.String(p.UserPoolID())
	pools, err := admin.ListUserPools(ctx, &cognito.ListUserPoolsInput{MaxResults: aws.Int32(10)})
	if err != nil || len(pools.UserPools) != 1 || *pools.UserPools[0].Id != *pool || pools.UserPools[0].CreationDate == nil || pools.NextToken != nil {
		t.Errorf("%+v, %v", pools, err)
	}
	clients, err := admin.ListUserPoolClients(ctx, &cognito.ListUserPoolClientsInput{UserPoolId: pool})
	if err != nil || len(clients.UserPoolClients) != 1 || *clients.UserPoolClients[0].ClientId != p.ClientID() || clients.NextToken != nil {
		t.Errorf("%+v, %v", clients, err)
	}
	for _, n := range []int32{-1, 61} {
		_, err = admin.ListUserPools(ctx, &cognito.ListUserPoolsInput{MaxResults: aws.Int32(n)})
		refused(t, err, "InvalidParameterException", "1 to 60")
	}
	_, err = admin.ListUserPoolClients(ctx, &cognito.ListUserPoolClientsInput{UserPoolId: pool, NextToken: aws.String("garbage")})
	refused(t, err, "InvalidParameterException", "pagination token")
	_, err = admin.ListUserPoolClients(ctx, &cognito.ListUserPoolClientsInput{UserPoolId: aws.String("local_another00")})
	refused(t, err, "ResourceNotFoundException", "does not exist")
	mfa, err := admin.GetUserPoolMfaConfig(ctx, &cognito.GetUserPoolMfaConfigInput{UserPoolId: pool})
	if err != nil || mfa.MfaConfiguration != types.UserPoolMfaTypeOff {
		t.Errorf("%+v, %v", mfa, err)
	}
	described, err := admin.DescribeUserPool(ctx, &cognito.DescribeUserPoolInput{UserPoolId: pool})
	if err != nil {
		t.Fatal(err)
	}
	schema := map[string]types.SchemaAttributeType{}
	for _, a := range described.UserPool.SchemaAttributes {
		schema[*a.Name] = a
	}
	if len(schema) != len(standardAttributes)+3 || !aws.ToBool(schema["email"].Required) || aws.ToBool(schema["name"].Required) ||
		aws.ToBool(schema["sub"].Mutable) || schema["email_verified"].AttributeDataType != types.AttributeDataTypeBoolean {
		t.Errorf("schema %+v", schema)
	}
}

// None of these may work without the administrators' key.
func TestNewOperationsNeedTheKey(t *testing.T) {
	p, _ := administered(t)
	for _, name := range []string{
		"AdminSetUserPassword", "AdminDeleteUserAttributes", "UpdateGroup", "GetUserPoolMfaConfig", "ListUserPools", "ListUserPoolClients",
	} {
		if operations[name] != nil || adminOperations[name] == nil {
			t.Errorf("%s is open to everybody, or missing", name)
		}
	}
	stranger := administrator(p, adminID, adminSecret+"x", p.Region())
	_, err := stranger.AdminSetUserPassword(t.Context(), &cognito.AdminSetUserPasswordInput{
		UserPoolId: aws.String(p.UserPoolID()), Username: aws.String(alice), Password: aws.String("x"), Permanent: true,
	})
	refused(t, err, "InvalidSignatureException", "")
}
