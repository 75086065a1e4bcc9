package kms_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha512"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/caddy-cognito/passwordless/triggers/aws/account"
	"github.com/caddy-cognito/passwordless/triggers/aws/awstest"
	"github.com/caddy-cognito/passwordless/triggers/aws/kms"
)

const alias = "alias/magic-links"

func client(t *testing.T, fake *awstest.KMS) *awskms.Client {
	t.Helper()
	env := map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_ENDPOINT_URL_KMS": fake.URL,
	}
	a, err := account.New(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	return awskms.NewFromConfig(a.Calls("KMS", ""))
}

func verifies(key *rsa.PublicKey, digest, signature []byte) bool {
	return rsa.VerifyPSS(key, crypto.SHA512, digest, signature, &rsa.PSSOptions{SaltLength: sha512.Size}) == nil
}

func TestSignature(t *testing.T) {
	fake := awstest.StartKMS(t)
	arn := fake.AddKey(t, alias)
	c := client(t, fake)
	digest := sha512.Sum512([]byte("a link"))
	signature, keyID, err := (&kms.Signer{Client: c, KeyID: alias}).Sign(t.Context(), digest[:])
	if err != nil || keyID != arn {
		t.Fatalf("signed by %q, %v", keyID, err)
	}
	keys := &kms.Keys{Client: c}
	for range 3 {
		key, err := keys.PublicKey(t.Context(), keyID)
		if err != nil || !verifies(key, digest[:], signature) {
			t.Fatalf("the public key does not verify: %v", err)
		}
	}
	if n := fake.Reads(); n != 1 {
		t.Errorf("the key was fetched %d times", n)
	}
}

// Defect 9 of existing deployments: the link named an alias, and after the alias had moved the cached key of before it went on, or the links
// of before it died.
func TestMovedAlias(t *testing.T) {
	fake := awstest.StartKMS(t)
	fake.AddKey(t, alias)
	c := client(t, fake)
	signer, keys := &kms.Signer{Client: c, KeyID: alias}, &kms.Keys{Client: c}
	digest := sha512.Sum512([]byte("a link"))
	old, oldKey, err := signer.Sign(t.Context(), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	before, err := keys.PublicKey(t.Context(), alias)
	if err != nil {
		t.Fatal(err)
	}
	fake.AddKey(t, alias)
	after, err := keys.PublicKey(t.Context(), alias)
	if err != nil || after.Equal(before) {
		t.Errorf("the alias still stands for the old key, %v", err)
	}
	if key, err := keys.PublicKey(t.Context(), oldKey); err != nil || !verifies(key, digest[:], old) {
		t.Errorf("a link from before the move does not verify: %v", err)
	}
	fresh, freshKey, err := signer.Sign(t.Context(), digest[:])
	if err != nil || freshKey == oldKey || !verifies(after, digest[:], fresh) {
		t.Errorf("a link from after the move is signed by %q: %v", freshKey, err)
	}
}

func TestRefusals(t *testing.T) {
	fake := awstest.StartKMS(t)
	fake.AddKey(t, alias)
	c := client(t, fake)
	if _, _, err := (&kms.Signer{Client: c, KeyID: alias}).Sign(t.Context(), []byte("no digest")); err == nil {
		t.Error("something other than a digest was signed")
	}
	digest := sha512.Sum512(nil)
	if _, _, err := (&kms.Signer{Client: c, KeyID: "alias/gone"}).Sign(t.Context(), digest[:]); err == nil {
		t.Error("signed by a key that is not there")
	}
	keys := &kms.Keys{Client: c}
	for _, id := range []string{"", "alias/gone", "arn:aws:kms:eu-west-1:111122223333:key/gone"} {
		if _, err := keys.PublicKey(t.Context(), id); err == nil {
			t.Errorf("a public key of %q", id)
		}
	}
}
