package localpool

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
)

// An upgrade gives the pool an address, and so another issuer: who is signed in stays signed in, with every operation that takes a token.
func TestTokensFromBeforeThePoolHadAnAddress(t *testing.T) {
	var config Config
	p, c, access := withPhone(t, func(c *Config) { config = *c })
	c.advance(2 * time.Minute) // a person gets one link a minute
	refresh := *signInByLink(t, p, alice).RefreshToken
	old := p.Issuer()
	config.PublicURL = "http://localhost:9229"
	if err := p.Reconfigure(config); err != nil {
		t.Fatal(err)
	}
	if p.Issuer() == old || len(p.FormerIssuers()) != 1 || p.FormerIssuers()[0] != old {
		t.Fatalf("issuer %s, former %v, before %s", p.Issuer(), p.FormerIssuers(), old)
	}
	if _, err := sdk(p).GetUser(t.Context(), &cognito.GetUserInput{AccessToken: &access}); err != nil {
		t.Errorf("GetUser: %v", err)
	}
	code, asked := askCode(t, p, askForCode)
	if done, err := answerCode(p, asked.Session, access, code); err != nil || done.AuthenticationResult == nil {
		t.Errorf("step-up: %+v, %v", done, err)
	}
	refreshed, err := sdk(p).GetTokensFromRefreshToken(t.Context(), &cognito.GetTokensFromRefreshTokenInput{
		ClientId: aws.String(p.ClientID()), ClientSecret: aws.String(p.ClientSecret()), RefreshToken: &refresh,
	})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := p.keys.verifyToken(*refreshed.AuthenticationResult.AccessToken)
	if err != nil || claims["iss"] != "http://localhost:9229/"+p.UserPoolID() {
		t.Errorf("claims %v, %v", claims, err)
	}
}

// Issuers are compared whole. The pool's key signs other things too in time, and what names another issuer was not meant for this pool.
func TestAttackTokenOfAnotherIssuer(t *testing.T) {
	p, _, access := withPhone(t, func(c *Config) { c.PublicURL = "http://localhost:9229" })
	genuine, err := p.keys.verifyToken(access)
	if err != nil {
		t.Fatal(err)
	}
	for _, iss := range []any{"http://passwordless.internal/", "http://passwordless.internal/" + p.UserPoolID() + "x", "http://localhost:9230/" + p.UserPoolID(), "", nil, 1} {
		claims := map[string]any{}
		for name, value := range genuine {
			claims[name] = value
		}
		claims["iss"] = iss
		forged, err := p.keys.signToken(claims)
		if err != nil {
			t.Fatal(err)
		}
		_, err = sdk(p).GetUser(t.Context(), &cognito.GetUserInput{AccessToken: &forged})
		refused(t, err, "NotAuthorizedException", "Invalid Access Token")
	}
}
