package localpool

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

// memberAttributes reads the account of an access token as its owner does.
func memberAttributes(t *testing.T, p *Pool, access *string) map[string]string {
	t.Helper()
	out, err := sdk(p).GetUser(t.Context(), &cognito.GetUserInput{AccessToken: access})
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[string]string)
	for _, a := range out.UserAttributes {
		m[*a.Name] = *a.Value
	}
	return m
}

func update(t *testing.T, p *Pool, access *string, name, value string) error {
	t.Helper()
	_, err := sdk(p).UpdateUserAttributes(t.Context(), &cognito.UpdateUserAttributesInput{
		AccessToken: access, UserAttributes: []types.AttributeType{{Name: aws.String(name), Value: aws.String(value)}},
	})
	return err
}

func sendCode(t *testing.T, p *Pool, access *string) (code string, err error) {
	t.Helper()
	_, err = sdk(p).GetUserAttributeVerificationCode(t.Context(), &cognito.GetUserAttributeVerificationCodeInput{
		AccessToken: access, AttributeName: aws.String("phone_number"),
	})
	if err != nil {
		return "", err
	}
	return regexp.MustCompile(`[0-9]{6}`).FindString(p.Inbox().Messages()[0].Text), nil
}

func verifyPhone(t *testing.T, p *Pool, access *string, code string) error {
	t.Helper()
	_, err := sdk(p).VerifyUserAttribute(t.Context(), &cognito.VerifyUserAttributeInput{
		AccessToken: access, AttributeName: aws.String("phone_number"), Code: aws.String(code),
	})
	return err
}

// wrong is another code of six digits.
func wrong(code string) string {
	if code[0] == '0' {
		return "1" + code[1:]
	}
	return "0" + code[1:]
}

func newMember(t *testing.T) (*Pool, *clock, *string) {
	t.Helper()
	c := newClock()
	p := openPool(t, testConfig(t, c))
	signUp(t, p, alice)
	return p, c, signInByLink(t, p, alice).AccessToken
}

// A number is added, proven by the code that was sent to it, and removed.
func TestPhoneNumber(t *testing.T) {
	p, _, access := newMember(t)
	if err := update(t, p, access, "phone_number", "+31612345678"); err != nil {
		t.Fatal(err)
	}
	code, err := sendCode(t, p, access)
	if err != nil {
		t.Fatal(err)
	}
	if to := p.Inbox().Messages()[0].To; to != "+31612345678" {
		t.Errorf("sent to %q", to)
	}
	// Browsers offer the code on the portal's pages, and on no phisher's.
	if text := p.Inbox().Messages()[0].Text; !strings.HasSuffix(text, "\n\n@auth.example.com #"+code) {
		t.Errorf("the message reads %q", text)
	}
	refused(t, verifyPhone(t, p, access, wrong(code)), "CodeMismatchException", "Invalid verification code")
	if memberAttributes(t, p, access)["phone_number_verified"] != "false" {
		t.Error("a wrong code verified the number")
	}
	if err := verifyPhone(t, p, access, code); err != nil {
		t.Fatal(err)
	}
	if memberAttributes(t, p, access)["phone_number_verified"] != "true" {
		t.Error("the right code verified nothing")
	}
	refused(t, verifyPhone(t, p, access, code), "ExpiredCodeException", "request a code again")
	_, err = sdk(p).DeleteUserAttributes(t.Context(), &cognito.DeleteUserAttributesInput{AccessToken: access, UserAttributeNames: []string{"phone_number"}})
	if err != nil {
		t.Fatal(err)
	}
	for name := range memberAttributes(t, p, access) {
		if strings.HasPrefix(name, "phone_number") {
			t.Errorf("%s is left", name)
		}
	}
}

