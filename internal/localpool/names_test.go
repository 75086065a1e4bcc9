package localpool

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

// unconfirmed is a PreSignUp that lets people in but confirms nothing, as where there is none.
func unconfirmed(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }

// namedPool is a pool whose people are called as names says.
func namedPool(t *testing.T, names Names) (*Pool, *clock) {
	t.Helper()
	c := newClock()
	config := testConfig(t, c)
	config.Names = names
	return openPool(t, config), c
}

// chosenPool has chosen names and confirms accounts by code.
func chosenPool(t *testing.T, with ...string) (*Pool, *clock) {
	t.Helper()
	c := newClock()
	config := testConfig(t, c)
	config.Names = Names{Chosen: true, With: with}
	config.Triggers.PreSignUp = unconfirmed
	return openPool(t, config), c
}

func register(t *testing.T, p *Pool, name string, attributes ...string) (*cognito.SignUpOutput, error) {
	t.Helper()
	in := &cognito.SignUpInput{
		ClientId: aws.String(p.ClientID()), SecretHash: aws.String(hash(p, name)), Username: aws.String(name), Password: aws.String("x-Long-random-1"),
	}
	for i := 0; i < len(attributes); i += 2 {
		in.UserAttributes = append(in.UserAttributes, types.AttributeType{Name: &attributes[i], Value: &attributes[i+1]})
	}
	return sdk(p).SignUp(t.Context(), in)
}

