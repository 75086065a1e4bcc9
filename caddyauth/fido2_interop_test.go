package caddyauth

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/dynamotest"
	"github.com/caddy-cognito/passwordless/internal/npmtest"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// apiAnswer is what one side answers.
type apiAnswer struct {
	StatusCode int               `json:"statusCode"`
	Body       string            `json:"body"`
	Headers    map[string]string `json:"headers"`
}

// shapeOf replaces every value by its type, so that only members and types are compared.
func shapeOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any)
		for name := range maps.Keys(v) {
			out[name] = shapeOf(v[name])
		}
		return out
	case []any:
		out := []any{}
		for _, item := range v {
			out = append(out, shapeOf(item))
		}
		return out
	}
	return fmt.Sprintf("%T", v)
}

// The FIDO2 API and that of amazon-cognito-passwordless-auth, asked the same: status, members and types of the body, error texts, headers.
func TestFIDO2AnswersAsTheOtherSideDoes(t *testing.T) {
	database := dynamotest.Start(t)
	dynamotest.CreateAuthenticatorsTable(t, database, "Authenticators")
	other := npmtest.Start(t,
		"AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_ENDPOINT_URL_DYNAMODB="+*database.Options().BaseEndpoint,
		"ALLOWED_ORIGINS="+spa+","+portalOrigin, "ALLOWED_RELYING_PARTY_IDS=auth.example.com", "RELYING_PARTY_NAME=Example Corp", "USER_VERIFICATION=required",
		"REQUIRE_RESIDENT_KEY=required", "DYNAMODB_AUTHENTICATORS_TABLE=Authenticators", "CORS_ALLOWED_ORIGINS="+spa, "CORS_ALLOWED_METHODS=POST",
		"CORS_ALLOWED_HEADERS=Content-Type,Authorization", "CORS_MAX_AGE=86400")
	p := newPortal(t, shareWithSPA)
	b := p.browser()
	id := p.tokens(poolUser{annaSub, anna}, p.clock.Now()).ID
	ask := func(route, query, body string) (ours, theirs apiAnswer) {
		t.Helper()
		w := b.fromSPA(http.MethodPost, strings.TrimSuffix(route+"?"+query, "?"), body, id)
		ours = apiAnswer{w.Code, w.Body.String(), map[string]string{}}
		for name := range w.Header() {
			ours.Headers[name] = w.Header().Get(name)
		}
		module := "fido2-credentials-api"
		if route == "sign-in-challenge" {
			module = "fido2-challenge-api"
		}
		parameters, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		flat := map[string]string{}
		for name := range parameters {
			flat[name] = parameters.Get(name)
		}
		event := map[string]any{
			"path": "/" + route, "httpMethod": "POST", "queryStringParameters": flat, "body": body, "headers": map[string]string{"origin": spa},
			"requestContext": map[string]any{"authorizer": map[string]any{"claims": map[string]string{
				"token_use": "id", "sub": annaSub, "cognito:username": annaSub, "email": anna,
			}}},
		}
		got, err := other.Run(module, event)
		if err != nil || got[0].Error != "" {
			t.Fatalf("%s: %v %v", route, got, err)
		}
		p.unmarshal(string(got[0].Event), &theirs)
		return ours, theirs
	}
	compare := func(what string, ours, theirs apiAnswer, differs ...string) {
		t.Helper()
		if ours.StatusCode != theirs.StatusCode {
			t.Errorf("%s: %d %s, theirs %d %s", what, ours.StatusCode, ours.Body, theirs.StatusCode, theirs.Body)
			return
		}
		for _, name := range []string{"Content-Type", "Cache-Control", "Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age"} {
			if ours.StatusCode == http.StatusNoContent && name == "Content-Type" {
				continue // of no content
			}
			if ours.Headers[name] != theirs.Headers[name] {
				t.Errorf("%s: %s is %q, theirs %q", what, name, ours.Headers[name], theirs.Headers[name])
			}
		}
		if theirs.Body == "" || ours.Body == "" {
			if ours.Body != theirs.Body {
				t.Errorf("%s: body %q, theirs %q", what, ours.Body, theirs.Body)
			}
			return
		}
		var mine, their map[string]any
		p.unmarshal(ours.Body, &mine)
		p.unmarshal(theirs.Body, &their)
		for _, name := range differs {
			delete(mine, name)
			delete(their, name)
		}
		if !reflect.DeepEqual(shapeOf(mine), shapeOf(their)) {
			t.Errorf("%s:\n%s\ntheirs\n%s", what, ours.Body, theirs.Body)
		}
		if theirs.StatusCode/100 != 2 && !slices.Contains(differs, "message") && mine["message"] != their["message"] {
			t.Errorf("%s: %q, theirs %q", what, mine["message"], their["message"])
		}
	}

	for what, asked := range map[string][3]string{
		"no RP ID":              {"register-authenticator/start", "", ""},
		"a foreign RP ID":       {"register-authenticator/start", "rpId=evil.example", ""},
		"a list without RP ID":  {"authenticators/list", "", ""},
		"a list, foreign RP ID": {"authenticators/list", "rpId=evil.example", ""},
		"an empty list":         {"authenticators/list", "rpId=auth.example.com", ""},
		"no JSON":               {"authenticators/delete", "", "{"},
		"deleting the unknown":  {"authenticators/delete", "", `{"credentialId":"AAAA"}`},
		"renaming the unknown":  {"authenticators/update", "", `{"credentialId":"AAAA","friendlyName":"x"}`},
		"no such route":         {"authenticators/steal", "", ""},
		"a sign-in challenge":   {"sign-in-challenge", "", ""},
	} {
		ours, theirs := ask(asked[0], asked[1], asked[2])
		compare(what, ours, theirs)
	}
	// Texts for programmers may differ, statuses not.
	for what, asked := range map[string][2]string{
		"no ID":        {"authenticators/delete", `{}`},
		"a number":     {"authenticators/delete", `{"credentialId":1}`},
		"no name":      {"authenticators/update", `{"credentialId":"AAAA"}`},
		"no answer":    {"register-authenticator/complete", `{"friendlyName":"x"}`},
		"null":         {"authenticators/delete", `null`},
		"not base64":   {"register-authenticator/complete", `{"friendlyName":"x","attestationObjectB64":1,"clientDataJSON_B64":"x"}`},
		"no transport": {"register-authenticator/complete", `{"friendlyName":"x","attestationObjectB64":"AA","clientDataJSON_B64":"AA","transports":"usb"}`},
	} {
		ours, theirs := ask(asked[0], "", asked[1])
		compare(what, ours, theirs, "message")
	}

	// A whole life of a passkey: the device answers each side's own options.
	ours, theirs := ask("register-authenticator/start", "rpId=auth.example.com", "")
	compare("start", ours, theirs, "extensions") // theirs asks for none
	complete := func(a apiAnswer) string {
		var o passkey.CreationOptions
		p.unmarshal(a.Body, &o)
		made := passkeytest.NewAuthenticator(portalOrigin).Create(t, o)
		made.FriendlyName = "My key"
		body, err := json.Marshal(made)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	forOurs, forTheirs := complete(ours), complete(theirs)
	ours, _ = ask("register-authenticator/complete", "", forOurs)
	_, theirs = ask("register-authenticator/complete", "", forTheirs)
	compare("complete", ours, theirs)
	ours, theirs = ask("register-authenticator/complete", "", forOurs)
	compare("a used challenge", ours, theirs)
	ours, theirs = ask("authenticators/list", "rpId=auth.example.com", "")
	compare("the list", ours, theirs)
}
