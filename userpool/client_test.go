package userpool

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

const (
	tokensAnswer = `{"AuthenticationResult":{"AccessToken":"a","IdToken":"i","RefreshToken":"r","ExpiresIn":3600,"TokenType":"Bearer"},"ChallengeParameters":{}}`
	roundAnswer  = `{"ChallengeName":"CUSTOM_CHALLENGE","ChallengeParameters":{"USERNAME":"4c1d","challenge":"PROVIDE_AUTH_PARAMETERS"},"Session":"s2"}`
)

// The hash of the name sent, "anna@example.com", under the secret "hush".
const annasHash = "yCwRqofdWeVSjlHA/VKCIQ6GpRYm9ABE9Ww+pmVM9XA="

func TestRequests(t *testing.T) {
	ctx := context.Background()
	cases := []struct {
		name, secret, target, answer, body string
		call                               func(*Client) (any, error)
		want                               any
	}{
		{
			name: "initiate", target: "InitiateAuth", answer: `{"ChallengeName":"CUSTOM_CHALLENGE","ChallengeParameters":{"USERNAME":"4c1d","fido2options":"{}"},"Session":"s1"}`,
			body: `{"AuthFlow":"CUSTOM_AUTH","ClientId":"1example23456789","AuthParameters":{"USERNAME":"anna@example.com"}}`,
			call: func(c *Client) (any, error) { return c.Initiate(ctx, "anna@example.com") },
			want: Challenge{Session: "s1", Username: "4c1d", Parameters: map[string]string{"USERNAME": "4c1d", "fido2options": "{}"}},
		},
		{
			name: "initiate with a secret, no name returned", secret: "hush", target: "InitiateAuth", answer: `{"ChallengeName":"CUSTOM_CHALLENGE","Session":"s1"}`,
			body: `{"AuthFlow":"CUSTOM_AUTH","ClientId":"1example23456789","AuthParameters":{"USERNAME":"anna@example.com","SECRET_HASH":"` + annasHash + `"}}`,
			call: func(c *Client) (any, error) { return c.Initiate(ctx, "anna@example.com") },
			want: Challenge{Session: "s1", Username: "anna@example.com"},
		},
		{
			name: "respond, next round", target: "RespondToAuthChallenge", answer: roundAnswer,
			body: `{"ChallengeName":"CUSTOM_CHALLENGE","ClientId":"1example23456789","ChallengeResponses":{"USERNAME":"anna@example.com","ANSWER":"__dummy__"},"ClientMetadata":{"signInMethod":"MAGIC_LINK"},"Session":"s1"}`,
			call: func(c *Client) (any, error) {
				return c.Respond(ctx, Response{Session: "s1", Username: "anna@example.com", Answer: "__dummy__", ClientMetadata: map[string]string{"signInMethod": "MAGIC_LINK"}})
			},
			want: Result{Challenge: &Challenge{Session: "s2", Username: "4c1d", Parameters: map[string]string{"USERNAME": "4c1d", "challenge": "PROVIDE_AUTH_PARAMETERS"}}},
		},
		{
			name: "respond, tokens", secret: "hush", target: "RespondToAuthChallenge", answer: tokensAnswer,
			body: `{"ChallengeName":"CUSTOM_CHALLENGE","ClientId":"1example23456789","ChallengeResponses":{"USERNAME":"anna@example.com","ANSWER":"m.s","SECRET_HASH":"` + annasHash + `"},"Session":"s1"}`,
			call: func(c *Client) (any, error) {
				return c.Respond(ctx, Response{Session: "s1", Username: "anna@example.com", Answer: "m.s"})
			},
			want: Result{Tokens: &Tokens{ID: "i", Access: "a", Refresh: "r", ExpiresIn: time.Hour}},
		},
		{
			name: "sign up", target: "SignUp", answer: `{"UserConfirmed":true,"UserSub":"4c1d"}`,
			body: `{"ClientId":"1example23456789","Username":"anna@example.com","Password":"` + strings.Repeat("A", 96) + `aA1!","UserAttributes":[{"Name":"email","Value":"anna@example.com"},{"Name":"name","Value":"Anna"}]}`,
			call: func(c *Client) (any, error) {
				return nil, c.SignUp(ctx, SignUp{Username: "anna@example.com", Attributes: map[string]string{"name": "Anna", "email": "anna@example.com"}})
			},
		},
		{
			name: "sign up with a secret and metadata", secret: "hush", target: "SignUp", answer: `{"UserConfirmed":true,"UserSub":"4c1d"}`,
			body: `{"ClientId":"1example23456789","Username":"anna@example.com","Password":"` + strings.Repeat("A", 96) + `aA1!","SecretHash":"` + annasHash + `","ClientMetadata":{"k":"v"}}`,
			call: func(c *Client) (any, error) {
				return nil, c.SignUp(ctx, SignUp{Username: "anna@example.com", ClientMetadata: map[string]string{"k": "v"}})
			},
		},
		{
			name: "refresh without rotation keeps the token; the secret itself is sent", secret: "hush", target: "GetTokensFromRefreshToken",
			answer: `{"AuthenticationResult":{"AccessToken":"a","IdToken":"i","ExpiresIn":300}}`,
			body:   `{"ClientId":"1example23456789","ClientSecret":"hush","RefreshToken":"old"}`,
			call:   func(c *Client) (any, error) { return c.Refresh(ctx, "old", "") },
			want:   Tokens{ID: "i", Access: "a", Refresh: "old", ExpiresIn: 5 * time.Minute},
		},
		{
			name: "refresh with rotation", target: "GetTokensFromRefreshToken", answer: tokensAnswer,
			body: `{"ClientId":"1example23456789","RefreshToken":"old"}`,
			call: func(c *Client) (any, error) { return c.Refresh(ctx, "old", "") },
			want: Tokens{ID: "i", Access: "a", Refresh: "r", ExpiresIn: time.Hour},
		},
		{
			name: "tokens of a pool that tracks devices", target: "RespondToAuthChallenge",
			answer: `{"AuthenticationResult":{"AccessToken":"a","IdToken":"i","RefreshToken":"r","ExpiresIn":3600,"NewDeviceMetadata":{"DeviceKey":"eu-west-1_d","DeviceGroupKey":"-g"}}}`,
			body:   `{"ChallengeName":"CUSTOM_CHALLENGE","ClientId":"1example23456789","ChallengeResponses":{"USERNAME":"anna@example.com","ANSWER":"m.s"},"Session":"s1"}`,
			call: func(c *Client) (any, error) {
				return c.Respond(ctx, Response{Session: "s1", Username: "anna@example.com", Answer: "m.s"})
			},
			want: Result{Tokens: &Tokens{ID: "i", Access: "a", Refresh: "r", ExpiresIn: time.Hour, Device: &Device{Key: "eu-west-1_d", GroupKey: "-g"}}},
		},
		{
			name: "refresh by a device", target: "GetTokensFromRefreshToken", answer: tokensAnswer,
			body: `{"ClientId":"1example23456789","DeviceKey":"eu-west-1_d","RefreshToken":"old"}`,
			call: func(c *Client) (any, error) { return c.Refresh(ctx, "old", "eu-west-1_d") },
			want: Tokens{ID: "i", Access: "a", Refresh: "r", ExpiresIn: time.Hour},
		},
		{
			name: "revoke takes the secret itself", secret: "hush", target: "RevokeToken", answer: `{}`,
			body: `{"ClientId":"1example23456789","ClientSecret":"hush","Token":"r"}`,
			call: func(c *Client) (any, error) { return nil, c.Revoke(ctx, "r") },
		},
		{
			name: "global sign-out", target: "GlobalSignOut", answer: `{}`, body: `{"AccessToken":"a"}`,
			call: func(c *Client) (any, error) { return nil, c.GlobalSignOut(ctx, "a") },
		},
		{
			name: "user", target: "GetUser", answer: `{"Username":"4c1d","UserAttributes":[{"Name":"sub","Value":"4c1d"},{"Name":"email_verified","Value":"true"}]}`,
			body: `{"AccessToken":"a"}`,
			call: func(c *Client) (any, error) { return c.User(ctx, "a") },
			want: User{Username: "4c1d", Attributes: map[string]string{"sub": "4c1d", "email_verified": "true"}},
		},
		{
			name: "attributes of a pool that verifies by itself", target: "UpdateUserAttributes",
			answer: `{"CodeDeliveryDetailsList":[{"AttributeName":"phone_number","DeliveryMedium":"SMS","Destination":"+*******5678"}]}`,
			body:   `{"AccessToken":"a","UserAttributes":[{"Name":"locale","Value":"de"},{"Name":"phone_number","Value":"+4915112345678"}]}`,
			call: func(c *Client) (any, error) {
				return c.UpdateAttributes(ctx, "a", map[string]string{"phone_number": "+4915112345678", "locale": "de"})
			},
			want: []string{"phone_number"},
		},
		{
			name: "attributes away", target: "DeleteUserAttributes", answer: `{}`, body: `{"AccessToken":"a","UserAttributeNames":["phone_number"]}`,
			call: func(c *Client) (any, error) { return nil, c.DeleteAttributes(ctx, "a", "phone_number") },
		},
		{
			name: "code for an attribute", target: "GetUserAttributeVerificationCode", answer: `{}`, body: `{"AccessToken":"a","AttributeName":"phone_number"}`,
			call: func(c *Client) (any, error) { return nil, c.SendAttributeCode(ctx, "a", "phone_number") },
		},
		{
			name: "attribute verified", target: "VerifyUserAttribute", answer: `{}`, body: `{"AccessToken":"a","AttributeName":"phone_number","Code":"123456"}`,
			call: func(c *Client) (any, error) { return nil, c.VerifyAttribute(ctx, "a", "phone_number", "123456") },
		},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			f, c := serve(t, tc.secret, answer{http.StatusOK, tc.answer})
			got, err := tc.call(c)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			r := f.only(t)
			if want := "AWSCognitoIdentityProviderService." + tc.target; r.target != want {
				t.Errorf("X-Amz-Target %q, want %q", r.target, want)
			}
			if r.contentType != "application/x-amz-json-1.1" {
				t.Errorf("Content-Type %q", r.contentType)
			}
			// Anonymous: nothing of the machine's AWS credentials leaves it.
			if len(r.authorization) != 0 {
				t.Errorf("Authorization header sent")
			}
			var want map[string]any
			if err := json.Unmarshal([]byte(tc.body), &want); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(r.body, want) {
				t.Errorf("body\n%v, want\n%v", r.body, want)
			}
		})
	}
}

// A challenge of the pool that this flow does not speak, such as an MFA step, is the operator's to mend.
func TestForeignAnswers(t *testing.T) {
	ctx := context.Background()
	for name, body := range map[string]string{
		"MFA challenge":   `{"ChallengeName":"SMS_MFA","Session":"s","ChallengeParameters":{}}`,
		"no session":      `{"ChallengeName":"CUSTOM_CHALLENGE"}`,
		"nothing":         `{}`,
		"no access token": `{"AuthenticationResult":{"IdToken":"i"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, c := serve(t, "", answer{http.StatusOK, body})
			if _, err := c.Initiate(ctx, "anna"); kindName(err) != "ErrNotConfigured" {
				t.Errorf("Initiate: %v", err)
			}
			if _, err := c.Respond(ctx, Response{Session: "s", Username: "anna", Answer: "x"}); kindName(err) != "ErrNotConfigured" {
				t.Errorf("Respond: %v", err)
			}
			if _, err := c.Refresh(ctx, "r", ""); kindName(err) != "ErrNotConfigured" {
				t.Errorf("Refresh: %v", err)
			}
		})
	}
}
