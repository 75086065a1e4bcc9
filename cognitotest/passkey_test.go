package cognitotest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/caddy-cognito/passwordless/cognitotest"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// fido2 calls the FIDO2 API as a front end does, and reads its answer into out.
func fido2(t *testing.T, pool *cognitotest.Pool, route, bearer string, in, out any) int {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, pool.FIDO2URL+route, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if out != nil && json.Unmarshal(content, out) != nil {
		t.Fatalf("%s: %s %s", route, answer.Status, content)
	}
	return answer.StatusCode
}

type message struct{ Message string }

// addPasskey registers a passkey of a software authenticator.
func addPasskey(t *testing.T, pool *cognitotest.Pool, device *passkeytest.Authenticator, idToken string) string {
	t.Helper()
	var options passkey.CreationOptions
	if status := fido2(t, pool, "register-authenticator/start?rpId=localhost", idToken, struct{}{}, &options); status != http.StatusOK {
		t.Fatalf("start: %d", status)
	}
	made := device.Create(t, options)
	made.FriendlyName = "Laptop"
	var added struct{ CredentialID, FriendlyName string }
	if status := fido2(t, pool, "register-authenticator/complete", idToken, made, &added); status != http.StatusOK || added.FriendlyName != "Laptop" {
		t.Fatalf("complete: %d %+v", status, added)
	}
	return added.CredentialID
}

// signInByPasskey signs in without a link. name is the address, or for a sign-in without a name the user handle.
func signInByPasskey(t *testing.T, pool *cognitotest.Pool, device *passkeytest.Authenticator, name, challenge string) (*types.AuthenticationResultType, error) {
	t.Helper()
	client := pool.Client()
	begun, err := client.InitiateAuth(t.Context(), &cognito.InitiateAuthInput{
		ClientId: aws.String(pool.ClientID), AuthFlow: types.AuthFlowTypeCustomAuth, AuthParameters: map[string]string{"USERNAME": name},
	})
	if err != nil {
		return nil, err
	}
	options := passkey.RequestOptions{Challenge: challenge, RPID: "localhost"}
	if challenge == "" {
		if err := json.Unmarshal([]byte(begun.ChallengeParameters["fido2options"]), &options); err != nil {
			t.Fatal(err)
		}
		options.RPID = "localhost"
		options.AllowCredentials = nil
	}
	done, err := client.RespondToAuthChallenge(t.Context(), &cognito.RespondToAuthChallengeInput{
		ClientId: aws.String(pool.ClientID), ChallengeName: types.ChallengeNameTypeCustomChallenge, Session: begun.Session,
		ChallengeResponses: map[string]string{"USERNAME": name, "ANSWER": device.Get(t, options).Encode()}, ClientMetadata: map[string]string{"signInMethod": "FIDO2"},
	})
	if err != nil {
		return nil, err
	}
	return done.AuthenticationResult, nil
}

// A user adds a passkey with the tokens of a link, signs in with it with and without a name, renames it and removes it.
func TestPasskeyOfAUser(t *testing.T) {
	pool := cognitotest.NewPool(t)
	name := pool.AddUser(t, "alice@example.com")
	tokens := pool.SignIn(t, "alice@example.com")
	device := passkeytest.NewAuthenticator("http://localhost")
	id := addPasskey(t, pool, device, tokens.ID)

	result, err := signInByPasskey(t, pool, device, "alice@example.com", "")
	if err != nil || result == nil || claims(t, *result.IdToken)["sub"] != name {
		t.Fatalf("with a name: %+v, %v", result, err)
	}
	var begun struct{ Challenge string }
	if status := fido2(t, pool, "sign-in-challenge", "", struct{}{}, &begun); status != http.StatusOK || begun.Challenge == "" {
		t.Fatalf("sign-in-challenge: %d %+v", status, begun)
	}
	if result, err := signInByPasskey(t, pool, device, name, begun.Challenge); err != nil || result == nil {
		t.Errorf("without a name: %+v, %v", result, err)
	}
	if _, err := signInByPasskey(t, pool, device, name, begun.Challenge); err == nil {
		t.Error("a challenge works twice")
	}

	var list struct {
		Authenticators []struct{ CredentialID, FriendlyName, LastSignIn string }
	}
	if status := fido2(t, pool, "authenticators/update", tokens.ID, map[string]string{"credentialId": id, "friendlyName": "Work laptop"}, nil); status != http.StatusOK {
		t.Errorf("rename: %d", status)
	}
	fido2(t, pool, "authenticators/list?rpId=localhost", tokens.ID, struct{}{}, &list)
	if len(list.Authenticators) != 1 || list.Authenticators[0].FriendlyName != "Work laptop" || list.Authenticators[0].LastSignIn == "" {
		t.Errorf("list %+v", list)
	}
	for range 2 { // the second finds nothing
		if status := fido2(t, pool, "authenticators/delete", tokens.ID, map[string]string{"credentialId": id}, nil); status != http.StatusNoContent {
			t.Errorf("delete: %d", status)
		}
	}
	if result, err := signInByPasskey(t, pool, device, "alice@example.com", ""); err == nil && result != nil {
		t.Error("a removed passkey signs in")
	}
	var created, deleted bool
	for _, m := range pool.Messages() {
		created = created || strings.Contains(m.Text, "Laptop")
		deleted = deleted || strings.Contains(m.Text, "Work laptop")
	}
	if !created || !deleted {
		t.Errorf("the owner was not told by mail: added %v, removed %v", created, deleted)
	}
}

