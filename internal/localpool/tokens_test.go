package localpool

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/caddy-cognito/passwordless/internal/token"
)

func refresh(p *Pool, refreshToken string) (*types.AuthenticationResultType, error) {
	out, err := sdk(p).GetTokensFromRefreshToken(context.Background(), &cognito.GetTokensFromRefreshTokenInput{
		ClientId: aws.String(p.ClientID()), ClientSecret: aws.String(p.ClientSecret()), RefreshToken: aws.String(refreshToken),
	})
	if err != nil {
		return nil, err
	}
	return out.AuthenticationResult, nil
}

func TestRefreshWithoutRotation(t *testing.T) {
	c := newClock()
	p := openPool(t, testConfig(t, c))
	signUp(t, p, alice)
	first := signInByLink(t, p, alice)
	c.advance(10 * time.Minute)
	next, err := refresh(p, *first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if next.RefreshToken != nil {
		t.Error("a new refresh token came without rotation")
	}
	before, err := verifier(t, p).Verify(t.Context(), *first.AccessToken, token.Access)
	if err != nil {
		t.Fatal(err)
	}
	after, err := verifier(t, p).Verify(t.Context(), *next.AccessToken, token.Access)
	if err != nil {
		t.Fatal(err)
	}
	if after.OriginJTI != before.OriginJTI || !after.AuthTime.Equal(before.AuthTime) || !after.IssuedAt.After(before.IssuedAt) || after.JTI == before.JTI {
		t.Errorf("before %+v, after %+v", before, after)
	}
	// The older form, with the user name's hash.
	_, err = sdk(p).InitiateAuth(t.Context(), &cognito.InitiateAuthInput{
		ClientId: aws.String(p.ClientID()), AuthFlow: types.AuthFlowTypeRefreshTokenAuth,
		AuthParameters: map[string]string{"REFRESH_TOKEN": *first.RefreshToken, "SECRET_HASH": hash(p, before.Username)},
	})
	if err != nil {
		t.Error(err)
	}
	_, err = sdk(p).InitiateAuth(t.Context(), &cognito.InitiateAuthInput{
		ClientId: aws.String(p.ClientID()), AuthFlow: types.AuthFlowTypeRefreshTokenAuth,
		AuthParameters: map[string]string{"REFRESH_TOKEN": *first.RefreshToken, "SECRET_HASH": "x"},
	})
	refused(t, err, "NotAuthorizedException", "secret hash")
	_, err = sdk(p).GetTokensFromRefreshToken(t.Context(), &cognito.GetTokensFromRefreshTokenInput{
		ClientId: aws.String(p.ClientID()), ClientSecret: aws.String("guess"), RefreshToken: first.RefreshToken,
	})
	refused(t, err, "NotAuthorizedException", "secret")
	_, err = refresh(p, "never-issued")
	refused(t, err, "NotAuthorizedException", "Invalid Refresh Token")
	c.advance(30 * 24 * time.Hour)
	_, err = refresh(p, *first.RefreshToken)
	refused(t, err, "NotAuthorizedException", "Refresh Token has expired")
}

// Attack: a refresh token that was rotated out is used again.
func TestRefreshWithRotation(t *testing.T) {
	c := newClock()
	config := testConfig(t, c)
	config.RotateRefresh, config.RotationGrace = true, 10*time.Second
	p := openPool(t, config)
	signUp(t, p, alice)
	first := signInByLink(t, p, alice)
	second, err := refresh(p, *first.RefreshToken)
	if err != nil || second.RefreshToken == nil || *second.RefreshToken == *first.RefreshToken {
		t.Fatalf("%+v, %v", second, err)
	}
	if _, err := refresh(p, *first.RefreshToken); err != nil {
		t.Errorf("a retry in the grace period: %v", err)
	}
	c.advance(10 * time.Second)
	_, err = refresh(p, *first.RefreshToken)
	refused(t, err, "RefreshTokenReuseException", "rotated")
	if _, err := refresh(p, *second.RefreshToken); err != nil {
		t.Errorf("the successor: %v", err)
	}
	_, err = sdk(p).InitiateAuth(t.Context(), &cognito.InitiateAuthInput{
		ClientId: aws.String(p.ClientID()), AuthFlow: types.AuthFlowTypeRefreshTokenAuth,
		AuthParameters: map[string]string{"REFRESH_TOKEN": *second.RefreshToken},
	})
	refused(t, err, "InvalidParameterException", "rotation")
}

// Without a grace period, of parallel refreshes with one token exactly one succeeds.
func TestRotationRace(t *testing.T) {
	config := testConfig(t, newClock())
	config.RotateRefresh = true
	p := openPool(t, config)
	signUp(t, p, alice)
	first := signInByLink(t, p, alice)
	var wins atomic.Int32
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			if _, err := refresh(p, *first.RefreshToken); err == nil {
				wins.Add(1)
			}
		})
	}
	group.Wait()
	if n := wins.Load(); n != 1 {
		t.Errorf("%d refreshes with one token", n)
	}
}

