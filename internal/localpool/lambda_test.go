package localpool

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
)

// invokeAPI is the Lambda Invoke API with functions of the test. It notes what was called.
type invokeAPI struct {
	*httptest.Server
	mu        sync.Mutex
	functions map[string]Trigger
	calls     []string
	signed    []string
}

func serveFunctions(t *testing.T, functions map[string]Trigger) *invokeAPI {
	t.Helper()
	api := &invokeAPI{functions: functions}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", api.invoke)
	api.Server = httptest.NewServer(mux)
	t.Cleanup(api.Close)
	return api
}

func (a *invokeAPI) invoke(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	a.mu.Lock()
	a.calls = append(a.calls, name)
	a.signed = append(a.signed, r.Header.Get("Authorization"))
	function := a.functions[name]
	a.mu.Unlock()
	event, err := io.ReadAll(r.Body)
	if function == nil || err != nil {
		w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
		http.Error(w, `{"Type":"User","Message":"Function not found"}`, http.StatusNotFound)
		return
	}
	answer, err := function(r.Context(), event)
	var thrown *FunctionError
	if errors.As(err, &thrown) {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		answer, err = json.Marshal(map[string]string{"errorType": "Error", "errorMessage": thrown.Text})
	}
	if err != nil {
		http.Error(w, "{}", http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(answer)
}

func (a *invokeAPI) called() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

func (a *invokeAPI) trigger(t *testing.T, function string) Trigger {
	t.Helper()
	trigger, err := Lambda{
		Function: function, Endpoint: a.URL, Region: "eu-west-1", Credentials: awscredentials.NewStaticCredentialsProvider("key", "secret", ""),
	}.Trigger()
	if err != nil {
		t.Fatal(err)
	}
	return trigger
}

// An operator's own Lambdas in the place of all triggers: a whole sign-in through the Invoke API, signed, each call once.
func TestTriggersThroughTheInvokeAPI(t *testing.T) {
	config := testConfig(t, newClock())
	p := openPool(t, config)
	own := p.current.Load().triggers
	api := serveFunctions(t, map[string]Trigger{
		"presignup": own.PreSignUp, "define:live": own.DefineAuthChallenge, "create": own.CreateAuthChallenge,
		"arn:aws:lambda:eu-west-1:000000000000:function:verify": own.VerifyAuthChallenge, "pretoken": own.PreTokenGeneration,
	})
	config.Triggers = Triggers{
		PreSignUp: api.trigger(t, "presignup"), DefineAuthChallenge: api.trigger(t, "define:live"), CreateAuthChallenge: api.trigger(t, "create"),
		VerifyAuthChallenge: api.trigger(t, "arn:aws:lambda:eu-west-1:000000000000:function:verify"), PreTokenGeneration: api.trigger(t, "pretoken"),
	}
	if err := p.Reconfigure(config); err != nil {
		t.Fatal(err)
	}
	signUp(t, p, alice)
	claims, err := p.keys.verifyToken(*signInByLink(t, p, alice).IdToken)
	if err != nil || claims["sign_in_method"] != "MAGIC_LINK" {
		t.Errorf("claims %v, %v", claims, err)
	}
	verify := "arn:aws:lambda:eu-west-1:000000000000:function:verify"
	want := []string{"presignup", "define:live", "create", verify, "define:live", "create", "define:live", "create", verify, "define:live", "pretoken"}
	if got := api.called(); !slices.Equal(got, want) {
		t.Errorf("called %v\nwant   %v", got, want)
	}
	for _, header := range api.signed {
		if !strings.Contains(header, "Credential=key/") || !strings.Contains(header, "/eu-west-1/lambda/aws4_request") {
			t.Fatalf("signed as %q", header)
		}
	}
}

// What a function throws reaches the caller once; a function that cannot be reached is called three times and stays nameless.
func TestFunctionsThatFail(t *testing.T) {
	config := testConfig(t, newClock())
	p := openPool(t, config)
	signUp(t, p, alice)
	api := serveFunctions(t, map[string]Trigger{
		"throws": func(context.Context, []byte) ([]byte, error) { return nil, &FunctionError{Text: "not today"} },
		"broken": func(context.Context, []byte) ([]byte, error) { return nil, errors.New("5xx") },
		"empty":  func(context.Context, []byte) ([]byte, error) { return nil, nil },
		"text":   func(context.Context, []byte) ([]byte, error) { return []byte(`"hello"`), nil },
	})
	for function, want := range map[string]struct {
		code, text string
		calls      int
	}{
		"throws":  {"UserLambdaValidationException", "DefineAuthChallenge failed with error not today.", 1},
		"broken":  {"UnexpectedLambdaException", "DefineAuthChallenge invocation failed due to error", 3},
		"empty":   {"UnexpectedLambdaException", "DefineAuthChallenge invocation failed due to error", 3},
		"text":    {"InvalidLambdaResponseException", "Unrecognizable lambda output", 1},
		"missing": {"UnexpectedLambdaException", "DefineAuthChallenge invocation failed due to error", 3},
	} {
		before := len(api.called())
		c := config
		c.Triggers.DefineAuthChallenge = api.trigger(t, function)
		if err := p.Reconfigure(c); err != nil {
			t.Fatal(err)
		}
		_, err := initiate(p, alice)
		refused(t, err, want.code, want.text)
		if strings.Contains(err.Error(), api.URL) || strings.Contains(err.Error(), "Function not found") {
			t.Errorf("%s: the error shows how the pool is set up: %v", function, err)
		}
		if calls := len(api.called()) - before; calls != want.calls {
			t.Errorf("%s: %d calls, want %d", function, calls, want.calls)
		}
	}
}

func TestThrown(t *testing.T) {
	for payload, want := range map[string]string{
		`{"errorMessage":"no","errorType":"Error"}`: "no", `{"errorMessage":"","errorType":"Error"}`: "", `{"errorType":"Runtime.ExitError"}`: "Runtime.ExitError",
		`{"errorMessage":null}`: "null", `[]`: "null", ``: "null",
	} {
		if got := thrown([]byte(payload)).Text; got != want {
			t.Errorf("%s: %q, want %q", payload, got, want)
		}
	}
}

func TestLambdaSettings(t *testing.T) {
	keys := awscredentials.NewStaticCredentialsProvider("key", "secret", "")
	for name, tc := range map[string]struct {
		lambda Lambda
		want   string
	}{
		"Amazon":                    {Lambda{Function: "define", Region: "eu-west-1", Credentials: keys}, ""},
		"an endpoint alone":         {Lambda{Function: "define", Endpoint: "http://127.0.0.1:3001"}, ""},
		"no function":               {Lambda{Endpoint: "http://127.0.0.1:3001"}, "is not the name"},
		"a path for a name":         {Lambda{Function: "../x", Endpoint: "http://127.0.0.1:3001"}, "is not the name"},
		"a query for a name":        {Lambda{Function: "x?y", Endpoint: "http://127.0.0.1:3001"}, "is not the name"},
		"an address for a URL":      {Lambda{Function: "define", Endpoint: "127.0.0.1:3001"}, "not an endpoint"},
		"a password in the URL":     {Lambda{Function: "define", Endpoint: "http://u:p@127.0.0.1"}, "not an endpoint"},
		"neither":                   {Lambda{Function: "define", Credentials: keys}, "in which region"},
		"Amazon without a key":      {Lambda{Function: "define", Region: "eu-west-1"}, "wants credentials"},
		"an endpoint with a scheme": {Lambda{Function: "define", Endpoint: "file:///etc"}, "not an endpoint"},
	} {
		_, err := tc.lambda.Trigger()
		if err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: the error shows the password", name)
		}
		if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func FuzzFunctionName(f *testing.F) {
	for _, name := range []string{"define", "define:live", "arn:aws:lambda:eu-west-1:000000000000:function:verify", "a/../b", "a b", "%2e%2e", ""} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if _, err := (Lambda{Function: name, Endpoint: "http://127.0.0.1:1"}).Trigger(); err == nil && strings.ContainsAny(name, "/?#% .\\\r\n") {
			t.Errorf("%q changes the path of the call", name)
		}
	})
}
