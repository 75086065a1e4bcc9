package localpool

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

const (
	adminID     = "operator"
	adminSecret = "a-secret-for-tests-only"
)

// administered is a pool with a key, and the SDK with that key. Requests are signed by the real time.
func administered(t *testing.T) (*Pool, *cognito.Client) {
	t.Helper()
	c := testConfig(t, &clock{at: time.Now()})
	c.AdminKeys = map[string]string{adminID: adminSecret}
	p := openPool(t, c)
	return p, administrator(p, adminID, adminSecret, p.Region())
}

func administrator(p *Pool, id, secret, region string) *cognito.Client {
	return cognito.New(cognito.Options{
		Region: region, BaseEndpoint: aws.String(p.Endpoint()), HTTPClient: p.Client(),
		Credentials: awscredentials.NewStaticCredentialsProvider(id, secret, ""), Retryer: aws.NopRetryer{},
	})
}

// The life of a user in the hands of an administrator.
func TestAdministratorsUsers(t *testing.T) {
	p, admin := administered(t)
	ctx, pool := t.Context(), aws.String(p.UserPoolID())
	created, err := admin.AdminCreateUser(ctx, &cognito.AdminCreateUserInput{UserPoolId: pool, Username: aws.String("carol@example.com"), UserAttributes: []types.AttributeType{
		{Name: aws.String("email_verified"), Value: aws.String("true")}, {Name: aws.String("phone_number"), Value: aws.String("+31612345678")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	name := created.User.Username
	if !isUUID(*name) || created.User.UserStatus != types.UserStatusTypeConfirmed || !created.User.Enabled {
		t.Errorf("created %+v", created.User)
	}
	_, err = admin.AdminCreateUser(ctx, &cognito.AdminCreateUserInput{UserPoolId: pool, Username: aws.String("Carol@example.com")})
	refused(t, err, "UsernameExistsException", "already exists")

	got, err := admin.AdminGetUser(ctx, &cognito.AdminGetUserInput{UserPoolId: pool, Username: aws.String("carol@EXAMPLE.com")})
	if err != nil || *got.Username != *name || got.UserCreateDate == nil || time.Since(*got.UserCreateDate) > time.Hour {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = admin.AdminUpdateUserAttributes(ctx, &cognito.AdminUpdateUserAttributesInput{UserPoolId: pool, Username: name, UserAttributes: []types.AttributeType{
		{Name: aws.String("phone_number_verified"), Value: aws.String("true")}, {Name: aws.String("name"), Value: aws.String("Carol")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	access := signInByLink(t, p, "carol@example.com").AccessToken
	if a := memberAttributes(t, p, access); a["phone_number_verified"] != "true" || a["name"] != "Carol" || a["email_verified"] != "true" {
		t.Errorf("attributes %v", a)
	}
	if _, err := admin.AdminUserGlobalSignOut(ctx, &cognito.AdminUserGlobalSignOutInput{UserPoolId: pool, Username: name}); err != nil {
		t.Fatal(err)
	}
	_, err = sdk(p).GetUser(ctx, &cognito.GetUserInput{AccessToken: access})
	refused(t, err, "NotAuthorizedException", "revoked")

	if _, err := admin.AdminDisableUser(ctx, &cognito.AdminDisableUserInput{UserPoolId: pool, Username: name}); err != nil {
		t.Fatal(err)
	}
	_, err = initiate(p, "carol@example.com")
	refused(t, err, "NotAuthorizedException", "User is disabled")
	if _, err := admin.AdminEnableUser(ctx, &cognito.AdminEnableUserInput{UserPoolId: pool, Username: name}); err != nil {
		t.Fatal(err)
	}
	mustInitiate(t, p, "carol@example.com")
	begun, err := admin.AdminInitiateAuth(ctx, &cognito.AdminInitiateAuthInput{
		UserPoolId: pool, ClientId: aws.String(p.ClientID()), AuthFlow: types.AuthFlowTypeCustomAuth,
		AuthParameters: map[string]string{"USERNAME": *name, "SECRET_HASH": hash(p, *name)},
	})
	if err != nil || begun.Session == nil {
		t.Errorf("AdminInitiateAuth: %+v, %v", begun, err)
	}
	if _, err := admin.AdminDeleteUser(ctx, &cognito.AdminDeleteUserInput{UserPoolId: pool, Username: name}); err != nil {
		t.Fatal(err)
	}
	_, err = admin.AdminGetUser(ctx, &cognito.AdminGetUserInput{UserPoolId: pool, Username: name})
	refused(t, err, "UserNotFoundException", "does not exist")
	_, err = admin.AdminGetUser(ctx, &cognito.AdminGetUserInput{UserPoolId: aws.String("local_another00"), Username: name})
	refused(t, err, "ResourceNotFoundException", "does not exist")
}

func TestLists(t *testing.T) {
	p, admin := administered(t)
	ctx, pool := t.Context(), aws.String(p.UserPoolID())
	for _, name := range []string{"a1@example.com", "a2@example.com", "b1@example.com"} {
		signUp(t, p, name)
	}
	seen := map[string]bool{}
	pages := 0
	for pager := cognito.NewListUsersPaginator(admin, &cognito.ListUsersInput{UserPoolId: pool, Limit: aws.Int32(2)}); pager.HasMorePages(); pages++ {
		page, err := pager.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page.Users {
			seen[*u.Username] = true
		}
	}
	if len(seen) != 3 || pages != 2 {
		t.Errorf("%d users on %d pages", len(seen), pages)
	}
	for filter, want := range map[string]int{`email ^= "a"`: 2, `email = "B1@example.com"`: 1, `"status" = "Enabled"`: 3, `email = "nobody@example.com"`: 0} {
		out, err := admin.ListUsers(ctx, &cognito.ListUsersInput{UserPoolId: pool, Filter: aws.String(filter), AttributesToGet: []string{"email"}})
		if err != nil || len(out.Users) != want {
			t.Errorf("%s: %d users, %v; want %d", filter, len(out.Users), err, want)
		}
		for _, u := range out.Users {
			if len(u.Attributes) != 1 {
				t.Errorf("%s: attributes %v", filter, u.Attributes)
			}
		}
	}
	for filter, text := range map[string]string{`email`: "parsing filter", `custom:x = "1"`: "cannot be searched by", `email = "a" or "b"`: "parsing filter"} {
		_, err := admin.ListUsers(ctx, &cognito.ListUsersInput{UserPoolId: pool, Filter: aws.String(filter)})
		refused(t, err, "InvalidParameterException", text)
	}
	described, err := admin.DescribeUserPool(ctx, &cognito.DescribeUserPoolInput{UserPoolId: pool})
	if err != nil || described.UserPool.EstimatedNumberOfUsers != 3 || described.UserPool.UsernameAttributes[0] != types.UsernameAttributeTypeEmail {
		t.Errorf("%+v, %v", described, err)
	}
	client, err := admin.DescribeUserPoolClient(ctx, &cognito.DescribeUserPoolClientInput{UserPoolId: pool, ClientId: aws.String(p.ClientID())})
	if err != nil || aws.ToString(client.UserPoolClient.ClientSecret) != p.ClientSecret() || aws.ToInt32(client.UserPoolClient.AccessTokenValidity) != 3600 {
		t.Errorf("%+v, %v", client, err)
	}
}

func TestGroups(t *testing.T) {
	p, admin := administered(t)
	ctx, pool := t.Context(), aws.String(p.UserPoolID())
	name := aws.String(signUp(t, p, alice))
	for _, g := range []string{"admins", "staff"} {
		if _, err := admin.CreateGroup(ctx, &cognito.CreateGroupInput{UserPoolId: pool, GroupName: aws.String(g), Precedence: aws.Int32(1)}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := admin.CreateGroup(ctx, &cognito.CreateGroupInput{UserPoolId: pool, GroupName: aws.String("staff")})
	refused(t, err, "GroupExistsException", "already exists")
	add := func(g string) error {
		_, err := admin.AdminAddUserToGroup(ctx, &cognito.AdminAddUserToGroupInput{UserPoolId: pool, GroupName: aws.String(g), Username: name})
		return err
	}
	refused(t, add("nobody"), "ResourceNotFoundException", "Group not found")
	for _, g := range []string{"staff", "admins", "staff"} {
		if err := add(g); err != nil {
			t.Fatal(err)
		}
	}
	of, err := admin.AdminListGroupsForUser(ctx, &cognito.AdminListGroupsForUserInput{UserPoolId: pool, Username: name})
	if err != nil || len(of.Groups) != 2 {
		t.Errorf("groups of alice: %+v, %v", of, err)
	}
	members, err := admin.ListUsersInGroup(ctx, &cognito.ListUsersInGroupInput{UserPoolId: pool, GroupName: aws.String("admins")})
	if err != nil || len(members.Users) != 1 || *members.Users[0].Username != *name {
		t.Errorf("members %+v, %v", members, err)
	}
	claims, err := p.keys.verifyToken(*signInByLink(t, p, alice).AccessToken)
	if groups, _ := claims["cognito:groups"].([]any); err != nil || len(groups) != 2 || groups[0] != "admins" {
		t.Errorf("claims %v, %v", claims["cognito:groups"], err)
	}
	_, err = admin.AdminRemoveUserFromGroup(ctx, &cognito.AdminRemoveUserFromGroupInput{UserPoolId: pool, GroupName: aws.String("staff"), Username: name})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.DeleteGroup(ctx, &cognito.DeleteGroupInput{UserPoolId: pool, GroupName: aws.String("admins")}); err != nil {
		t.Fatal(err)
	}
	if u, _, err := p.user(*name); err != nil || len(u.Groups) != 0 {
		t.Errorf("alice is in %q, %v", u.Groups, err)
	}
	all, err := admin.ListGroups(ctx, &cognito.ListGroupsInput{UserPoolId: pool})
	if err != nil || len(all.Groups) != 1 || *all.Groups[0].GroupName != "staff" {
		t.Errorf("groups %+v, %v", all, err)
	}
}

// signedRequest is ListUsers as an administrator's client sends it.
func signedRequest(t *testing.T, p *Pool, change func(*signing)) *http.Request {
	t.Helper()
	s := signing{id: adminID, secret: adminSecret, region: p.Region(), service: "cognito-idp", at: time.Now(), body: `{"UserPoolId":"` + p.UserPoolID() + `"}`}
	change(&s)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.Endpoint()+"/", strings.NewReader(s.body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("X-Amz-Target", targetPrefix+"ListUsers")
	sum := sha256.Sum256([]byte(s.body))
	keys := aws.Credentials{AccessKeyID: s.id, SecretAccessKey: s.secret}
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, request, hex.EncodeToString(sum[:]), s.service, s.region, s.at); err != nil {
		t.Fatal(err)
	}
	return request
}

type signing struct {
	id, secret, region, service, body string
	at                                time.Time
}

// Whoever has no key does nothing that an administrator may: not by leaving things out, not by taking a signature from elsewhere.
func TestForgedSignatures(t *testing.T) {
	p, _ := administered(t)
	send := func(r *http.Request) (int, string) {
		response, err := p.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	if status, body := send(signedRequest(t, p, func(*signing) {})); status != http.StatusOK {
		t.Fatalf("a signed request: %d %s", status, body)
	}
	for name, tc := range map[string]struct {
		sign   func(*signing)
		change func(*http.Request)
		want   string
	}{
		"unsigned":              {change: func(r *http.Request) { r.Header.Del("Authorization") }, want: "MissingAuthenticationTokenException"},
		"two signatures":        {change: func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, want: "MissingAuthenticationTokenException"},
		"bearer":                {change: func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, want: "MissingAuthenticationTokenException"},
		"unknown key":           {sign: func(s *signing) { s.id = "somebody" }, want: "UnrecognizedClientException"},
		"wrong secret":          {sign: func(s *signing) { s.secret += "x" }, want: "InvalidSignatureException"},
		"another service":       {sign: func(s *signing) { s.service = "s3" }, want: "scoped to a valid service, not 's3': sign for 'cognito-idp'"},
		"another region":        {sign: func(s *signing) { s.region = "eu-west-1" }, want: "scoped to a valid region, not 'eu-west-1': sign for 'local'"},
		"of an hour ago":        {sign: func(s *signing) { s.at = s.at.Add(-time.Hour) }, want: "Signature expired"},
		"of the future":         {sign: func(s *signing) { s.at = s.at.Add(time.Hour) }, want: "Signature expired"},
		"for another operation": {change: func(r *http.Request) { r.Header.Set("X-Amz-Target", targetPrefix+"AdminDeleteUser") }, want: "InvalidSignatureException"},
		"for another body": {change: func(r *http.Request) {
			body := []byte(`{"UserPoolId":"` + p.UserPoolID() + `","Limit":9}`)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}, want: "InvalidSignatureException"},
		"with another date": {change: func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().Add(time.Minute).UTC().Format(signingTime))
		}, want: "InvalidSignatureException"},
		"target left out": {change: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), ";x-amz-target", "", 1))
		}, want: "InvalidSignatureException"},
		"host left out": {change: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "host;", "", 1))
		}, want: "InvalidSignatureException"},
		"temporary credentials": {change: func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "token") }, want: "Unset AWS_SESSION_TOKEN"},
		"empty session token":   {change: func(r *http.Request) { r.Header["X-Amz-Security-Token"] = []string{""} }, want: "Unset AWS_SESSION_TOKEN"},
		"unsigned, with a session token": {change: func(r *http.Request) {
			r.Header.Del("Authorization")
			r.Header.Set("X-Amz-Security-Token", "token")
		}, want: "MissingAuthenticationTokenException"},
		"signed header twice": {change: func(r *http.Request) { r.Header.Add("X-Amz-Target", targetPrefix+"AdminDeleteUser") }, want: "InvalidSignatureException"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.sign == nil {
				tc.sign = func(*signing) {}
			}
			r := signedRequest(t, p, tc.sign)
			if tc.change != nil {
				tc.change(r)
			}
			if status, body := send(r); status != http.StatusForbidden || !strings.Contains(body, tc.want) || strings.Contains(body, "example.com") {
				t.Errorf("%d %s, want %s", status, body, tc.want)
			}
		})
	}
}

