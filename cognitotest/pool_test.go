package cognitotest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/caddy-cognito/passwordless/cognitotest"
)

// claims reads a token without checking it.
func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(payload, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// The test of a program that takes Cognito's tokens: a user in a group signs in, and the program finds the key of the token where Cognito has it.
func TestTokensForAnAPI(t *testing.T) {
	pool := cognitotest.NewPool(t)
	name := pool.AddUser(t, "alice@example.com", func(u *cognitotest.User) {
		u.Attributes["name"] = "Alice"
		u.Groups = []string{"admins"}
	})
	tokens := pool.SignIn(t, "alice@example.com")
	id := claims(t, tokens.ID)
	if id["sub"] != name || id["iss"] != pool.Issuer || id["aud"] != pool.ClientID || id["name"] != "Alice" || id["email_verified"] != true {
		t.Errorf("ID token %v", id)
	}
	if groups, _ := claims(t, tokens.Access)["cognito:groups"].([]any); !slices.Equal(groups, []any{"admins"}) {
		t.Errorf("groups %v", groups)
	}
	answer, err := http.Get(pool.JWKSURL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var set struct {
		Keys []struct{ Kid string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("keys %+v, %v", set, err)
	}
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(tokens.Access, ".")[0])
	if err != nil || !strings.Contains(string(header), set.Keys[0].Kid) {
		t.Errorf("header %s, key %s, %v", header, set.Keys[0].Kid, err)
	}
	me, err := pool.Client().GetUser(t.Context(), &cognito.GetUserInput{AccessToken: &tokens.Access})
	if err != nil || *me.Username != name {
		t.Errorf("%+v, %v", me, err)
	}
}

// A client with a secret, a clock of the test's own, and rotation.
func TestConfig(t *testing.T) {
	now := time.Now()
	pool := cognitotest.NewPool(t, func(c *cognitotest.Config) {
		c.Region, c.ClientSecret, c.RotateRefresh, c.AccessTokenLifetime = "eu-west-1", true, true, 10*time.Minute
		c.Now = func() time.Time { return now }
	})
	if pool.ClientSecret == "" || pool.SecretHash("x") == "" || pool.Region != "eu-west-1" {
		t.Fatalf("%+v", pool)
	}
	pool.AddUser(t, "bob@example.com")
	tokens := pool.SignIn(t, "bob@example.com")
	if c := claims(t, tokens.Access); c["exp"].(float64)-c["iat"].(float64) != 600 {
		t.Errorf("claims %v", c)
	}
	refreshed, err := pool.Client().GetTokensFromRefreshToken(t.Context(), &cognito.GetTokensFromRefreshTokenInput{
		ClientId: aws.String(pool.ClientID), ClientSecret: aws.String(pool.ClientSecret), RefreshToken: &tokens.Refresh,
	})
	if err != nil || aws.ToString(refreshed.AuthenticationResult.RefreshToken) == tokens.Refresh {
		t.Errorf("%+v, %v", refreshed, err)
	}
	now = now.Add(time.Hour)
	var expired *types.NotAuthorizedException
	if _, err := pool.Client().GetUser(t.Context(), &cognito.GetUserInput{AccessToken: &tokens.Access}); !errors.As(err, &expired) {
		t.Errorf("an hour later: %v", err)
	}
}

// The test's own PreTokenGeneration writes into both tokens.
func TestOwnClaims(t *testing.T) {
	pool := cognitotest.NewPool(t, func(c *cognitotest.Config) {
		c.PreTokenGeneration = func(_ context.Context, event []byte) ([]byte, error) {
			return []byte(strings.Replace(string(event), `"claimsAndScopeOverrideDetails":null`,
				`"claimsAndScopeOverrideDetails":{"accessTokenGeneration":{"claimsToAddOrOverride":{"tenant":7},"scopesToAdd":["orders/read"]}}`, 1)), nil
		}
	})
	pool.AddUser(t, "alice@example.com")
	access := claims(t, pool.SignIn(t, "alice@example.com").Access)
	if access["tenant"] != 7.0 || !strings.HasSuffix(access["scope"].(string), " orders/read") {
		t.Errorf("claims %v", access)
	}
}

// Messages can be read: a code that goes to a phone, after the mail with the link.
func TestMessages(t *testing.T) {
	pool := cognitotest.NewPool(t)
	pool.AddUser(t, "alice@example.com", func(u *cognitotest.User) { u.Attributes["phone_number"] = "+31612345678" })
	if pool.LastCode("+31612345678") != "" || pool.LastLink("alice@example.com") != "" {
		t.Error("messages before any was sent")
	}
	tokens := pool.SignIn(t, "alice@example.com")
	_, err := pool.Client().GetUserAttributeVerificationCode(t.Context(), &cognito.GetUserAttributeVerificationCodeInput{
		AccessToken: &tokens.Access, AttributeName: aws.String("phone_number"),
	})
	if err != nil {
		t.Fatal(err)
	}
	messages := pool.Messages()
	if len(messages) != 2 || messages[0].Kind != "sms" || messages[1].Kind != "mail" || len(pool.LastCode("+31612345678")) != 6 {
		t.Errorf("%d messages, code %q", len(messages), pool.LastCode("+31612345678"))
	}
}

// A pool that is opened again has its users; a closed one listens no more.
func TestOpenAgain(t *testing.T) {
	folder := t.TempDir()
	first, err := cognitotest.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	name := first.AddUser(t, "alice@example.com")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(first.Endpoint, "http://")); err == nil {
		_ = conn.Close()
		t.Error("the port is still open")
	}
	second, err := cognitotest.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	}()
	if claims(t, second.SignIn(t, "alice@example.com").ID)["sub"] != name || second.UserPoolID != first.UserPoolID {
		t.Error("another user or pool")
	}
	if _, err := cognitotest.Open(folder, func(c *cognitotest.Config) { c.RedirectURIs = nil }); err == nil {
		t.Error("a pool without redirect URIs")
	}
	if _, err := os.Stat(folder); err != nil {
		t.Error(err)
	}
}
