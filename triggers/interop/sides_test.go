package interop_test

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/dynamotest"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/dynamo"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

type (
	createEvent = events.CognitoEventUserPoolsCreateAuthChallenge
	verifyEvent = events.CognitoEventUserPoolsVerifyAuthChallenge
	offer       = events.CognitoEventUserPoolsCreateAuthChallengeResponse
)

// The deployment that both sides believe to be: two relying parties, each with a site.
const (
	table      = "Authenticators"
	ownRP      = "example.com"
	ownSite    = "https://app.example.com"
	secondRP   = "example.org"
	secondSite = "https://www.example.org"
)

// account is a user of the pool.
type account struct{ name, sub, email string }

func newAccount() account {
	sub := newUUID()
	return account{name: sub, sub: sub, email: "anna@example.com"}
}

func newUUID() string {
	const digits = "0123456789abcdef"
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	for i := range raw {
		raw[i] = digits[raw[i]%16]
	}
	s := string(raw)
	return strings.Join([]string{s[:8], s[8:12], s[12:16], s[16:20], s[20:]}, "-")
}

func (a account) attributes() map[string]string {
	return map[string]string{"sub": a.sub, "email": a.email}
}

// side is one implementation of the triggers and of the passkey API.
type side interface {
	// offer is round one.
	offer(t testing.TB, a account) offer
	// check reports whether Verify passes an assertion for a session with those private parameters.
	check(t testing.TB, a account, private map[string]string, answer challenge.PasskeyAnswer) bool
	start(t testing.TB, a account, rpID string) []byte
	// complete answers with the credential's JSON, or with the message for the browser.
	complete(t testing.TB, a account, in passkey.Attestation) (id, message string)
	// usernameless is a challenge that belongs to no session.
	usernameless(t testing.TB) string
	list(t testing.TB, a account) map[string]string // names by credential ID
	rename(t testing.TB, a account, id, name string)
	remove(t testing.TB, a account, id string)
}

// sides starts both on one table of DynamoDB Local.
type sides struct {
	ours, theirs side
	store        *dynamo.Store
}

