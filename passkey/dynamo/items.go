package dynamo

import (
	"encoding/base64"
	"fmt"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/caddy-cognito/passwordless/passkey"
)

type item = map[string]types.AttributeValue

// Prefixes of keys.
const (
	userPrefix       = "USER#"
	credentialPrefix = "CREDENTIAL#"
	challengePrefix  = "CHALLENGE#"
	usernamelessSort = "USERNAMELESS_SIGN_IN"
)

// timeLayout is JavaScript's Date.toISOString: UTC with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

// record is a credential as the table holds it. Flags are 0 or 1.
type record struct {
	UserID         string            `dynamodbav:"userId"`
	CredentialID   []byte            `dynamodbav:"credentialId"`
	JWK            map[string]string `dynamodbav:"jwk"`
	SignCount      uint32            `dynamodbav:"signCount"`
	FriendlyName   string            `dynamodbav:"friendlyName"`
	UserVerified   int               `dynamodbav:"flagUserVerified"`
	BackupEligible int               `dynamodbav:"flagBackupEligibility"`
	BackupState    int               `dynamodbav:"flagBackupState"`
	AAGUID         []byte            `dynamodbav:"aaguid"`
	Transports     []string          `dynamodbav:"transports,omitempty"`
	RelyingPartyID string            `dynamodbav:"rpId"`
	CreatedAt      string            `dynamodbav:"createdAt"`
	LastSignIn     string            `dynamodbav:"lastSignIn,omitempty"`
	LastChallenge  []byte            `dynamodbav:"lastChallenge,omitempty"`
}

func marshalCredential(c passkey.Credential) item {
	r := record{
		UserID:         c.UserHandle,
		CredentialID:   c.ID,
		JWK:            marshalKey(c.PublicKey),
		SignCount:      c.SignCount,
		FriendlyName:   c.FriendlyName,
		UserVerified:   number(c.UserVerified),
		BackupEligible: number(c.BackupEligible),
		BackupState:    number(c.BackupState),
		AAGUID:         c.AAGUID[:],
		Transports:     c.Transports,
		RelyingPartyID: c.RelyingPartyID,
		CreatedAt:      c.CreatedAt.UTC().Format(timeLayout),
		LastChallenge:  c.LastChallenge,
	}
	if !c.LastSignIn.IsZero() {
		r.LastSignIn = c.LastSignIn.UTC().Format(timeLayout)
	}
	i, err := attributevalue.MarshalMap(r)
	if err != nil {
		panic("dynamo: plain fields always marshal: " + err.Error())
	}
	maps.Copy(i, credentialKey(c.UserHandle, c.ID))
	return i
}

func unmarshalCredential(i item) (passkey.Credential, error) {
	var r record
	if err := attributevalue.UnmarshalMap(i, &r); err != nil {
		return passkey.Credential{}, fmt.Errorf("reading a credential item: %w", err)
	}
	c := passkey.Credential{
		ID:             r.CredentialID,
		UserHandle:     r.UserID,
		PublicKey:      unmarshalKey(r.JWK),
		SignCount:      r.SignCount,
		FriendlyName:   r.FriendlyName,
		UserVerified:   r.UserVerified != 0,
		BackupEligible: r.BackupEligible != 0,
		BackupState:    r.BackupState != 0,
		Transports:     r.Transports,
		RelyingPartyID: r.RelyingPartyID,
		LastChallenge:  r.LastChallenge,
	}
	if len(r.AAGUID) == len(c.AAGUID) {
		copy(c.AAGUID[:], r.AAGUID)
	}
	var err error
	if c.CreatedAt, err = time.Parse(time.RFC3339, r.CreatedAt); err != nil {
		return passkey.Credential{}, fmt.Errorf("reading createdAt of a credential item: %w", err)
	}
	if r.LastSignIn != "" {
		if c.LastSignIn, err = time.Parse(time.RFC3339, r.LastSignIn); err != nil {
			return passkey.Credential{}, fmt.Errorf("reading lastSignIn of a credential item: %w", err)
		}
	}
	return c, nil
}

// marshalKey leaves absent members out, as the table's other readers expect.
func marshalKey(k passkey.PublicKey) map[string]string {
	m := map[string]string{"alg": k.Alg, "crv": k.Crv, "kty": k.Kty, "x": k.X, "y": k.Y, "n": k.N, "e": k.E}
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	return m
}

func unmarshalKey(m map[string]string) passkey.PublicKey {
	return passkey.PublicKey{Alg: m["alg"], Crv: m["crv"], Kty: m["kty"], X: m["x"], Y: m["y"], N: m["n"], E: m["e"]}
}

func userKey(handle, sort string) item {
	return item{"pk": stringValue(userPrefix + handle), "sk": stringValue(sort)}
}

func credentialKey(handle string, id []byte) item {
	return userKey(handle, credentialPrefix+base64.RawURLEncoding.EncodeToString(id))
}

func usernamelessKey(challenge string) item {
	return item{"pk": stringValue(challengePrefix + challenge), "sk": stringValue(usernamelessSort)}
}

func stringValue(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func timestamp(t time.Time) types.AttributeValue { return stringValue(t.UTC().Format(timeLayout)) }

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func flag(b bool) types.AttributeValue {
	if b {
		return &types.AttributeValueMemberN{Value: "1"}
	}
	return &types.AttributeValueMemberN{Value: "0"}
}
