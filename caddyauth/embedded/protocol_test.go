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
