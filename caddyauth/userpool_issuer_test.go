package caddyauth

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/internal/token"
)

// A pool at another endpoint whose tokens name another issuer: nobody is signed in, and the log says what to configure.
func TestTokensOfAnotherIssuerAreExplained(t *testing.T) {
	p := newPortal(t)
	verifier, err := token.NewVerifier(token.Options{
		Issuer: "https://cognito-idp.eu-west-1.amazonaws.com/p", JWKSURL: "https://pool.example.com/jwks", ClientIDs: []string{"client"},
		HTTPClient: &http.Client{Transport: roundTrip(p.jwks)}, Now: p.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	p.rt.verifier = verifier
	b := p.browser()
	_, mailed := b.askForLink(anna, appOrigin+"/")
	b.useLink(mailed, p.pool.lastLink)
	if _, ok := b.session(); ok {
		t.Fatal("signed in")
	}
	logged := p.logs.FilterMessageSnippet("set the option issuer").All()
	if len(logged) == 0 {
		t.Fatal("nothing is logged")
	}
	text, _ := logged[0].ContextMap()["error"].(string)
	for _, issuer := range []string{"https://pool.example.com/p", "https://cognito-idp.eu-west-1.amazonaws.com/p"} {
		if !strings.Contains(text, issuer) {
			t.Errorf("%q lacks %s", text, issuer)
		}
	}
}

func TestCognitoIssuerOption(t *testing.T) {
	parse := func(issuer string) (*CognitoUserPool, error) {
		c := new(CognitoUserPool)
		input := "cognito local_Ab12Cd34E {\n client_id abc\n endpoint http://127.0.0.1:9229\n issuer " + issuer + "\n}"
		if err := c.UnmarshalCaddyfile(caddyfile.NewTestDispenser(input)); err != nil {
			return nil, err
		}
		return c, c.Provision(caddy.Context{})
	}
	const issuer = "http://127.0.0.1:9229/local_Ab12Cd34E"
	c, err := parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := c.OpenUserPool(t.Context(), RealmSettings{})
	if err != nil || opened.Issuer != issuer || opened.JWKSURL != issuer+"/.well-known/jwks.json" {
		t.Errorf("opened %+v, %v", opened, err)
	}
	for _, wrong := range []string{"127.0.0.1:9229", "ftp://x/y", "https://x/y?z"} {
		if _, err := parse(wrong); err == nil || !strings.Contains(err.Error(), "openid-configuration") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// The embedded pool gets an address, and with it another issuer: tokens from before still open sessions and step-ups. Those of an issuer that
// was not named do not.
func TestTokensOfAFormerIssuer(t *testing.T) {
	for name, test := range map[string]struct {
		former []string
		want   bool
	}{
		"named":      {[]string{"https://pool.example.com/p"}, true},
		"not named":  {nil, false},
		"its prefix": {[]string{"https://pool.example.com/"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPortal(t)
			err := p.rt.openVerifier(OpenedPool{
				Issuer: "http://localhost:9229/p", FormerIssuers: test.former, JWKSURL: "https://pool.example.com/jwks", ClientID: "client",
				HTTPClient: &http.Client{Transport: roundTrip(p.jwks)},
			})
			if err != nil {
				t.Fatal(err)
			}
			b := p.browser()
			_, mailed := b.askForLink(anna, appOrigin+"/")
			b.useLink(mailed, p.pool.lastLink)
			if _, ok := b.session(); ok != test.want {
				t.Errorf("signed in: %v, want %v", ok, test.want)
			}
		})
	}
}
