package embedded

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"

	"github.com/caddy-cognito/passwordless/userpool"
)

// An administrator of a home server uses an AWS client beside the running server; whoever has no key, or comes by a name that is not of this
// machine, gets nothing.
func TestAdministratorBesideTheServer(t *testing.T) {
	address := freePort(t)
	p := &UserPool{Path: t.TempDir(), Protocol: address, AdminKey: &AdminKey{ID: "operator", Secret: "a-secret-for-tests-only"}}
	pool := opened(t, p, realmSettings(t))
	client := func(secret string) *cognito.Client {
		return cognito.New(cognito.Options{
			Region: "local", BaseEndpoint: aws.String("http://" + address), Credentials: credentials.NewStaticCredentialsProvider("operator", secret, ""), Retryer: aws.NopRetryer{},
		})
	}
	id := aws.String(pool.Issuer[strings.LastIndexByte(pool.Issuer, '/')+1:])
	_, err := client("a-secret-for-tests-only").AdminCreateUser(t.Context(), &cognito.AdminCreateUserInput{UserPoolId: id, Username: aws.String("alice@example.com")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Admin.Subject(t.Context(), "alice@example.com"); err != nil {
		t.Errorf("the server does not know the user: %v", err)
	}
	if _, err := client("another-secret-for-tests").ListUsers(t.Context(), &cognito.ListUsersInput{UserPoolId: id}); err == nil {
		t.Error("another secret lists the users")
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/"+*id+"/.well-known/jwks.json", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{address: http.StatusOK, "rebound.example.com": http.StatusMisdirectedRequest} {
		request.Host = host
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != want || answer.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d, %v", host, answer.StatusCode, answer.Header)
		}
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		_ = conn.Close()
		t.Error("the port is still open")
	}
}

// A port that is taken fails the start, and leaves the file free.
func TestProtocolPortTaken(t *testing.T) {
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p := &UserPool{Path: dir, Protocol: taken.Addr().String()}
	if err := provision(t, p); err != nil {
		t.Fatal(err)
	}
	if _, err := p.OpenUserPool(t.Context(), realmSettings(t)); err == nil || !strings.Contains(err.Error(), "protocol") {
		t.Fatalf("got %v", err)
	}
	pool := opened(t, &UserPool{Path: dir}, realmSettings(t))
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
}

// Scripts of the listed origins may read the pool's answers, and need no secret of the app client; those of others may not.
func TestScriptsOfListedOrigins(t *testing.T) {
	address := freePort(t)
	p := &UserPool{Path: t.TempDir(), Protocol: address, BrowserClient: []string{"http://localhost:3000/"}}
	pool := opened(t, p, realmSettings(t))
	ask := func(method, origin, operation, body string) *http.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+"/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", origin)
		request.Header.Set("Content-Type", "application/x-amz-json-1.1")
		request.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService."+operation)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	signUp := `{"ClientId":"` + pool.ClientID + `","Username":"alice@example.com","Password":"a-Long-random-1"}`
	if r := ask(http.MethodOptions, "http://localhost:3000", "", ""); r.StatusCode != http.StatusNoContent || !strings.Contains(r.Header.Get("Access-Control-Allow-Headers"), "X-Amz-Target") {
		t.Errorf("preflight: %d, %v", r.StatusCode, r.Header)
	}
	if r := ask(http.MethodPost, "http://localhost:3000", "SignUp", signUp); r.StatusCode != http.StatusOK || r.Header.Get("Access-Control-Allow-Origin") != "http://localhost:3000" {
		t.Errorf("listed origin: %d, %v", r.StatusCode, r.Header)
	}
	if r := ask(http.MethodPost, "http://localhost:3000.example.com", "SignUp", signUp); r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin may read the answer: %v", r.Header)
	}
	if r := ask(http.MethodOptions, "https://example.com", "", ""); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight of another origin: %d, %v", r.StatusCode, r.Header)
	}
}

// Attack: accounts without end, made at the pool's own address instead of the portal's. The realm's limits hold there, for new names and for
// those that have an account; what costs nothing is not counted; the portal's own sign-ups and operations of administrators have limits elsewhere.
func TestSignUpsPastThePortal(t *testing.T) {
	address := freePort(t)
	p := &UserPool{Path: t.TempDir(), Protocol: address, BrowserClient: []string{"http://localhost:3000"}}
	settings := realmSettings(t)
	var asked []string
	settings.SignUpWait = func(address string) time.Duration {
		if asked = append(asked, address); len(asked) > 3 {
			return 1500 * time.Millisecond
		}
		return 0
	}
	pool := opened(t, p, settings)
	signUp := func(client, name string) *http.Response {
		t.Helper()
		body := `{"ClientId":"` + client + `","Username":"` + name + `","Password":"a-Long-random-1"}`
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-amz-json-1.1")
		request.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService.SignUp")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	for range 5 {
		signUp("another-client", "mallory@example.com")
		signUp(pool.ClientID, "no address")
	}
	for i := range 3 {
		if r := signUp(pool.ClientID, fmt.Sprintf("junk%d@example.com", i)); r.StatusCode != http.StatusOK {
			t.Errorf("account %d: %d", i, r.StatusCode)
		}
	}
	for _, name := range []string{"junk3@example.com", "junk0@example.com"} {
		r := signUp(pool.ClientID, name)
		if r.StatusCode != http.StatusBadRequest || r.Header.Get("X-Amzn-Errortype") != "TooManyRequestsException:" || r.Header.Get("Retry-After") != "2" {
			t.Errorf("%s: %d, %v", name, r.StatusCode, r.Header)
		}
	}
	if _, err := pool.Admin.Subject(t.Context(), "junk3@example.com"); err == nil {
		t.Error("the account was made all the same")
	}
	if strings.Join(asked, " ") != strings.TrimSpace(strings.Repeat("127.0.0.1 ", 5)) {
		t.Errorf("counted for %q", asked)
	}
	if err := pool.Pool.SignUp(t.Context(), userpool.SignUp{Username: "from-the-portal@example.com"}); err != nil || len(asked) != 5 {
		t.Errorf("the portal's own sign-up: %v, counted %d times", err, len(asked))
	}
}