func newSides(t testing.TB, client *dynamodb.Client, exposeIDs bool) sides {
	t.Helper()
	flag := ""
	if exposeIDs {
		flag = "TRUE"
	}
	store := &dynamo.Store{Client: client, Table: table}
	settings := passkey.Settings{RelyingParties: []passkey.RelyingParty{
		{ID: ownRP, Name: "Example", Origins: []string{ownSite}}, {ID: secondRP, Name: "Example", Origins: []string{secondSite}},
	}}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	ours := us{
		create:     &create.Handler{Secret: secret, Passkeys: &create.Passkeys{Credentials: store, RelyingPartyID: ownRP, ExposeCredentialIDs: exposeIDs}},
		verify:     &verify.Handler{Passkeys: &verify.Passkeys{Checker: settings, Credentials: store}},
		ceremonies: &passkey.Ceremonies{Settings: settings, Store: store},
	}
	for _, err := range []error{ours.create.Validate(), ours.verify.Validate(), settings.Validate()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	other := startNode(t,
		"AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"AWS_ENDPOINT_URL_DYNAMODB="+*client.Options().BaseEndpoint,
		"ALLOWED_ORIGINS="+ownSite+","+secondSite, "ALLOWED_RELYING_PARTY_IDS="+ownRP+","+secondRP,
		"RELYING_PARTY_ID="+ownRP, "RELYING_PARTY_NAME=Example", "FIDO2_ENABLED=TRUE", "USER_VERIFICATION=required", "REQUIRE_RESIDENT_KEY=required",
		"DYNAMODB_AUTHENTICATORS_TABLE="+table, "STACK_ID=arn:aws:cloudformation:stack", "EXPOSE_USER_CREDENTIAL_IDS="+flag)
	return sides{ours: ours, theirs: them{other}, store: store}
}

// startTable runs DynamoDB Local with the table of passkeys.
func startTable(t testing.TB) *dynamodb.Client {
	client := dynamotest.Start(t)
	dynamotest.CreateAuthenticatorsTable(t, client, table)
	return client
}

func (s sides) named() map[string]side { return map[string]side{"ours": s.ours, "theirs": s.theirs} }

// register adds a new passkey by one side's ceremony.
func register(t testing.TB, by side, a account, device *passkeytest.Authenticator) string {
	t.Helper()
	id, message := by.complete(t, a, answerTo(t, by.start(t, a, ownRP), device))
	if message != "" {
		t.Fatalf("a new passkey is refused: %s", message)
	}
	return id
}

func answerTo(t testing.TB, options []byte, device *passkeytest.Authenticator, forge ...passkeytest.Forge) passkey.Attestation {
	t.Helper()
	var o passkey.CreationOptions
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	in := device.Create(t, o, forge...)
	in.FriendlyName = "Anna's key"
	return in
}

// assertion answers an offer with the passkey of a device.
func assertion(t testing.TB, o offer, device *passkeytest.Authenticator, forge ...passkeytest.Forge) challenge.PasskeyAnswer {
	t.Helper()
	options, err := challenge.ParsePasskeyOptions(o.PublicChallengeParameters[challenge.ParamFIDO2Options])
	if err != nil {
		t.Fatal(err)
	}
	request := passkey.RequestOptions{Challenge: options.Challenge, RPID: options.RelyingPartyID}
	for _, c := range options.Credentials {
		request.AllowCredentials = append(request.AllowCredentials, passkey.Descriptor{ID: c.ID, Type: "public-key", Transports: c.Transports})
	}
	return device.Get(t, request, forge...)
}

func createFor(a account) createEvent {
	e := createEvent{}
	e.UserName, e.UserPoolID, e.CallerContext.ClientID = a.name, "eu-west-1_Ab12Cd34E", "1example23456789"
	e.Request.UserAttributes, e.Request.Session = a.attributes(), []*round{}
	return e
}

func verifyFor(a account, private map[string]string, answer challenge.PasskeyAnswer) verifyEvent {
	e := verifyEvent{}
	e.UserName, e.UserPoolID, e.CallerContext.ClientID = a.name, "eu-west-1_Ab12Cd34E", "1example23456789"
	e.Request.UserAttributes, e.Request.PrivateChallengeParameters = a.attributes(), private
	e.Request.ChallengeAnswer = answer.Encode()
	e.Request.ClientMetadata = map[string]string{challenge.KeySignInMethod: string(challenge.FIDO2)}
	return e
}

// us is our side.
type us struct {
	create     *create.Handler
	verify     *verify.Handler
	ceremonies *passkey.Ceremonies
}

func (u us) offer(t testing.TB, a account) offer {
	t.Helper()
	e, err := u.create.Handle(t.Context(), createFor(a))
	if err != nil {
		t.Fatal(err)
	}
	return e.Response
}

func (u us) check(t testing.TB, a account, private map[string]string, answer challenge.PasskeyAnswer) bool {
	t.Helper()
	e, err := u.verify.Handle(t.Context(), verifyFor(a, private, answer))
	if err != nil {
		t.Fatal(err)
	}
	return e.Response.AnswerCorrect
}

func (a account) user() passkey.User {
	return passkey.User{Handle: challenge.UserHandle(a.name, a.sub), Name: a.email}
}

func (u us) start(t testing.TB, a account, rpID string) []byte {
	t.Helper()
	options, err := u.ceremonies.StartRegistration(t.Context(), a.user(), rpID)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (u us) usernameless(t testing.TB) string {
	t.Helper()
	value, err := passkey.NewChallenge(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.ceremonies.Store.PutSignInChallenge(t.Context(), value, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return value
}

// call is one request of the browser client to the other side's HTTP API, as API Gateway hands it over.
func (n them) call(t testing.TB, module string, a account, path, rpID string, body any) (status int, answer []byte) {
	t.Helper()
	event := map[string]any{
		"path": path, "headers": map[string]string{"origin": ownSite}, "queryStringParameters": map[string]string{"rpId": rpID},
		"requestContext": map[string]any{"authorizer": map[string]any{"claims": map[string]string{
			"token_use": "id", "sub": a.sub, "email": a.email, "cognito:username": a.name,
		}}},
	}
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		event["body"] = string(raw)
	}
	var reply struct {
		StatusCode int
		Body       string
	}
	n.trigger(t, module, event, &reply)
	return reply.StatusCode, []byte(reply.Body)
}

// them is the other side.
type them struct{ *node }

func (n them) offer(t testing.TB, a account) offer {
	t.Helper()
	var e createEvent
	n.trigger(t, createModule, createFor(a), &e)
	return e.Response
}

func (n them) check(t testing.TB, a account, private map[string]string, answer challenge.PasskeyAnswer) bool {
	t.Helper()
	var e verifyEvent
	n.trigger(t, verifyModule, verifyFor(a, private, answer), &e)
	return e.Response.AnswerCorrect
}

func (n them) start(t testing.TB, a account, rpID string) []byte {
	t.Helper()
	status, answer := n.call(t, credentialsModule, a, "/register-authenticator/start", rpID, nil)
	if status != http.StatusOK {
		t.Fatalf("start: %d %s", status, answer)
	}
	return answer
}

func (n them) usernameless(t testing.TB) string {
	t.Helper()
	status, answer := n.call(t, challengeModule, account{}, "/sign-in-challenge", "", nil)
	var options struct{ Challenge string }
	if err := json.Unmarshal(answer, &options); err != nil || status != http.StatusOK || options.Challenge == "" {
		t.Fatalf("sign-in-challenge: %d %s", status, answer)
	}
	return options.Challenge
}
