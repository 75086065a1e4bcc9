// Package cognitotest is an Amazon Cognito user pool for the tests of other Go programs, as net/http/httptest is a server for them: it listens on a
// port of this machine, keeps its data in a temporary folder, and is gone when the test ends. It needs no network and no account.
//
//	pool := cognitotest.NewPool(t)
//	client := pool.Client() // Amazon's own SDK
//	user := pool.AddUser(t, "alice@example.com")
//	tokens := pool.SignIn(t, "alice@example.com")
//
// Passkeys are added by the FIDO2 API at [Pool.FIDO2URL], with a user's ID token; package passkey/passkeytest has an authenticator in software.
//
// The pool signs people in without passwords: by passkey, by a link in a mail, and, as a second step, by a code in an SMS. What it sends can be read
// with [Pool.Messages]. Tokens are signed with a key of the pool's own, which is published at [Pool.JWKSURL] as Cognito does. How it differs
// from Cognito is in docs/embedded.md of this module.
package cognitotest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"

	"github.com/caddy-cognito/passwordless/internal/localpool"
)

// Config is what a test may want otherwise. Every zero value has a default.
type Config struct {
	// Region of the pool and its administrators' key. Default: "local".
	Region string
	// ClientSecret gives the app client a secret. Default: it has none.
	ClientSecret bool
	// RelyingPartyID of passkeys, and the Origins that may use them. Default: "localhost" and "http://localhost".
	RelyingPartyID string
	Origins        []string
	// RedirectURIs are where sign-in links may point: origin and path prefixes. Default: "http://localhost/".
	RedirectURIs []string
	// AccessTokenLifetime of ID and access tokens, 5 minutes to a day. Default: 1 hour.
	AccessTokenLifetime time.Duration
	// RotateRefresh gives out a new refresh token at each refresh. Default: false.
	RotateRefresh bool
	// CustomAttributes are the names, without "custom:", of further attributes that administrators may set; users may set those of
	// WritableCustomAttributes too. Default: none.
	CustomAttributes, WritableCustomAttributes []string
	// SignUp is "open", "invitation" (only AdminCreateUser makes users) or "closed". Default: "open".
	SignUp string
	// Now is the pool's clock. Requests of [Pool.Client] are signed by the real time, so operations of administrators need a clock that is less
	// than 5 minutes off. Default: time.Now.
	Now func() time.Time
	// PreTokenGeneration takes the place of that trigger: it gets the event of version V2_0 as JSON and returns it with its response. Default: the
	// claims sign_in_method and auth_methods.
	PreTokenGeneration func(ctx context.Context, event []byte) ([]byte, error)
}

// Pool is a running user pool with one app client. It is safe for concurrent use.
type Pool struct {
	Endpoint     string // base URL of Cognito's protocol, for an SDK's endpoint setting
	Region       string
	UserPoolID   string
	ClientID     string
	ClientSecret string // "" without Config.ClientSecret
	Issuer       string // "iss" of tokens
	JWKSURL      string // the keys that tokens are signed with
	FIDO2URL     string // base URL of the API by which users add and manage passkeys, with their ID token

	// The key of an administrator, who may make, list, change and delete users and groups.
	AccessKeyID, SecretAccessKey string

	redirect string
	pool     *localpool.Pool
	server   *httptest.Server
}

// NewPool starts a pool that ends with the test. Making its keys takes some tenths of a second; tests that mind share a pool by [Open].
func NewPool(t testing.TB, change ...func(*Config)) *Pool {
	t.Helper()
	p, err := Open(t.TempDir(), change...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Open starts a pool that keeps its data in a folder, for a TestMain or a program of one's own. The pool has the same users and keys when it is
// opened there again.
func Open(folder string, change ...func(*Config)) (*Pool, error) {
	c := Config{RelyingPartyID: "localhost", Origins: []string{"http://localhost"}, RedirectURIs: []string{"http://localhost/"}}
	for _, f := range change {
		f(&c)
	}
	path, err := filepath.Abs(filepath.Join(folder, "pool.db"))
	if err != nil {
		return nil, fmt.Errorf("cognitotest: %w", err)
	}
	if len(c.RedirectURIs) == 0 {
		return nil, errors.New("cognitotest: sign-in links need a redirect URI")
	}
	server := httptest.NewUnstartedServer(nil)
	p := &Pool{
		Endpoint: "http://" + server.Listener.Addr().String(), AccessKeyID: "cognitotest", SecretAccessKey: rand.Text(), redirect: c.RedirectURIs[0], server: server,
	}
	settings := localpool.Config{
		Path: path, Region: c.Region, PublicClient: !c.ClientSecret, PublicURL: p.Endpoint, RedirectURIs: c.RedirectURIs, SMSStepUp: true,
		AccessTokenLifetime: c.AccessTokenLifetime, RotateRefresh: c.RotateRefresh, SignUp: localpool.SignUpPolicy{Mode: c.SignUp},
		CustomAttributes: c.CustomAttributes, WritableCustomAttributes: c.WritableCustomAttributes,
		AdminKeys: map[string]string{p.AccessKeyID: p.SecretAccessKey}, Now: c.Now,
	}
	settings.AddRelyingParty(c.RelyingPartyID, c.Origins)
	settings.PreTokenVersion = localpool.PreTokenV2
	if c.PreTokenGeneration != nil {
		settings.Triggers.PreTokenGeneration = c.PreTokenGeneration
	}
	if p.pool, err = localpool.Open(settings); err != nil {
		return nil, errors.Join(fmt.Errorf("cognitotest: %w", err), server.Listener.Close())
	}
	p.Region, p.UserPoolID, p.ClientID, p.ClientSecret = p.pool.Region(), p.pool.UserPoolID(), p.pool.ClientID(), p.pool.ClientSecret()
	p.Issuer = p.pool.Issuer()
	p.JWKSURL = p.Issuer + "/.well-known/jwks.json"
	p.FIDO2URL = p.Endpoint + localpool.FIDO2Path
	server.Config.Handler = p.pool.HandlerWithFIDO2()
	server.Start()
	return p, nil
}

// Close ends the pool, after the requests that are under way.
func (p *Pool) Close() error {
	p.server.Close()
	return p.pool.Close()
}

// Client is Amazon's SDK for this pool, with the administrator's key.
func (p *Pool) Client() *cognito.Client {
	return cognito.New(cognito.Options{
		Region: p.Region, BaseEndpoint: aws.String(p.Endpoint), Credentials: credentials.NewStaticCredentialsProvider(p.AccessKeyID, p.SecretAccessKey, ""),
		Retryer: aws.NopRetryer{}, // a repeated answer would use up the Session of a sign-in
	})
}
