package zoo

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
)

// accessToken signs somebody in at the pool itself, as a program does: Cognito's protocol, a link by mail.
func (d *deployment) accessToken(email, pool string) string {
	d.t.Helper()
	client := d.clientID()
	type answer struct {
		ChallengeName        string
		Session              string
		AuthenticationResult struct{ AccessToken string }
	}
	call := func(operation string, body map[string]any) (a answer) {
		d.t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			d.t.Fatal(err)
		}
		r := d.request(http.MethodPost, "http://"+pool+"/", bytes.NewReader(text),
			"Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "AWSCognitoIdentityProviderService."+operation)
		response, err := direct.Do(r)
		if err != nil {
			d.t.Fatal(err)
		}
		defer response.Body.Close()
		if err := json.NewDecoder(response.Body).Decode(&a); err != nil || response.StatusCode != http.StatusOK {
			d.t.Fatalf("%s is answered %s: %v", operation, response.Status, err)
		}
		return a
	}
	respond := func(session, secret string) answer {
		return call("RespondToAuthChallenge", map[string]any{
			"ClientId": client, "ChallengeName": "CUSTOM_CHALLENGE", "Session": session,
			"ChallengeResponses": map[string]string{"USERNAME": email, "ANSWER": secret},
			"ClientMetadata":     map[string]string{"signInMethod": "MAGIC_LINK", "redirectUri": d.app + "/auth/link", "alreadyHaveMagicLink": "no"},
		})
	}
	known := len(d.mails(email))
	begun := call("InitiateAuth", map[string]any{"AuthFlow": "CUSTOM_AUTH", "ClientId": client, "AuthParameters": map[string]string{"USERNAME": email}})
	asked := respond(begun.Session, "__dummy__")
	_, secret, _ := strings.Cut(d.link(email, known), "#")
	token := respond(asked.Session, secret).AuthenticationResult.AccessToken
	if token == "" {
		d.t.Fatal("the pool issued no token")
	}
	return token
}

// clientID is that of the pool's app client, from Caddy's log.
func (d *deployment) clientID() string {
	d.t.Helper()
	found := regexp.MustCompile(`"client_id":"([^"]+)"`).FindStringSubmatch(d.caddy.tail())
	if found == nil {
		d.t.Fatalf("Caddy's log does not name the app client:\n%s", d.caddy.tail())
	}
	return found[1]
}
