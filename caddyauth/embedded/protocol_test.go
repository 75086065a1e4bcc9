package embedded

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
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
