package localpool

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// A loop over pages must not end early without an error: tokens that this list did not give out are refused.
func TestPaginationTokenThatWasNotGivenOut(t *testing.T) {
	p, admin := administered(t)
	ctx, pool := t.Context(), aws.String(p.UserPoolID())
	for _, name := range []string{"a@example.com", "b@example.com", "c@example.com"} {
		username := signUp(t, p, name)
		for _, group := range []string{"admins", "staff"} {
			_, _ = admin.CreateGroup(ctx, &cognito.CreateGroupInput{UserPoolId: pool, GroupName: aws.String(group)}) // exists from the second user on
			if _, err := admin.AdminAddUserToGroup(ctx, &cognito.AdminAddUserToGroupInput{UserPoolId: pool, GroupName: aws.String(group), Username: aws.String(username)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	users := func(token *string) (*string, error) {
		out, err := admin.ListUsers(ctx, &cognito.ListUsersInput{UserPoolId: pool, Limit: aws.Int32(2), PaginationToken: token})
		if err != nil {
			return nil, err
		}
		return out.PaginationToken, nil
	}
	groups := func(token *string) (*string, error) {
		out, err := admin.ListGroups(ctx, &cognito.ListGroupsInput{UserPoolId: pool, Limit: aws.Int32(1), NextToken: token})
		if err != nil {
			return nil, err
		}
		return out.NextToken, nil
	}
	members := func(group string) func(*string) (*string, error) {
		return func(token *string) (*string, error) {
			out, err := admin.ListUsersInGroup(ctx, &cognito.ListUsersInGroupInput{UserPoolId: pool, GroupName: aws.String(group), Limit: aws.Int32(2), NextToken: token})
			if err != nil {
				return nil, err
			}
			return out.NextToken, nil
		}
	}
	lists := map[string]func(*string) (*string, error){"users": users, "groups": groups, "admins": members("admins"), "staff": members("staff")}
	given := map[string]string{}
	for name, list := range lists {
		token, err := list(nil)
		if err != nil || token == nil {
			t.Fatalf("%s: %v, %v", name, token, err)
		}
		given[name] = *token
		if _, err := list(token); err != nil {
			t.Errorf("%s: its own token: %v", name, err)
		}
	}
	for name, list := range lists {
		bad := []string{
			"garbage", "a@example.com", "admins", given[name] + "A", given[name][1:], strings.ToUpper(given[name]),
			challenge.EncodeBase64(make([]byte, pageMACSize)), challenge.EncodeBase64(append(make([]byte, pageMACSize), "zzz"...)), strings.Repeat("A", 4096),
		}
		for other, token := range given {
			if other != name {
				bad = append(bad, token)
			}
		}
		for _, token := range bad {
			_, err := list(aws.String(token))
			refused(t, err, "InvalidParameterException", "Invalid pagination token.")
		}
	}
}

// The user at the end of a page may be deleted before the next page is asked for.
func TestPageAfterItsLastUserWasDeleted(t *testing.T) {
	p, admin := administered(t)
	ctx, pool := t.Context(), aws.String(p.UserPoolID())
	for _, name := range []string{"a@example.com", "b@example.com", "c@example.com"} {
		signUp(t, p, name)
	}
	first, err := admin.ListUsers(ctx, &cognito.ListUsersInput{UserPoolId: pool, Limit: aws.Int32(2)})
	if err != nil || len(first.Users) != 2 {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := admin.AdminDeleteUser(ctx, &cognito.AdminDeleteUserInput{UserPoolId: pool, Username: first.Users[1].Username}); err != nil {
		t.Fatal(err)
	}
	second, err := admin.ListUsers(ctx, &cognito.ListUsersInput{UserPoolId: pool, Limit: aws.Int32(2), PaginationToken: first.PaginationToken})
	if err != nil || len(second.Users) != 1 || *second.Users[0].Username == *first.Users[0].Username {
		t.Errorf("%+v, %v", second, err)
	}
}