func mustRegister(t *testing.T, p *Pool, name string, attributes ...string) *cognito.SignUpOutput {
	t.Helper()
	out, err := register(t, p, name, attributes...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func confirm(t *testing.T, p *Pool, name, code string, force bool) error {
	t.Helper()
	_, err := sdk(p).ConfirmSignUp(t.Context(), &cognito.ConfirmSignUpInput{
		ClientId: aws.String(p.ClientID()), SecretHash: aws.String(hash(p, name)), Username: &name, ConfirmationCode: &code, ForceAliasCreation: force,
	})
	return err
}

func resend(t *testing.T, p *Pool, name string) (*types.CodeDeliveryDetailsType, error) {
	t.Helper()
	out, err := sdk(p).ResendConfirmationCode(t.Context(), &cognito.ResendConfirmationCodeInput{
		ClientId: aws.String(p.ClientID()), SecretHash: aws.String(hash(p, name)), Username: &name,
	})
	if err != nil {
		return nil, err
	}
	return out.CodeDeliveryDetails, nil
}

// lastCode is that of the newest message.
func lastCode(t *testing.T, p *Pool) string {
	t.Helper()
	code := regexp.MustCompile(`\b[0-9]{6}\b`).FindString(p.Inbox().Messages()[0].Text)
	if code == "" {
		t.Fatalf("no code in %+v", p.Inbox().Messages()[0])
	}
	return code
}

// leadsTo is whom a sign-in under this name is for.
func leadsTo(t *testing.T, p *Pool, name string) string {
	t.Helper()
	return mustInitiate(t, p, name).ChallengeParameters["USERNAME"]
}

// A chosen name signs in at once; the address does once its code has come back.
func TestChosenNameAndAddress(t *testing.T) {
	p, _ := chosenPool(t, aliasEmail)
	out := mustRegister(t, p, "Ada", "email", "Ada@example.com")
	if out.UserConfirmed || aws.ToString(out.UserSub) == "" || out.CodeDeliveryDetails == nil || out.CodeDeliveryDetails.DeliveryMedium != types.DeliveryMediumTypeEmail {
		t.Fatalf("sign-up: %+v", out)
	}
	_, err := initiate(p, "ada")
	refused(t, err, "UserNotConfirmedException", "not confirmed")
	if name := leadsTo(t, p, "ada@example.com"); name == "ada" {
		t.Error("an address that nobody has proven leads to the account")
	}
	code := lastCode(t, p)
	refused(t, confirm(t, p, "ada", wrong(code), false), "CodeMismatchException", "Invalid verification code")
	if err := confirm(t, p, "ada", code, false); err != nil {
		t.Fatal(err)
	}
	refused(t, confirm(t, p, "ada", code, false), "NotAuthorizedException", "Current status is CONFIRMED")
	for _, name := range []string{"ada", "ADA", "ada@example.com"} {
		if got := leadsTo(t, p, name); got != "ada" {
			t.Errorf("%s leads to %s", name, got)
		}
	}
	result := signInByLink(t, p, "ada@example.com")
	if got := memberAttributes(t, p, result.AccessToken); got["email_verified"] != "true" || got["sub"] == "ada" {
		t.Errorf("attributes %v", got)
	}
	_, err = register(t, p, "ada", "email", "other@example.com")
	refused(t, err, "UsernameExistsException", "already exists")
	_, err = register(t, p, "mallory@example.com")
	refused(t, err, "InvalidParameterException", "email format")
}

// Two accounts may name one address until one of them proves it. Who proves it later is refused, or takes it over where the application
// says so; the account that loses it counts it as unverified.
func TestAddressOfAnother(t *testing.T) {
	p, _ := chosenPool(t, aliasEmail)
	mustRegister(t, p, "ada", "email", "shared@example.com")
	adas := lastCode(t, p)
	mustRegister(t, p, "bob", "email", "shared@example.com")
	bobs := lastCode(t, p)
	if err := confirm(t, p, "ada", adas, false); err != nil {
		t.Fatal(err)
	}
	refused(t, confirm(t, p, "bob", bobs, false), "AliasExistsException", "given email already exists")
	if got := leadsTo(t, p, "shared@example.com"); got != "ada" {
		t.Fatalf("the address leads to %s", got)
	}
	if err := confirm(t, p, "bob", bobs, true); err != nil {
		t.Fatal(err)
	}
	if got := leadsTo(t, p, "shared@example.com"); got != "bob" {
		t.Errorf("the address leads to %s", got)
	}
	ada, _, err := p.user("ada")
	if err != nil || ada.Attributes["email_verified"] != "false" {
		t.Errorf("the account that lost the address: %v, %v", ada.Attributes, err)
	}
}

// Where people sign up with a phone number that is their name, and nobody else's.
func TestPhoneNumberAsName(t *testing.T) {
	p, _ := namedPool(t, Names{With: []string{aliasEmail, aliasPhone}})
	const phone = "+31612345678"
	out := mustRegister(t, p, phone, "email", alice)
	if got := leadsTo(t, p, phone); got != *out.UserSub {
		t.Errorf("the number leads to %s", got)
	}
	if got := leadsTo(t, p, alice); got == *out.UserSub {
		t.Error("an address that nobody has proven leads to the account")
	}
	_, err := register(t, p, phone)
	refused(t, err, "UsernameExistsException", "given phone_number already exists")
	_, err = register(t, p, "ada")
	refused(t, err, "InvalidParameterException", "either an email or a phone number")
	_, err = register(t, p, phone, "phone_number", "+31687654321")
	refused(t, err, "InvalidParameterException", "must be the same as the user name")
	if own := mustRegister(t, p, alice); leadsTo(t, p, alice) != *own.UserSub {
		t.Error("the owner of the address cannot sign up with it")
	}
}

// A preferred name is taken once, cannot pose as somebody's address, and leads to its account.
func TestPreferredName(t *testing.T) {
	p, _ := chosenPool(t, aliasEmail, aliasPreferred)
	_, err := register(t, p, "ada", "email", alice, "preferred_username", "countess")
	refused(t, err, "InvalidParameterException", "before the user is confirmed")
	for _, name := range []string{"ada", "bob"} {
		mustRegister(t, p, name, "email", name+"@example.com")
		if err := confirm(t, p, name, lastCode(t, p), false); err != nil {
			t.Fatal(err)
		}
	}
	ada, bob := signInByLink(t, p, "ada").AccessToken, signInByLink(t, p, "bob").AccessToken
	if err := update(t, p, ada, "preferred_username", "Countess"); err != nil {
		t.Fatal(err)
	}
	if got := leadsTo(t, p, "countess"); got != "ada" {
		t.Errorf("the preferred name leads to %s", got)
	}
	refused(t, update(t, p, bob, "preferred_username", "countess"), "AliasExistsException", "preferred_username already exists")
	refused(t, update(t, p, bob, "preferred_username", "ada"), "AliasExistsException", "preferred_username already exists")
	refused(t, update(t, p, bob, "preferred_username", "carol@example.com"), "InvalidParameterException", "cannot be like an address")
	if err := update(t, p, ada, "preferred_username", "lovelace"); err != nil {
		t.Fatal(err)
	}
	if got := leadsTo(t, p, "countess"); got == "ada" {
		t.Error("the former name still leads to the account")
	}
	if err := update(t, p, bob, "preferred_username", "countess"); err != nil {
		t.Errorf("a name that became free: %v", err)
	}
}

// Nobody learns from confirmations who has an account: not from answers, and not from limits.
func TestConfirmationsTellNothing(t *testing.T) {
	p, _ := chosenPool(t, aliasEmail)
	mustRegister(t, p, "ada", "email", "ada@example.com")
	refused(t, confirm(t, p, "nobody", "123456", false), "ExpiredCodeException", "request a code again")
	for range attributeCodesPerHour - 1 { // one was sent at sign-up
		if _, err := resend(t, p, "ada"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := resend(t, p, "ada")
	refused(t, err, "LimitExceededException", "Attempt limit exceeded")
	var first string
	for range attributeCodesPerHour {
		details, err := resend(t, p, "nobody")
		if err != nil {
			t.Fatal(err)
		}
		if details.DeliveryMedium != types.DeliveryMediumTypeEmail || !strings.Contains(*details.Destination, "***@") || first != "" && first != *details.Destination {
			t.Errorf("a code for nobody went to %s", *details.Destination)
		}
		first = *details.Destination
	}
	_, err = resend(t, p, "nobody")
	refused(t, err, "LimitExceededException", "Attempt limit exceeded")
	_, err = sdk(p).ConfirmSignUp(t.Context(), &cognito.ConfirmSignUpInput{
		ClientId: aws.String(p.ClientID()), SecretHash: aws.String(hash(p, "bob")), Username: aws.String("ada"), ConfirmationCode: aws.String("123456"),
	})
	refused(t, err, "NotAuthorizedException", "Unable to verify secret hash")
}

// A code cannot be guessed, and an old one is void once another was sent.
func TestConfirmationCodesAreLimited(t *testing.T) {
	p, c := chosenPool(t, aliasEmail)
	mustRegister(t, p, "ada", "email", "ada@example.com")
	old := lastCode(t, p)
	if _, err := resend(t, p, "ada"); err != nil {
		t.Fatal(err)
	}
	code := lastCode(t, p)
	if old != code {
		refused(t, confirm(t, p, "ada", old, false), "CodeMismatchException", "Invalid verification code")
	}
	for range attributeCodeTries {
		if err := confirm(t, p, "ada", wrong(code), false); err == nil {
			t.Fatal("a wrong code was accepted")
		}
	}
	if err := confirm(t, p, "ada", code, false); err == nil {
		t.Fatal("the right code was accepted after too many wrong ones")
	}
	if _, err := resend(t, p, "ada"); err != nil {
		t.Fatal(err)
	}
	late := lastCode(t, p)
	c.advance(attributeCodeLifetime)
	refused(t, confirm(t, p, "ada", late, false), "ExpiredCodeException", "request a code again")
}

// What people are called cannot change under their feet; saying nothing keeps it.
func TestNamesAreKept(t *testing.T) {
	config := testConfig(t, newClock())
	config.Names = Names{Chosen: true, With: []string{aliasEmail}}
	p := openPool(t, config)
	other := config
	other.Names = Names{With: []string{aliasPhone}}
	if err := p.Reconfigure(other); err == nil || !strings.Contains(err.Error(), "use another file") {
		t.Errorf("got %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(other); err == nil || !strings.Contains(err.Error(), "user name, email") {
		t.Errorf("got %v", err)
	}
	config.Names = Names{}
	if p = openPool(t, config); !p.names().Chosen {
		t.Error("the names were forgotten")
	}
	bad := testConfig(t, newClock())
	bad.Names = Names{With: []string{"shoe_size"}}
	if _, err := Open(bad); err == nil || !strings.Contains(err.Error(), "shoe_size") {
		t.Errorf("got %v", err)
	}
}