// Attacks: passkeys are added and removed by their owner only, who signed in within the last minutes.
func TestAttackPasskeysOfOthers(t *testing.T) {
	now := time.Now()
	pool := cognitotest.NewPool(t, func(c *cognitotest.Config) { c.Now = func() time.Time { return now } })
	pool.AddUser(t, "alice@example.com")
	pool.AddUser(t, "mallory@example.com")
	alice, mallory := pool.SignIn(t, "alice@example.com"), pool.SignIn(t, "mallory@example.com")
	device := passkeytest.NewAuthenticator("http://localhost")
	id := addPasskey(t, pool, device, alice.ID)
	var list struct {
		Authenticators []struct{ FriendlyName string }
	}
	own := func() int {
		fido2(t, pool, "authenticators/list?rpId=localhost", alice.ID, struct{}{}, &list)
		return len(list.Authenticators)
	}
	fido2(t, pool, "authenticators/delete", mallory.ID, map[string]string{"credentialId": id}, nil)
	if status := fido2(t, pool, "authenticators/update", mallory.ID, map[string]string{"credentialId": id, "friendlyName": "mine"}, nil); status != http.StatusBadRequest {
		t.Errorf("renaming another's passkey: %d", status)
	}
	if own() != 1 || list.Authenticators[0].FriendlyName != "Laptop" {
		t.Errorf("another user changed the passkeys: %+v", list)
	}
	// Options for Alice do not register a passkey for Mallory.
	var options passkey.CreationOptions
	fido2(t, pool, "register-authenticator/start?rpId=localhost", alice.ID, struct{}{}, &options)
	var said message
	if status := fido2(t, pool, "register-authenticator/complete", mallory.ID, device.Create(t, options), &said); status != http.StatusBadRequest || said.Message != "Challenge not found" {
		t.Errorf("another user's challenge: %d %+v", status, said)
	}
	const start = "register-authenticator/start?rpId=localhost"
	for name, test := range map[string]struct{ bearer, want string }{
		"no token":         {"", "Unauthorized"},
		"an access token":  {alice.Access, "Use your ID token to access this API"},
		"a refresh token":  {alice.Refresh, "Unauthorized"},
		"another key":      {alice.ID[:len(alice.ID)-8] + "AAAAAAAA", "Unauthorized"},
		"another's claims": {strings.Replace(alice.ID, strings.Split(alice.ID, ".")[1], strings.Split(mallory.ID, ".")[1], 1), "Unauthorized"},
	} {
		if status := fido2(t, pool, start, test.bearer, struct{}{}, &said); status != http.StatusUnauthorized || said.Message != test.want {
			t.Errorf("%s: %d %+v", name, status, said)
		}
	}
	if status := fido2(t, pool, "register-authenticator/start?rpId=example.com", alice.ID, struct{}{}, &said); status != http.StatusBadRequest || said.Message != "Unrecognized RP ID" {
		t.Errorf("a foreign RP ID: %d %+v", status, said)
	}
	now = now.Add(11 * time.Minute)
	for _, route := range []string{start, "register-authenticator/complete", "authenticators/delete"} {
		if status := fido2(t, pool, route, alice.ID, map[string]string{"credentialId": id}, &said); status != http.StatusUnauthorized || said.Message != "Re-authentication required" {
			t.Errorf("%s after 11 minutes: %d %+v", route, status, said)
		}
	}
	if own() != 1 {
		t.Errorf("after all attacks: %+v", list)
	}
	now = now.Add(-11 * time.Minute)
	if _, err := pool.Client().GlobalSignOut(t.Context(), &cognito.GlobalSignOutInput{AccessToken: &alice.Access}); err != nil {
		t.Fatal(err)
	}
	if status := fido2(t, pool, "authenticators/list?rpId=localhost", alice.ID, struct{}{}, &said); status != http.StatusUnauthorized {
		t.Errorf("a signed-out token lists passkeys: %d", status)
	}
}
