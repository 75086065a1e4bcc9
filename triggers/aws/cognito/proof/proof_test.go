package proof_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/triggers/aws/cognito/proof"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

const (
	pool = "eu-west-1_Ab12Cd34E"
	name = "alice"
	sub  = "6f0d8e2c-0000-4000-8000-000000000001"
)

// directory is a user pool with one user, and her passkeys. It notes what happens, and fails at the call it is told.
type directory struct {
	attributes map[string]string
	passkeys   map[string][]byte // handle → credential ID
	done       []string
	fail       string
	meanwhile  func() // what somebody does just before the sessions are over
}

var errThrottled = errors.New("throttled")

func (d *directory) note(call string) error {
	if d.fail == call {
		return errThrottled
	}
	d.done = append(d.done, call)
	return nil
}

func (d *directory) AdminGetUser(_ context.Context, in *cognito.AdminGetUserInput, _ ...func(*cognito.Options)) (*cognito.AdminGetUserOutput, error) {
	if aws.ToString(in.UserPoolId) != pool || aws.ToString(in.Username) != name {
		return nil, &types.UserNotFoundException{}
	}
	if d.fail == "read" {
		return nil, errThrottled
	}
	out := &cognito.AdminGetUserOutput{}
	for k, v := range d.attributes {
		out.UserAttributes = append(out.UserAttributes, types.AttributeType{Name: aws.String(k), Value: aws.String(v)})
	}
	return out, nil
}

func (d *directory) AdminUpdateUserAttributes(_ context.Context, in *cognito.AdminUpdateUserAttributesInput, _ ...func(*cognito.Options)) (*cognito.AdminUpdateUserAttributesOutput, error) {
	for _, a := range in.UserAttributes {
		if err := d.note("set " + aws.ToString(a.Name)); err != nil {
			return nil, err
		}
		d.attributes[aws.ToString(a.Name)] = aws.ToString(a.Value)
	}
	return &cognito.AdminUpdateUserAttributesOutput{}, nil
}

func (d *directory) AdminUserGlobalSignOut(context.Context, *cognito.AdminUserGlobalSignOutInput, ...func(*cognito.Options)) (*cognito.AdminUserGlobalSignOutOutput, error) {
	if d.meanwhile != nil {
		d.meanwhile()
	}
	return &cognito.AdminUserGlobalSignOutOutput{}, d.note("sign out")
}

func (d *directory) List(_ context.Context, handle, _ string) ([]passkey.Credential, error) {
	if id, ok := d.passkeys[handle]; ok {
		return []passkey.Credential{{ID: id, UserHandle: handle}}, nil
	}
	return nil, nil
}

func (d *directory) Delete(_ context.Context, handle string, _ []byte) error {
	if err := d.note("delete passkey"); err != nil {
		return err
	}
	delete(d.passkeys, handle)
	return nil
}

func newDirectory() *directory {
	return &directory{
		attributes: map[string]string{"sub": sub, "email": "alice@example.com", "email_verified": "false"},
		passkeys:   map[string][]byte{"s|" + sub: {1}},
	}
}

func proven() verify.Address {
	return verify.Address{UserPoolID: pool, ClientID: "client", UserName: name, Sub: sub, Email: "alice@example.com"}
}

// Whoever registered somebody else's address and waited loses the passkey and the sessions before the address counts as the owner's.
func TestForeignPasskeyGoesFirst(t *testing.T) {
	d := newDirectory()
	a := &proof.Addresses{Client: d, Credentials: d}
	for range 2 {
		if err := a.AddressVerified(t.Context(), proven()); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"sign out", "delete passkey", "set email_verified"}; !slices.Equal(d.done, want) {
		t.Errorf("done %q, want %q", d.done, want)
	}
	if d.attributes["email_verified"] != "true" || len(d.passkeys) != 0 {
		t.Errorf("attributes %v, %d passkeys", d.attributes, len(d.passkeys))
	}
}

// With a session from before, somebody puts another's address in the place of the own one that the link is proving.
func TestAddressSwappedInTheLastMoment(t *testing.T) {
	d := newDirectory()
	d.meanwhile = func() { d.attributes["email"] = "victim@example.org" }
	if err := (&proof.Addresses{Client: d, Credentials: d}).AddressVerified(t.Context(), proven()); err != nil {
		t.Fatal(err)
	}
	if d.attributes["email_verified"] == "true" {
		t.Error("an address that nobody proved counts as verified")
	}
}

// An error anywhere leaves the address unverified, and the next try does it all.
func TestErrorsLeaveItUnverified(t *testing.T) {
	for _, step := range []string{"read", "delete passkey", "sign out", "set email_verified"} {
		d := newDirectory()
		d.fail = step
		a := &proof.Addresses{Client: d, Credentials: d}
		if err := a.AddressVerified(t.Context(), proven()); !errors.Is(err, errThrottled) || d.attributes["email_verified"] != "false" {
			t.Errorf("%s fails: %v, verified %s", step, err, d.attributes["email_verified"])
		}
		d.fail = ""
		if err := a.AddressVerified(t.Context(), proven()); err != nil || d.attributes["email_verified"] != "true" || len(d.passkeys) != 0 {
			t.Errorf("%s again: %v", step, err)
		}
	}
}

// The link proves the address it was mailed to, and nobody else's account.
func TestWhatIsNotProven(t *testing.T) {
	changed := newDirectory()
	changed.attributes["email"] = "eve@example.net"
	if err := (&proof.Addresses{Client: changed, Credentials: changed}).AddressVerified(t.Context(), proven()); err != nil || len(changed.done) != 0 {
		t.Errorf("an address that changed meanwhile: %v, done %q", err, changed.done)
	}
	replaced := newDirectory()
	replaced.attributes["sub"] = "another"
	if err := (&proof.Addresses{Client: replaced, Credentials: replaced}).AddressVerified(t.Context(), proven()); err == nil || len(replaced.done) != 0 {
		t.Errorf("another user of that name: %v, done %q", err, replaced.done)
	}
	verified := newDirectory()
	verified.attributes["email_verified"] = "true"
	if err := (&proof.Addresses{Client: verified, Credentials: verified}).AddressVerified(t.Context(), proven()); err != nil || len(verified.done) != 0 {
		t.Errorf("an address verified before: %v, done %q", err, verified.done)
	}
	gone := proven()
	gone.UserName = "nobody"
	if err := (&proof.Addresses{Client: newDirectory()}).AddressVerified(t.Context(), gone); err == nil {
		t.Error("the address of a user who is gone was verified")
	}
}
