package interop_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	cognitotypes "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/localpool"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

const anna = "anna@example.com"

// foreignPool is the embedded pool with the other side's triggers in the place of its own.
type foreignPool struct {
	*localpool.Pool
	client *cognito.Client
	node   *node
	aws    *fakeAWS
}

func startForeignPool(t *testing.T) foreignPool {
	t.Helper()
	database := startTable(t)
	createSecretsTable(t, database)
	services := startAWS(t)
	other := startNode(t,
		"AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"AWS_ENDPOINT_URL="+services.URL, "AWS_ENDPOINT_URL_DYNAMODB="+*database.Options().BaseEndpoint,
		"ALLOWED_ORIGINS="+ownSite, "ALLOWED_RELYING_PARTY_IDS="+ownRP, "RELYING_PARTY_ID="+ownRP, "RELYING_PARTY_NAME=Example",
		"FIDO2_ENABLED=TRUE", "USER_VERIFICATION=required", "DYNAMODB_AUTHENTICATORS_TABLE="+table, "STACK_ID=stack",
		"MAGIC_LINK_ENABLED=TRUE", "SES_FROM_ADDRESS=no-reply@example.com", "KMS_KEY_ID=alias/links", "DYNAMODB_SECRETS_TABLE=Secrets",
		"CLIENT_METADATA_PERSISTED_KEYS=signInMethod")
	// The Lambda Invoke API in front of Node: the pool calls these functions as Cognito calls an operator's.
	var one sync.Mutex
	mux := http.NewServeMux()
	invoke := httptest.NewServer(mux)
	t.Cleanup(invoke.Close)
	trigger := func(module string) localpool.Trigger {
		other.all(t, module) // loads it, for the pool waits five seconds only
		mux.HandleFunc("POST /2015-03-31/functions/"+module+"/invocations", func(w http.ResponseWriter, r *http.Request) {
			one.Lock()
			defer one.Unlock()
			event, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			got, err := other.handlers.Run(module, json.RawMessage(event))
			switch {
			case err != nil:
				http.Error(w, "{}", http.StatusInternalServerError)
			case got[0].Error != "":
				w.Header().Set("X-Amz-Function-Error", "Unhandled")
				if err := json.NewEncoder(w).Encode(map[string]string{"errorType": "Error", "errorMessage": got[0].Error}); err != nil {
					t.Error(err)
				}
			default:
				if _, err := w.Write(got[0].Event); err != nil {
					t.Error(err)
				}
			}
		})
		function, err := localpool.Lambda{Function: module, Endpoint: invoke.URL}.Trigger()
		if err != nil {
			t.Fatal(err)
		}
		return function
	}
	pool, err := localpool.Open(localpool.Config{
		Path: filepath.Join(t.TempDir(), "pool.db"), PublicClient: true,
		RedirectURIs: []string{"https://unused.example"}, // of the pool's own triggers, none of which is called
		Triggers: localpool.Triggers{
			PreSignUp: trigger(preSignUpModule), DefineAuthChallenge: trigger(defineModule), CreateAuthChallenge: trigger(createModule),
			VerifyAuthChallenge: trigger(verifyModule), PreTokenGeneration: trigger(preTokenModule),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	return foreignPool{Pool: pool, node: other, aws: services, client: cognito.New(cognito.Options{
		Region: "local", BaseEndpoint: aws.String(pool.Endpoint()), HTTPClient: pool.Client(),
		Credentials: aws.AnonymousCredentials{}, Retryer: aws.NopRetryer{},
	})}
}

// createSecretsTable makes the table of links of an existing deployment.
func createSecretsTable(t *testing.T, client *dynamodb.Client) {
	t.Helper()
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("Secrets"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("userNameHash"), AttributeType: types.ScalarAttributeTypeB}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("userNameHash"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (p foreignPool) begin(t *testing.T) *cognito.InitiateAuthOutput {
	t.Helper()
	out, err := p.client.InitiateAuth(t.Context(), &cognito.InitiateAuthInput{
		ClientId: aws.String(p.ClientID()), AuthFlow: cognitotypes.AuthFlowTypeCustomAuth, AuthParameters: map[string]string{"USERNAME": anna},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (p foreignPool) answer(t *testing.T, session *string, answer string, metadata map[string]string) (*cognito.RespondToAuthChallengeOutput, error) {
	t.Helper()
	return p.client.RespondToAuthChallenge(t.Context(), &cognito.RespondToAuthChallengeInput{
		ClientId: aws.String(p.ClientID()), ChallengeName: cognitotypes.ChallengeNameTypeCustomChallenge, Session: session,
		ChallengeResponses: map[string]string{"USERNAME": anna, "ANSWER": answer}, ClientMetadata: metadata,
	})
}

// TestPoolWithTheirTriggers signs up and signs in at the embedded pool, which asks nobody but the other side's triggers, through the Lambda
// Invoke API. Their SMS code is left out: it fetches the pool's keys from amazonaws.com, whatever the environment says.
func TestPoolWithTheirTriggers(t *testing.T) {
	p := startForeignPool(t)
	out, err := p.client.SignUp(t.Context(), &cognito.SignUpInput{
		ClientId: aws.String(p.ClientID()), Username: aws.String(anna), Password: aws.String("x-Long-random-1"),
		UserAttributes: []cognitotypes.AttributeType{{Name: aws.String("email"), Value: aws.String(anna)}},
	})
	if err != nil || !out.UserConfirmed {
		t.Fatalf("sign-up: %+v, %v", out, err)
	}
	t.Run("passkey", func(t *testing.T) {
		device := passkeytest.NewAuthenticator(ownSite)
		a := account{name: *out.UserSub, sub: *out.UserSub, email: anna}
		register(t, them{p.node}, a, device)
		metadata := map[string]string{challenge.KeySignInMethod: string(challenge.FIDO2)}
		first := p.begin(t)
		assertion := assertion(t, offer{PublicChallengeParameters: first.ChallengeParameters}, device).Encode()
		done, err := p.answer(t, first.Session, assertion, metadata)
		if err != nil || done.AuthenticationResult == nil {
			t.Fatalf("no tokens: %+v, %v", done, err)
		}
		_, err = p.answer(t, p.begin(t).Session, assertion, metadata)
		wantDenied(t, "replayed in another session", err)
	})
	t.Run("link", func(t *testing.T) {
		asked, err := p.answer(t, p.begin(t).Session, challenge.AnswerAuthParameters, map[string]string{
			challenge.KeySignInMethod: string(challenge.MagicLink), challenge.KeyRedirectURI: ownSite + "/auth/link", challenge.KeyAlreadyHaveMagicLink: "no",
		})
		if err != nil {
			t.Fatal(err)
		}
		before, fragment, found := strings.Cut(p.aws.lastMail(), "#")
		if !found || !strings.HasSuffix(before, ownSite+"/auth/link") {
			t.Fatalf("no link in the mail %q", p.aws.lastMail())
		}
		have := map[string]string{challenge.KeySignInMethod: string(challenge.MagicLink), challenge.KeyAlreadyHaveMagicLink: "yes"}
		done, err := p.answer(t, asked.Session, fragment, have)
		if err != nil || done.AuthenticationResult == nil {
			t.Fatalf("no tokens: %+v, %v", done, err)
		}
		_, err = p.answer(t, p.begin(t).Session, fragment, have)
		wantDenied(t, "a used link", err)
	})
}

// wantDenied tells a denial from a trigger that failed.
func wantDenied(t *testing.T, what string, err error) {
	t.Helper()
	var denied *cognitotypes.NotAuthorizedException
	if !errors.As(err, &denied) {
		t.Errorf("%s: %v, want NotAuthorizedException", what, err)
	}
}
