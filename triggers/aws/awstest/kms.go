package awstest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// KMS is a fake of AWS KMS with RSA keys for SIGN_VERIFY, reached by ARN or alias.
type KMS struct {
	*httptest.Server

	mu      sync.Mutex
	keys    map[string]*rsa.PrivateKey // by ARN
	aliases map[string]string          // alias → ARN
	reads   int
}

// StartKMS runs a KMS until the test ends.
func StartKMS(t testing.TB) *KMS {
	k := &KMS{keys: make(map[string]*rsa.PrivateKey), aliases: make(map[string]string)}
	k.Server = httptest.NewServer(k)
	t.Cleanup(k.Close)
	return k
}

// AddKey makes a key, points the alias at it, and returns its ARN.
func (k *KMS) AddKey(t testing.TB, alias string) (arn string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	arn = "arn:aws:kms:eu-west-1:111122223333:key/" + rand.Text()
	k.keys[arn], k.aliases[alias] = key, arn
	return arn
}

// Reads says how often a public key was asked for.
func (k *KMS) Reads() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reads
}

// ServeHTTP answers Sign and GetPublicKey (https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html).
func (k *KMS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		KeyID            string `json:"KeyId"`
		Message          []byte `json:"Message"`
		MessageType      string `json:"MessageType"`
		SigningAlgorithm string `json:"SigningAlgorithm"`
	}
	_, operation, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "TrentService.")
	switch {
	case !signedFor(r, "kms"):
		refuse(w, "MissingAuthenticationTokenException", "the request is not signed for kms")
		return
	case r.Method != http.MethodPost || !ok || r.Header.Get("Content-Type") != "application/x-amz-json-1.1":
		refuse(w, "UnknownOperationException", "not the JSON 1.1 protocol")
		return
	case json.NewDecoder(r.Body).Decode(&in) != nil:
		refuse(w, "SerializationException", "no JSON")
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	arn := in.KeyID
	if target, ok := k.aliases[arn]; ok {
		arn = target
	}
	key, ok := k.keys[arn]
	if !ok {
		refuse(w, "NotFoundException", "no such key")
		return
	}
	out := map[string]any{"KeyId": arn}
	var err error
	switch operation {
	case "Sign":
		if in.MessageType != "DIGEST" || in.SigningAlgorithm != "RSASSA_PSS_SHA_512" || len(in.Message) != sha512.Size {
			refuse(w, "ValidationException", "want a digest for RSASSA_PSS_SHA_512")
			return
		}
		out["SigningAlgorithm"] = in.SigningAlgorithm
		out["Signature"], err = rsa.SignPSS(rand.Reader, key, crypto.SHA512, in.Message, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case "GetPublicKey":
		k.reads++
		out["KeyUsage"], out["KeySpec"] = "SIGN_VERIFY", "RSA_2048"
		out["PublicKey"], err = x509.MarshalPKIXPublicKey(&key.PublicKey)
	default:
		refuse(w, "UnknownOperationException", "unknown operation")
		return
	}
	if err != nil {
		refuse(w, "KMSInternalException", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(out)
}
