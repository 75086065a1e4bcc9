package localpool

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/token"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

func verifier(t testing.TB, p *Pool) *token.Verifier {
	t.Helper()
	v, err := token.NewVerifier(token.Options{
		Issuer: p.Issuer(), JWKSURL: p.Endpoint() + "/" + p.UserPoolID() + "/.well-known/jwks.json",
		ClientIDs: []string{p.ClientID()}, HTTPClient: p.Client(), Now: p.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Sign up, get a link, use it in another Cognito session, and get tokens that verify through the JWKS.
func TestMagicLinkSignIn(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	sub := signUp(t, p, alice)
	first := mustInitiate(t, p, alice)
	if first.ChallengeName != types.ChallengeNameTypeCustomChallenge || first.ChallengeParameters["USERNAME"] != sub ||
		first.ChallengeParameters["challenge"] != challenge.ProvideAuthParameters {
		t.Fatalf("round one is %+v", first)
	}
	link, second := askLink(t, p, alice)
	if !strings.HasPrefix(link, redirect+"?flow=abc#") || second.Session == nil || second.AuthenticationResult != nil {
		t.Fatalf("link %s, round two %+v", link, second)
	}
	// The name may be typed in another case.
	result := useLink(t, p, strings.ToUpper(alice), link)
	if aws.ToString(result.TokenType) != "Bearer" || result.ExpiresIn != 3600 || aws.ToString(result.RefreshToken) == "" {
		t.Fatalf("result %+v", result)
	}
	id, err := verifier(t, p).Verify(t.Context(), *result.IdToken, token.ID)
	if err != nil {
		t.Fatal(err)
	}
	access, err := verifier(t, p).Verify(t.Context(), *result.AccessToken, token.Access)
	if err != nil {
		t.Fatal(err)
	}
	if id.Subject != sub || id.Username != sub || id.Email != alice || !id.EmailVerified || id.OriginJTI == "" || id.OriginJTI != access.OriginJTI {
		t.Errorf("ID token %+v", id)
	}
	if access.Subject != sub || access.Username != sub || access.ClientID != p.ClientID() || access.All["scope"] != scopeSelf || access.JTI == id.JTI {
		t.Errorf("access token %+v", access)
	}
	if id.All["event_id"] == nil || id.All["event_id"] != access.All["event_id"] || id.All["sign_in_method"] != "MAGIC_LINK" {
		t.Errorf("ID token claims %v", id.All)
	}
	me, err := sdk(p).GetUser(t.Context(), &cognito.GetUserInput{AccessToken: result.AccessToken})
	if err != nil {
		t.Fatal(err)
	}
	verified := slices.ContainsFunc(me.UserAttributes, func(a types.AttributeType) bool { return *a.Name == "email_verified" && *a.Value == "true" })
	if aws.ToString(me.Username) != sub || !verified {
		t.Errorf("GetUser answered %+v", me)
	}
}

// The link that was asked for is answered in the very session that waits.
func TestMagicLinkInTheSameSession(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	sub := signUp(t, p, alice)
	link, waiting := askLink(t, p, alice)
	out, err := respond(p, *waiting.Session, sub, fragment(t, link), map[string]string{challenge.KeySignInMethod: "MAGIC_LINK", challenge.KeyAlreadyHaveMagicLink: "no"})
	if err != nil || out.AuthenticationResult == nil {
		t.Fatalf("%+v, %v", out, err)
	}
}

// Attack: a link out of somebody's mailbox history is used again.
func TestMagicLinkWorksOnce(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	signUp(t, p, alice)
	link, _ := askLink(t, p, alice)
	useLink(t, p, alice, link)
	_, err := respond(p, *mustInitiate(t, p, alice).Session, alice, fragment(t, link), haveLink)
	refused(t, err, "NotAuthorizedException", "Incorrect username or password.")
}

// Attack: two browsers race for one link; exactly one gets in.
func TestMagicLinkRace(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	signUp(t, p, alice)
	link, _ := askLink(t, p, alice)
	var wins atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		session := *mustInitiate(t, p, alice).Session
		group.Go(func() {
			if out, err := respond(p, session, alice, fragment(t, link), haveLink); err == nil && out.AuthenticationResult != nil {
				wins.Add(1)
			}
		})
	}
	group.Wait()
	if n := wins.Load(); n != 1 {
		t.Errorf("%d sign-ins with one link", n)
	}
}

// Attack: an expired, an altered, and another user's link.
func TestMagicLinkRefusals(t *testing.T) {
	c := newClock()
	p := openPool(t, testConfig(t, c))
	signUp(t, p, alice)
	signUp(t, p, "bob@example.com")
	link, _ := askLink(t, p, alice)
	good := fragment(t, link)
	try := func(name, answer string) {
		t.Helper()
		_, err := respond(p, *mustInitiate(t, p, name).Session, name, answer, haveLink)
		refused(t, err, "NotAuthorizedException", "Incorrect username or password.")
	}
	try("bob@example.com", good)
	try(alice, good[:len(good)-4]+"AAAA")
	try(alice, "x."+good)
	try(alice, "{}")
	useful := good
	c.advance(16 * time.Minute)
	try(alice, useful)
}

// Attack: a Session string is used a second time, or by a different user.
func TestSessionIsSingleUse(t *testing.T) {
	c := newClock()
	p := openPool(t, testConfig(t, c))
	signUp(t, p, alice)
	signUp(t, p, "bob@example.com")
	session := *mustInitiate(t, p, alice).Session
	if _, err := respond(p, session, alice, challenge.AnswerAuthParameters, askForLink); err != nil {
		t.Fatal(err)
	}
	_, err := respond(p, session, alice, challenge.AnswerAuthParameters, askForLink)
	refused(t, err, "NotAuthorizedException", "Invalid session for the user.")
	var typed *types.NotAuthorizedException
	if !errors.As(err, &typed) {
		t.Errorf("the SDK reads %T", err)
	}

	session = *mustInitiate(t, p, alice).Session
	_, err = respond(p, session, "bob@example.com", challenge.AnswerAuthParameters, askForLink)
	refused(t, err, "NotAuthorizedException", "Invalid session for the user.")

	session = *mustInitiate(t, p, alice).Session
	c.advance(3 * time.Minute)
	_, err = respond(p, session, alice, challenge.AnswerAuthParameters, askForLink)
	refused(t, err, "NotAuthorizedException", "Invalid session for the user, session is expired.")
}

func TestSecretHash(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	signUp(t, p, alice)
	for name, test := range map[string]struct{ hash, text string }{
		"missing":           {"", "SECRET_HASH was not received"},
		"of another name":   {hash(p, "bob@example.com"), "Unable to verify secret hash"},
		"of another secret": {challenge.SecretHash("guess", alice, p.ClientID()), "Unable to verify secret hash"},
	} {
		t.Run(name, func(t *testing.T) {
			parameters := map[string]string{"USERNAME": alice}
			if test.hash != "" {
				parameters["SECRET_HASH"] = test.hash
			}
			_, err := sdk(p).InitiateAuth(t.Context(), &cognito.InitiateAuthInput{
				ClientId: aws.String(p.ClientID()), AuthFlow: types.AuthFlowTypeCustomAuth, AuthParameters: parameters,
			})
			refused(t, err, "NotAuthorizedException", test.text)
			_, err = sdk(p).SignUp(t.Context(), &cognito.SignUpInput{
				ClientId: aws.String(p.ClientID()), SecretHash: aws.String("x" + test.hash), Username: aws.String("new@example.com"), Password: aws.String("x-Long-random-1"),
			})
			refused(t, err, "NotAuthorizedException", "Unable to verify secret hash")
		})
	}
	_, err := sdk(p).InitiateAuth(t.Context(), &cognito.InitiateAuthInput{
		ClientId: aws.String("another"), AuthFlow: types.AuthFlowTypeCustomAuth, AuthParameters: map[string]string{"USERNAME": alice},
	})
	refused(t, err, "ResourceNotFoundException", "does not exist")
	_, err = sdk(p).InitiateAuth(t.Context(), &cognito.InitiateAuthInput{
		ClientId: aws.String(p.ClientID()), AuthFlow: types.AuthFlowTypeUserPasswordAuth, AuthParameters: map[string]string{"USERNAME": alice, "PASSWORD": "x"},
	})
	refused(t, err, "InvalidParameterException", "not enabled")
}

// Attack: somebody asks for names to learn who has an account.
func TestUnknownUserLooksLikeAKnownOne(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	signUp(t, p, alice)
	const nobody = "nobody@example.com"
	known, unknown := mustInitiate(t, p, alice), mustInitiate(t, p, nobody)
	if !isUUID(unknown.ChallengeParameters["USERNAME"]) || known.ChallengeName != unknown.ChallengeName || len(*known.Session) != len(*unknown.Session) {
		t.Errorf("known %+v, unknown %+v", known, unknown)
	}
	for name := range known.ChallengeParameters {
		if _, ok := unknown.ChallengeParameters[name]; !ok {
			t.Errorf("the unknown user lacks %s", name)
		}
	}
	again := mustInitiate(t, p, strings.ToUpper(nobody))
	if again.ChallengeParameters["USERNAME"] != unknown.ChallengeParameters["USERNAME"] {
		t.Error("the stand-in name of an unknown user changes")
	}
	if stale := mustInitiate(t, p, "6a1f35a2-7c1d-4c62-9a1c-0f3c5d1b2e77"); stale.ChallengeParameters["USERNAME"] != "6a1f35a2-7c1d-4c62-9a1c-0f3c5d1b2e77" {
		t.Error("an unknown user name is answered with another")
	}
	a, err := respond(p, *known.Session, alice, challenge.AnswerAuthParameters, askForLink)
	if err != nil {
		t.Fatal(err)
	}
	b, err := respond(p, *unknown.Session, nobody, challenge.AnswerAuthParameters, askForLink)
	if err != nil {
		t.Fatal(err)
	}
	if a.ChallengeName != b.ChallengeName || len(a.ChallengeParameters) != len(b.ChallengeParameters) || len(*a.Session) != len(*b.Session) {
		t.Errorf("known %+v, unknown %+v", a, b)
	}
	if n := len(p.Inbox().Messages()); n != 1 {
		t.Errorf("%d mails, want the one to the known user", n)
	}
	_, err = respond(p, *b.Session, nobody, "a.b", haveLink)
	refused(t, err, "NotAuthorizedException", "Incorrect username or password.")
}

func TestSignUp(t *testing.T) {
	c := testConfig(t, newClock())
	p := openPool(t, c)
	signUp(t, p, alice)
	try := func(username string, attributes ...types.AttributeType) error {
		_, err := sdk(p).SignUp(context.Background(), &cognito.SignUpInput{
			ClientId: aws.String(p.ClientID()), SecretHash: aws.String(hash(p, username)), Username: aws.String(username), Password: aws.String("x-Long-random-1"),
			UserAttributes: attributes,
		})
		return err
	}
	attribute := func(name, value string) types.AttributeType {
		return types.AttributeType{Name: aws.String(name), Value: aws.String(value)}
	}
	refused(t, try(strings.ToLower(alice)), "UsernameExistsException", "already exists")
	refused(t, try("not an address"), "InvalidParameterException", "email")
	refused(t, try("x@example.com", attribute("email", "y@example.com")), "InvalidParameterException", "same")
	// Attack: an account that calls itself verified.
	refused(t, try("x@example.com", attribute("email_verified", "true")), "NotAuthorizedException", "unauthorized attribute")
	refused(t, try("x@example.com", attribute("sub", "1")), "NotAuthorizedException", "unauthorized attribute")
	refused(t, try("x@example.com", attribute("custom:role", "admin")), "InvalidParameterException", "schema")

	c.SignUp = SignUpPolicy{Mode: "domains", Domains: []string{"example.org"}}
	if err := p.Reconfigure(c); err != nil {
		t.Fatal(err)
	}
	refused(t, try("x@example.com"), "UserLambdaValidationException", "PreSignUp failed with error")
	if err := try("x@example.org"); err != nil {
		t.Error(err)
	}
	c.SignUp = SignUpPolicy{Mode: "closed"}
	if err := p.Reconfigure(c); err != nil {
		t.Fatal(err)
	}
	refused(t, try("z@example.org"), "UserLambdaValidationException", "PreSignUp failed with error")
}

// addPasskey registers a passkey as the FIDO2 API does.
func addPasskey(t testing.TB, p *Pool, sub string) *passkeytest.Authenticator {
	t.Helper()
	a := passkeytest.NewAuthenticator(origin)
	ceremonies := passkey.Ceremonies{Settings: p.current.Load().Passkeys, Store: p.Credentials(), Now: p.now}
	u := passkey.User{Handle: challenge.UserHandle(sub, sub), Name: alice, DisplayName: alice}
	options, err := ceremonies.StartRegistration(t.Context(), u, rpID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ceremonies.FinishRegistration(t.Context(), u, a.Create(t, options)); err != nil {
		t.Fatal(err)
	}
	return a
}

// assert answers the challenge of round one.
func assert(t testing.TB, a *passkeytest.Authenticator, out *cognito.InitiateAuthOutput) string {
	t.Helper()
	options, err := challenge.ParsePasskeyOptions(out.ChallengeParameters[challenge.ParamFIDO2Options])
	if err != nil {
		t.Fatal(err)
	}
	return a.Get(t, passkey.RequestOptions{Challenge: options.Challenge, RPID: options.RelyingPartyID}).Encode()
}

func TestPasskeySignIn(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	sub := signUp(t, p, alice)
	a := addPasskey(t, p, sub)
	first := mustInitiate(t, p, alice)
	answer := assert(t, a, first)
	out, err := respond(p, *first.Session, alice, answer, withKey)
	if err != nil || out.AuthenticationResult == nil {
		t.Fatalf("%+v, %v", out, err)
	}
	id, err := verifier(t, p).Verify(t.Context(), *out.AuthenticationResult.IdToken, token.ID)
	if err != nil || id.All["sign_in_method"] != "FIDO2" {
		t.Fatalf("%+v, %v", id, err)
	}
	// Attack: the same assertion in another session.
	_, err = respond(p, *mustInitiate(t, p, alice).Session, alice, answer, withKey)
	refused(t, err, "NotAuthorizedException", "Incorrect username or password.")
}

// Usernameless: the credential names the user, the challenge was made elsewhere.
func TestUsernamelessPasskeySignIn(t *testing.T) {
	c := newClock()
	p := openPool(t, testConfig(t, c))
	sub := signUp(t, p, alice)
	a := addPasskey(t, p, sub)
	random, err := passkey.NewChallenge(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Credentials().PutSignInChallenge(t.Context(), random, c.now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	answer := a.Get(t, passkey.RequestOptions{Challenge: random, RPID: rpID}).Encode()
	out, err := respond(p, *mustInitiate(t, p, sub).Session, sub, answer, withKey)
	if err != nil || out.AuthenticationResult == nil {
		t.Fatalf("%+v, %v", out, err)
	}
	_, err = respond(p, *mustInitiate(t, p, sub).Session, sub, answer, withKey)
	refused(t, err, "NotAuthorizedException", "Incorrect username or password.")
}

// Attack: somebody registers a victim's address, adds a passkey, and waits. The victim's first link removes it and ends what the
// attacker holds.
func TestFirstVerificationRemovesForeignPasskeys(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	sub := signUp(t, p, alice)
	attacker := addPasskey(t, p, sub)
	first := mustInitiate(t, p, alice)
	held, err := respond(p, *first.Session, alice, assert(t, attacker, first), withKey)
	if err != nil {
		t.Fatal(err)
	}
	victim := signInByLink(t, p, alice)
	if list, err := p.Credentials().List(t.Context(), sub, ""); err != nil || len(list) != 0 {
		t.Errorf("passkeys left: %v, %v", list, err)
	}
	_, err = refresh(p, *held.AuthenticationResult.RefreshToken)
	refused(t, err, "NotAuthorizedException", "revoked")
	if _, err := refresh(p, *victim.RefreshToken); err != nil {
		t.Error(err)
	}
	// Later links keep what was added since.
	addPasskey(t, p, sub)
	if list, err := p.Credentials().List(t.Context(), sub, ""); err != nil || len(list) != 1 {
		t.Errorf("passkeys: %v, %v", list, err)
	}
}