// A code proves the number it was sent to. Whoever has a code for their own phone cannot have another number count as verified by it.
func TestCodeOfAnotherNumber(t *testing.T) {
	p, _, access := newMember(t)
	if err := update(t, p, access, "phone_number", "+31612345678"); err != nil {
		t.Fatal(err)
	}
	code, err := sendCode(t, p, access)
	if err != nil {
		t.Fatal(err)
	}
	if err := update(t, p, access, "phone_number", "+31687654321"); err != nil {
		t.Fatal(err)
	}
	refused(t, verifyPhone(t, p, access, code), "ExpiredCodeException", "request a code again")
	if memberAttributes(t, p, access)["phone_number_verified"] != "false" {
		t.Error("the other number is verified")
	}
}

// Codes cannot be guessed, not by asking for ever new ones either, and a phone cannot be rung without end.
func TestCodesAreLimited(t *testing.T) {
	p, c, access := newMember(t)
	if err := update(t, p, access, "phone_number", "+31612345678"); err != nil {
		t.Fatal(err)
	}
	code, err := sendCode(t, p, access)
	if err != nil {
		t.Fatal(err)
	}
	for range attributeCodeTries {
		refused(t, verifyPhone(t, p, access, wrong(code)), "CodeMismatchException", "")
	}
	refused(t, verifyPhone(t, p, access, code), "LimitExceededException", "Attempt limit exceeded")
	for range attributeCodesPerHour - 1 {
		if code, err = sendCode(t, p, access); err != nil {
			t.Fatal(err)
		}
	}
	_, err = sendCode(t, p, access)
	refused(t, err, "LimitExceededException", "Attempt limit exceeded")
	c.advance(59 * time.Minute)
	if err := verifyPhone(t, p, access, code); err != nil {
		t.Errorf("the last code: %v", err)
	}
}

func TestAttributesOfOthers(t *testing.T) {
	p, _, access := newMember(t)
	signUp(t, p, "bob@example.com")
	for name, want := range map[string][3]string{
		"email_verified":        {"true", "NotAuthorizedException", "unauthorized attribute"},
		"phone_number_verified": {"true", "NotAuthorizedException", "unauthorized attribute"},
		"sub":                   {"x", "NotAuthorizedException", "unauthorized attribute"},
		"cognito:groups":        {"admins", "NotAuthorizedException", "unauthorized attribute"},
		"custom:role":           {"x", "InvalidParameterException", "did not conform to the schema"},
		"phone_number":          {"0612345678", "InvalidParameterException", "Invalid phone number format"},
		"email":                 {"bob@example.com", "AliasExistsException", "already exists"},
	} {
		refused(t, update(t, p, access, name, want[0]), want[1], want[2])
	}
	refused(t, update(t, p, aws.String("no token"), "name", "x"), "NotAuthorizedException", "Invalid Access Token")
}

// A new address is unverified, and the user is found by it and no more by the old one, which somebody else may take.
func TestNewAddress(t *testing.T) {
	p, _, access := newMember(t)
	if memberAttributes(t, p, access)["email_verified"] != "true" {
		t.Fatal("the link verified nothing")
	}
	if err := update(t, p, access, "email", "alice@example.org"); err != nil {
		t.Fatal(err)
	}
	if a := memberAttributes(t, p, access); a["email"] != "alice@example.org" || a["email_verified"] != "false" {
		t.Errorf("attributes %v", a)
	}
	if _, found, err := p.user("alice@example.org"); err != nil || !found {
		t.Errorf("not found by the new address, %v", err)
	}
	if _, found, err := p.user(alice); err != nil || found {
		t.Errorf("found by the old address, %v", err)
	}
	signUp(t, p, alice)
}

func TestDeleteUser(t *testing.T) {
	p, _, access := newMember(t)
	if _, err := sdk(p).DeleteUser(t.Context(), &cognito.DeleteUserInput{AccessToken: access}); err != nil {
		t.Fatal(err)
	}
	if _, err := sdk(p).GetUser(t.Context(), &cognito.GetUserInput{AccessToken: access}); err == nil {
		t.Error("a deleted user is signed in")
	}
	signUp(t, p, alice) // the address is free again
}
