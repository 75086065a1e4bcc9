package e2e

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// cloud plays the parts of Cognito and DynamoDB that a sign-in by link needs, and fails when it is told to.
type cloud struct {
	*httptest.Server
	t   *testing.T
	key *rsa.PrivateKey

	mu     sync.Mutex
	broken map[string]http.HandlerFunc // by operation
	asked  map[string]int
	email  string // the only user
	links  []string
}

const (
	cloudPool   = "eu-west-1_Ab12Cd34E"
	cloudClient = "1example23456789"
	cloudSub    = "6a0f2f5e-1111-4222-8333-444455556666"
)

func startCloud(t *testing.T) *cloud {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{t: t, key: key, broken: make(map[string]http.HandlerFunc), asked: make(map[string]int)}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

// deploy starts the example with this cloud in the place of the embedded pool.
func (c *cloud) deploy(t *testing.T) *deployment {
	t.Helper()
	return deployFilled(t, map[string]string{"CLOUD": c.URL}, "user_pool embedded ./data/pool.db {\n\t\t\tinbox localhost:8025\n\t\t}",
		"user_pool cognito "+cloudPool+" {\n\t\t\tclient_id "+cloudClient+"\n\t\t\tendpoint CLOUD\n\t\t}\n"+
			"\t\tcredential_store dynamodb Authenticators {\n\t\t\tregion eu-west-1\n\t\t\tendpoint CLOUD\n\t\t}")
}

// breaks makes an operation fail until mends.
func (c *cloud) breaks(operation string, how http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken[operation] = how
	c.asked = make(map[string]int)
}

// mends is the end of all outages. It returns how often an operation was asked for since breaks.
func (c *cloud) mends(operation string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.broken)
	return c.asked[operation]
}

// link is the newest that was "mailed".
func (c *cloud) link() string {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.links) == 0 {
		c.t.Fatal("no link was mailed")
	}
	return c.links[len(c.links)-1]
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the caller is gone
	}
	if strings.HasSuffix(r.URL.Path, "/.well-known/jwks.json") {
		c.write(w, map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": encode(c.key.N.Bytes()), "e": encode(big.NewInt(int64(c.key.E)).Bytes()),
		}}})
		return
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[operation]++
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if how := c.broken[operation]; how != nil {
		how(w, r)
		return
	}
	var in struct {
		UserAttributes     []struct{ Name, Value string }
		ChallengeResponses struct{ ANSWER string }
		ClientMetadata     struct {
			RedirectURI string `json:"redirectUri"`
		}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		c.t.Errorf("%s was asked with %s: %v", operation, body, err)
	}
	challenge := map[string]any{
		"ChallengeName": "CUSTOM_CHALLENGE", "Session": rand.Text() + rand.Text(), "ChallengeParameters": map[string]string{"USERNAME": cloudSub},
	}
	switch operation {
	case "SignUp":
		c.email = in.UserAttributes[0].Value
		c.write(w, map[string]any{"UserConfirmed": true, "UserSub": cloudSub})
	case "InitiateAuth":
		c.write(w, challenge)
	case "RespondToAuthChallenge":
		if in.ChallengeResponses.ANSWER == "__dummy__" {
			c.links = append(c.links, in.ClientMetadata.RedirectURI+"#"+c.answer())
			c.write(w, challenge)
			return
		}
		for i, link := range c.links {
			if strings.HasSuffix(link, "#"+in.ChallengeResponses.ANSWER) {
				c.links = append(c.links[:i], c.links[i+1:]...) // each works once
				c.write(w, map[string]any{"AuthenticationResult": c.tokens(), "ChallengeParameters": map[string]string{}})
				return
			}
		}
		w.WriteHeader(http.StatusBadRequest)
		c.write(w, map[string]any{"__type": "NotAuthorizedException", "message": "Incorrect username or password."})
	case "Query":
		c.write(w, map[string]any{"Items": []any{}, "Count": 0, "ScannedCount": 0})
	default:
		c.write(w, map[string]any{})
	}
}

func (c *cloud) write(w io.Writer, value any) {
	if err := json.NewEncoder(w).Encode(value); err != nil {
		c.t.Logf("answering: %v", err) // the caller is gone
	}
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// answer is the secret part of a link.
func (c *cloud) answer() string {
	now := time.Now().Unix()
	message, err := json.Marshal(map[string]any{"userName": cloudSub, "iat": now, "exp": now + 900})
	if err != nil {
		panic(err) // cannot be
	}
	return encode(message) + "." + encode([]byte(rand.Text()))
}

func (c *cloud) tokens() map[string]any {
	now := time.Now().Unix()
	sign := func(claims map[string]any) string {
		for name, value := range map[string]any{
			"iss": "https://cognito-idp.eu-west-1.amazonaws.com/" + cloudPool, "sub": cloudSub, "iat": now, "auth_time": now, "exp": now + 3600,
			"jti": rand.Text(), "origin_jti": "family", "event_id": rand.Text(),
		} {
			claims[name] = value
		}
		payload, err := json.Marshal(claims)
		if err != nil {
			panic(err) // cannot be
		}
		signed := encode([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + encode(payload)
		digest := sha256.Sum256([]byte(signed))
		signature, err := rsa.SignPKCS1v15(rand.Reader, c.key, crypto.SHA256, digest[:])
		if err != nil {
			panic(err) // cannot be
		}
		return signed + "." + encode(signature)
	}
	return map[string]any{
		"IdToken": sign(map[string]any{
			"token_use": "id", "aud": cloudClient, "cognito:username": cloudSub, "email": c.email, "email_verified": true,
		}),
		"AccessToken": sign(map[string]any{
			"token_use": "access", "client_id": cloudClient, "username": cloudSub, "scope": "aws.cognito.signin.user.admin",
		}),
		"RefreshToken": "refresh", "ExpiresIn": 3600, "TokenType": "Bearer",
	}
}