func revoke(p *Pool, refreshToken string) error {
	_, err := sdk(p).RevokeToken(context.Background(), &cognito.RevokeTokenInput{
		ClientId: aws.String(p.ClientID()), ClientSecret: aws.String(p.ClientSecret()), Token: aws.String(refreshToken),
	})
	return err
}

func TestRevokeToken(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	signUp(t, p, alice)
	held := signInByLink(t, p, alice)
	if err := revoke(p, *held.RefreshToken); err != nil {
		t.Fatal(err)
	}
	if err := revoke(p, *held.RefreshToken); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if err := revoke(p, "never-issued"); err != nil {
		t.Errorf("an unknown token: %v", err)
	}
	_, err := refresh(p, *held.RefreshToken)
	refused(t, err, "NotAuthorizedException", "Refresh Token has been revoked")
	_, err = sdk(p).GetUser(t.Context(), &cognito.GetUserInput{AccessToken: held.AccessToken})
	refused(t, err, "NotAuthorizedException", "Access Token has been revoked")
	refused(t, revoke(p, *held.AccessToken), "UnsupportedTokenTypeException", "refresh")
}

func TestGlobalSignOut(t *testing.T) {
	c := newClock()
	p := openPool(t, testConfig(t, c))
	signUp(t, p, alice)
	signUp(t, p, "bob@example.com")
	one := signInByLink(t, p, alice)
	c.advance(2 * time.Minute)
	two := signInByLink(t, p, alice)
	other := signInByLink(t, p, "bob@example.com")
	if _, err := sdk(p).GlobalSignOut(t.Context(), &cognito.GlobalSignOutInput{AccessToken: one.AccessToken}); err != nil {
		t.Fatal(err)
	}
	for _, held := range []*types.AuthenticationResultType{one, two} {
		_, err := refresh(p, *held.RefreshToken)
		refused(t, err, "NotAuthorizedException", "Refresh Token has been revoked")
		_, err = sdk(p).GetUser(t.Context(), &cognito.GetUserInput{AccessToken: held.AccessToken})
		refused(t, err, "NotAuthorizedException", "Access Token has been revoked")
	}
	if _, err := refresh(p, *other.RefreshToken); err != nil {
		t.Errorf("another user: %v", err)
	}
}

// Attack: ID tokens, expired tokens, other pools' tokens and garbage in place of an access token.
func TestUserOperationsWantAnAccessToken(t *testing.T) {
	c := newClock()
	p := openPool(t, testConfig(t, c))
	other := openPool(t, testConfig(t, c))
	signUp(t, p, alice)
	signUp(t, other, alice)
	held, foreign := signInByLink(t, p, alice), signInByLink(t, other, alice)
	for _, raw := range []string{*held.IdToken, *foreign.AccessToken, "a.b.c", "x", *held.AccessToken + "x"} {
		_, err := sdk(p).GetUser(t.Context(), &cognito.GetUserInput{AccessToken: aws.String(raw)})
		refused(t, err, "NotAuthorizedException", "Invalid Access Token")
	}
	c.advance(time.Hour)
	_, err := sdk(p).GetUser(t.Context(), &cognito.GetUserInput{AccessToken: held.AccessToken})
	refused(t, err, "NotAuthorizedException", "Access Token has expired")
}

// What was acknowledged is there after a restart; tokens are not in the file.
func TestRestart(t *testing.T) {
	c := newClock()
	config := testConfig(t, c)
	p, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	sub := signUp(t, p, alice)
	held := signInByLink(t, p, alice)
	a := addPasskey(t, p, sub)
	poolID, clientID, secret := p.UserPoolID(), p.ClientID(), p.ClientSecret()
	c.advance(2 * time.Minute)
	link, _ := askLink(t, p, alice)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(config.Path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte(*held.RefreshToken)) || bytes.Contains(raw, []byte(fragment(t, link))) {
		t.Error("the file holds a token or a link")
	}
	if info, err := os.Stat(config.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Dir(config.Path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder's mode is %v, %v", info.Mode(), err)
	}
	p = openPool(t, config)
	if p.UserPoolID() != poolID || p.ClientID() != clientID || p.ClientSecret() != secret {
		t.Error("the pool has another name")
	}
	if _, err := verifier(t, p).Verify(t.Context(), *held.AccessToken, token.Access); err != nil {
		t.Errorf("the old access token: %v", err)
	}
	if _, err := refresh(p, *held.RefreshToken); err != nil {
		t.Errorf("the old refresh token: %v", err)
	}
	first := mustInitiate(t, p, alice)
	if _, err := respond(p, *first.Session, alice, assert(t, a, first), withKey); err != nil {
		t.Errorf("the passkey: %v", err)
	}
	useLink(t, p, alice, link)
}
