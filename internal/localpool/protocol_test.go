package localpool

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
)

func post(p *Pool, target, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	p.Handler().ServeHTTP(w, r)
	return w
}

func TestMalformedRequests(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	for name, test := range map[string]struct {
		target, contentType, body string
		status                    int
		errorType, text           string
	}{
		"unknown operation":  {targetPrefix + "CreateUserPool", contentType, "{}", 400, typeUnknownOperation, "(CreateUserPool)"},
		"hostile operation":  {targetPrefix + "<script>", contentType, "{}", 400, typeUnknownOperation, "operation."},
		"another service":    {"DynamoDB_20120810.GetItem", contentType, "{}", 400, typeUnknownOperation, ""},
		"no target":          {"", contentType, "{}", 400, typeUnknownOperation, ""},
		"form from a page":   {targetPrefix + "SignUp", "text/plain", "{}", 400, typeUnknownOperation, "Content-Type"},
		"no JSON":            {targetPrefix + "SignUp", contentType, "Username=x", 400, typeSerialization, "JSON"},
		"null":               {targetPrefix + "SignUp", contentType, "null", 400, typeSerialization, "object"},
		"a list":             {targetPrefix + "SignUp", contentType, "[]", 400, typeSerialization, "object"},
		"two objects":        {targetPrefix + "SignUp", contentType, "{}{}", 400, typeSerialization, "goes on"},
		"wrong type":         {targetPrefix + "SignUp", contentType, `{"Username":1}`, 400, typeSerialization, "Username"},
		"deep":               {targetPrefix + "SignUp", contentType, strings.Repeat(`{"a":`, 5000), 400, typeSerialization, "deep"},
		"empty":              {targetPrefix + "SignUp", contentType, "", 400, typeSerialization, "object"},
		"no client":          {targetPrefix + "InitiateAuth", contentType, "{}", 400, typeInvalidParameter, "ClientId"},
		"too long":           {targetPrefix + "InitiateAuth", contentType, strings.Repeat(" ", maxRequest+1), 413, typeInvalidParameter, "longer"},
		"no session":         {targetPrefix + "RespondToAuthChallenge", contentType, `{"ClientId":"` + p.ClientID() + `","ChallengeName":"CUSTOM_CHALLENGE","ChallengeResponses":{"USERNAME":"a","ANSWER":"b"}}`, 400, typeInvalidParameter, "Session"},
		"name with controls": {targetPrefix + "InitiateAuth", contentType, `{"ClientId":"` + p.ClientID() + `","AuthFlow":"CUSTOM_AUTH","AuthParameters":{"USERNAME":"a\u0000b"}}`, 400, typeInvalidParameter, "characters"},
	} {
		t.Run(name, func(t *testing.T) {
			w := post(p, test.target, test.contentType, test.body)
			var f struct {
				Type    string `json:"__type"`
				Message string `json:"message"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &f); err != nil {
				t.Fatalf("%q: %v", w.Body, err)
			}
			if w.Code != test.status || f.Type != test.errorType || !strings.Contains(f.Message, test.text) {
				t.Errorf("got %d %+v", w.Code, f)
			}
			if !strings.HasPrefix(w.Header().Get("X-Amzn-Errortype"), test.errorType) || w.Header().Get("X-Amzn-Requestid") == "" || strings.Contains(w.Body.String(), "script") {
				t.Errorf("header %v, body %s", w.Header(), w.Body)
			}
		})
	}
}

func TestUnsupportedOperationThroughTheSDK(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	_, err := sdk(p).ForgotPassword(t.Context(), &cognito.ForgotPasswordInput{ClientId: aws.String(p.ClientID()), Username: aws.String("x")})
	refused(t, err, "UnknownOperationException", "does not support this operation (ForgotPassword)")
}

func TestDocuments(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	get := func(path string) (int, map[string]any) {
		t.Helper()
		answer, err := p.Client().Get(p.Endpoint() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		raw, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		var document map[string]any
		_ = json.Unmarshal(raw, &document)
		return answer.StatusCode, document
	}
	_, configuration := get("/" + p.UserPoolID() + "/.well-known/openid-configuration")
	if configuration["issuer"] != p.Issuer() || configuration["jwks_uri"] != p.Issuer()+"/.well-known/jwks.json" {
		t.Errorf("%v", configuration)
	}
	_, keys := get("/" + p.UserPoolID() + "/.well-known/jwks.json")
	list := keys["keys"].([]any)
	if len(list) != 1 {
		t.Fatalf("%v", keys)
	}
	// The key of magic links is not among them, and no private member of any key.
	key := list[0].(map[string]any)
	if key["alg"] != "RS256" || key["use"] != "sig" || key["kty"] != "RSA" || key["e"] != "AQAB" || key["d"] != nil {
		t.Errorf("%v", key)
	}
	for _, path := range []string{"/other_pool/.well-known/jwks.json", "/" + p.UserPoolID() + "/.well-known/x", "/x"} {
		if status, _ := get(path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	if _, err := p.Client().Get("http://169.254.169.254/"); err == nil {
		t.Error("the in-process client left the process")
	}
}

// Whatever is posted, the answer is of the protocol's form, and never a 5xx.
func FuzzRequest(f *testing.F) {
	p := openPool(f, testConfig(f, newClock()))
	for name := range operations {
		f.Add(name, []byte(`{}`))
		f.Add(name, []byte(`{"ClientId":"`+p.ClientID()+`","ClientSecret":"`+p.ClientSecret()+`","AuthFlow":"CUSTOM_AUTH","AuthParameters":{"USERNAME":"a@example.com"},`+
			`"ChallengeName":"CUSTOM_CHALLENGE","ChallengeResponses":{"USERNAME":"a","ANSWER":"b"},"Session":"s","Token":"t","RefreshToken":"r","AccessToken":"a.b.c",`+
			`"Username":"a@example.com","UserAttributes":[{"Name":"email","Value":null}],"ClientMetadata":{"k":"v"}}`))
	}
	f.Add("SignUp", []byte(`{"a":[[[["\u0000"]]]]}`))
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		w := post(p, targetPrefix+name, contentType, string(body))
		if w.Code >= 500 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Errorf("%q: %v", w.Body, err)
		}
		if _, failed := answer["__type"]; failed != (w.Code != 200) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
