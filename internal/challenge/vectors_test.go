package challenge_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// recorded is testdata/recorded.json: exchanges of amazon-cognito-passwordless-auth 0.17.0.
type recorded struct {
	Context struct {
		StackID    string `json:"STACK_ID"`
		UserPoolID string `json:"userPoolId"`
		ClientID   string `json:"clientId"`
		UserName   string `json:"sub=username"`
	} `json:"context"`
	Magic struct {
		KMSSignRequest struct{ Message []byte } `json:"kmsSignRequest"`
		Link           string                   `json:"link"`
		MessageJSON    string                   `json:"messageJson"`
		Items          []struct {
			UserNameHash  struct{ B []byte } `json:"userNameHash"`
			SignatureHash struct{ B []byte } `json:"signatureHash"`
		} `json:"dbItem"`
		PublicKeyPEM string `json:"publicKeyPem"`
	} `json:"magic"`
	ExistingNoCreds json.RawMessage `json:"existingNoCreds"`
	SMS             struct {
		Public  map[string]string `json:"publicChallengeParameters"`
		Private map[string]string `json:"privateChallengeParameters"`
	} `json:"smsChallenge"`
	FIDO struct {
		SignInOptions json.RawMessage `json:"signinOptions"`
		Answer        json.RawMessage `json:"answer"`
	} `json:"fido"`
}

func load(t testing.TB) recorded {
	t.Helper()
	raw, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var r recorded
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// A link that an existing deployment mailed passes here: digest, signature and both keys in its table.
func TestRecordedLink(t *testing.T) {
	r := load(t)
	redirect, fragment, _ := strings.Cut(r.Magic.Link, "#")
	link, err := challenge.ParseLink(fragment)
	if err != nil {
		t.Fatal(err)
	}
	if string(link.Raw) != r.Magic.MessageJSON || link.Message.UserName != r.Context.UserName {
		t.Errorf("message %s", link.Raw)
	}
	if got := string(challenge.EncodeLinkMessage(link.Message)); got != r.Magic.MessageJSON {
		t.Errorf("encoded again: %s", got)
	}
	if got := link.URL(redirect); got != r.Magic.Link {
		t.Errorf("URL %s, want %s", got, r.Magic.Link)
	}
	context := challenge.LinkContext{UserPoolID: r.Context.UserPoolID, ClientID: r.Context.ClientID}
	digest := challenge.LinkDigest(link.Raw, context)
	if string(digest) != string(r.Magic.KMSSignRequest.Message) {
		t.Errorf("digest %x", digest)
	}
	block, _ := pem.Decode([]byte(r.Magic.PublicKeyPEM))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pss := &rsa.PSSOptions{SaltLength: challenge.LinkSaltLength, Hash: crypto.SHA512}
	if err := rsa.VerifyPSS(key.(*rsa.PublicKey), crypto.SHA512, digest, link.Signature, pss); err != nil {
		t.Errorf("signature: %v", err)
	}
	context.ClientID = "another"
	if rsa.VerifyPSS(key.(*rsa.PublicKey), crypto.SHA512, challenge.LinkDigest(link.Raw, context), link.Signature, pss) == nil {
		t.Error("the link verifies for another client")
	}
	item := r.Magic.Items[0]
	if got := challenge.TableHash(r.Context.StackID, []byte(link.Message.UserName)); string(got[:]) != string(item.UserNameHash.B) {
		t.Errorf("user name hash %x", got)
	}
	if got := challenge.TableHash(r.Context.StackID, link.Signature); string(got[:]) != string(item.SignatureHash.B) {
		t.Errorf("signature hash %x", got)
	}
	if link.Message.ExpiredAt(time.Unix(link.Message.Expires, 0)) || !link.Message.ExpiredAt(time.Unix(link.Message.Expires+1, 0)) {
		t.Error("a link lives to its very last second, and no longer")
	}
}

func TestRecordedPhoneMask(t *testing.T) {
	r := load(t)
	if got := challenge.MaskPhone(r.SMS.Private["phoneNumber"]); got != r.SMS.Public["phoneNumber"] {
		t.Errorf("mask %s, want %s", got, r.SMS.Public["phoneNumber"])
	}
	for number, want := range map[string]string{"+12345": "+*********45", "": "+***********", "7": "+**********7"} {
		if got := challenge.MaskPhone(number); got != want {
			t.Errorf("mask of %s: %s, want %s", number, got, want)
		}
	}
}

// The options have the members of the recorded ones, in any order, and never a null.
func TestRecordedOptionsShape(t *testing.T) {
	r := load(t)
	for name, raw := range map[string]json.RawMessage{"with passkeys": r.FIDO.SignInOptions, "without": r.ExistingNoCreds} {
		o, err := challenge.ParsePasskeyOptions(string(raw))
		if err != nil {
			t.Fatal(err)
		}
		var want, got map[string]any
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(o.Encode()), &got); err != nil {
			t.Fatal(err)
		}
		if list, ok := want["credentials"].([]any); ok && len(list) == 0 {
			delete(want, "credentials") // an empty list tells of a user without passkeys
		}
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(want)
		if string(g) != string(w) {
			t.Errorf("%s: %s, want %s", name, g, w)
		}
		if c, err := base64.RawURLEncoding.DecodeString(o.Challenge); err != nil || len(c) != 64 {
			t.Errorf("%s: challenge of %d bytes, %v", name, len(c), err)
		}
	}
}

func TestRecordedPasskeyAnswer(t *testing.T) {
	r := load(t)
	a, err := challenge.ParsePasskeyAnswer(string(r.FIDO.Answer))
	if err != nil {
		t.Fatal(err)
	}
	handle, err := challenge.DecodeBase64(a.UserHandle)
	if err != nil || string(handle) != r.Context.UserName {
		t.Errorf("user handle %s, %v", handle, err)
	}
}

// Lists of fields that run together must not share a key.
func TestKeysAreUnambiguous(t *testing.T) {
	if challenge.ReceiptKey("ab", "c", "d") == challenge.ReceiptKey("a", "bc", "d") {
		t.Error("receipt keys run together")
	}
	if challenge.OperationKey("n", 1) == challenge.OperationKey("n", 2) || challenge.OperationKey("n", 1) == challenge.OperationKey("m", 1) {
		t.Error("operation keys do not tell rounds or sessions apart")
	}
}
