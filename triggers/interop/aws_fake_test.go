package interop_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// fakeAWS is a fake of KMS and of SES: one signing key, and the texts of all mails.
type fakeAWS struct {
	*httptest.Server
	key   *rsa.PrivateKey
	mu    sync.Mutex
	mails []string
}

func startAWS(t *testing.T) *fakeAWS {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	a := &fakeAWS{key: key}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *fakeAWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, isKMS := strings.Cut(r.Header.Get("X-Amz-Target"), "TrentService.")
	switch {
	case isKMS:
		a.serveKMS(w, r, operation)
	case r.FormValue("Action") == "SendEmail":
		a.mu.Lock()
		a.mails = append(a.mails, r.FormValue("Message.Body.Text.Data"))
		a.mu.Unlock()
		w.Header().Set("Content-Type", "text/xml")
		_, _ = io.WriteString(w, `<SendEmailResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><SendEmailResult><MessageId>1</MessageId></SendEmailResult></SendEmailResponse>`)
	default:
		http.Error(w, "unknown operation", http.StatusNotFound)
	}
}

// serveKMS signs as KMS does: RSASSA-PSS with a salt as long as the digest.
func (a *fakeAWS) serveKMS(w http.ResponseWriter, r *http.Request, operation string) {
	var in struct {
		KeyId, MessageType, SigningAlgorithm string
		Message                              []byte
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, "no JSON", http.StatusBadRequest)
		return
	}
	out := map[string]any{"KeyId": in.KeyId}
	var err error
	switch {
	case operation == "Sign" && in.MessageType == "DIGEST" && in.SigningAlgorithm == "RSASSA_PSS_SHA_512":
		out["Signature"], err = rsa.SignPSS(rand.Reader, a.key, crypto.SHA512, in.Message, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case operation == "GetPublicKey":
		out["PublicKey"], err = x509.MarshalPKIXPublicKey(&a.key.PublicKey)
	default:
		http.Error(w, "unknown operation", http.StatusBadRequest)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(out)
}

// lastMail is the text of the newest mail.
func (a *fakeAWS) lastMail() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.mails) == 0 {
		return ""
	}
	return a.mails[len(a.mails)-1]
}