// Without a key there are no administrators, and a key that could be guessed is refused at the start.
func TestNoAdministrator(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	_, err := administrator(p, adminID, adminSecret, p.Region()).ListUsers(t.Context(), &cognito.ListUsersInput{UserPoolId: aws.String(p.UserPoolID())})
	refused(t, err, "AccessDeniedException", "--admin-key")
	for id, secret := range map[string]string{"": adminSecret, "operator": "", "admin": "short"} {
		c := testConfig(t, newClock())
		c.AdminKeys = map[string]string{id: secret}
		if _, err := Open(c); err == nil || secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("key %q: %v", id, err)
		}
	}
}

// Where sign-up is by invitation, an administrator's user signs in, and nobody makes one themselves.
func TestInvitation(t *testing.T) {
	c := testConfig(t, &clock{at: time.Now()})
	c.AdminKeys, c.SignUp.Mode = map[string]string{adminID: adminSecret}, "invitation"
	p := openPool(t, c)
	admin := administrator(p, adminID, adminSecret, p.Region())
	_, err := sdk(p).SignUp(t.Context(), &cognito.SignUpInput{
		ClientId: aws.String(p.ClientID()), SecretHash: aws.String(hash(p, alice)), Username: aws.String(alice), Password: aws.String("x-Long-random-1"),
	})
	refused(t, err, "UserLambdaValidationException", "")
	if _, err := admin.AdminCreateUser(t.Context(), &cognito.AdminCreateUserInput{UserPoolId: aws.String(p.UserPoolID()), Username: aws.String(alice)}); err != nil {
		t.Fatal(err)
	}
	signInByLink(t, p, alice)
}

func FuzzAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=operator/20261123/local/cognito-idp/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=" + strings.Repeat("0", 64))
	f.Add("AWS4-HMAC-SHA256 Credential=/20261123/local/cognito-idp/aws4_request,SignedHeaders=,Signature=")
	f.Fuzz(func(t *testing.T, header string) {
		s := &settings{Config: Config{AdminKeys: map[string]string{adminID: adminSecret}, Region: "local", Now: time.Now}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://pool/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", header)
		r.Header.Set("X-Amz-Date", time.Now().UTC().Format(signingTime))
		r.Header.Set("X-Amz-Target", targetPrefix+"ListUsers")
		if s.checkSignature(r, nil) == nil {
			t.Errorf("%q lets in", header)
		}
	})
}
