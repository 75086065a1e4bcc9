package triggers_test

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/triggers/create"
)

// recorded are exchanges of amazon-cognito-passwordless-auth 0.17.0.
type recorded struct {
	Context struct {
		StackID string `json:"STACK_ID"`
		Origin  string `json:"origin"`
		RPID    string `json:"rpId"`
	} `json:"context"`
	Magic struct {
		Link  string `json:"link"`
		Items []struct {
			UserNameHash, SignatureHash struct{ B []byte }
			IssuedAt                    struct{ N string } `json:"iat"`
			Expires                     struct{ N string } `json:"exp"`
			KeyID                       struct{ S string } `json:"kmsKeyId"`
		} `json:"dbItem"`
		PublicKeyPEM string `json:"publicKeyPem"`
	} `json:"magic"`
	FIDO struct {
		CompleteRequest passkey.Attestation `json:"completeRequest"`
		Start           struct{ Body string }
		SignInOptions   json.RawMessage `json:"signinOptions"`
		Answer          json.RawMessage `json:"answer"`
	} `json:"fido"`
}

type publicKeys map[string]*rsa.PublicKey

func (k publicKeys) PublicKey(_ context.Context, id string) (*rsa.PublicKey, error) {
	if key, ok := k[id]; ok {
		return key, nil
	}
	return nil, errDown
}

func seconds(t *testing.T, n string) time.Time {
	t.Helper()
	v, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(v, 0)
}

// A link that an existing deployment mailed before the switch, with the item it stored, passes Verify once.
func TestRecordedLinkPasses(t *testing.T) {
	r := read[recorded](t, "recorded.json")
	p := newPool(t)
	item := r.Magic.Items[0]
	block, _ := pem.Decode([]byte(r.Magic.PublicKeyPEM))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	p.verify.MagicLink.Salt, p.verify.MagicLink.Keys = r.Context.StackID, publicKeys{item.KeyID.S: key.(*rsa.PublicKey)}
	p.memory.links = []*storedLink{{Link: create.Link{
		UserNameHash: hash(item.UserNameHash.B), SignatureHash: hash(item.SignatureHash.B), KeyID: item.KeyID.S,
		IssuedAt: seconds(t, item.IssuedAt.N), Expires: seconds(t, item.Expires.N),
	}}}
	_, fragment, _ := strings.Cut(r.Magic.Link, "#")
	p.now = seconds(t, item.Expires.N)
	s := p.initiate(alice)
	for range 2 {
		if !s.answer(fragment, bringLink) {
			t.Error("the link, or the retry of it, did not pass in its last second")
		}
	}
	if p.initiate(alice).answer(fragment, bringLink) {
		t.Error("the link passed twice")
	}
	p.now = p.now.Add(time.Second)
	if s.answer(fragment, bringLink) {
		t.Error("the link passed after its end")
	}
}

// A passkey that was registered at an existing deployment, with the recorded assertion, signs in here.
func TestRecordedPasskeyPasses(t *testing.T) {
	r := read[recorded](t, "recorded.json")
	p := newPool(t)
	settings := passkey.Settings{RelyingParties: []passkey.RelyingParty{{ID: r.Context.RPID, Origins: []string{r.Context.Origin}}}}
	p.verify.Passkeys.Checker = settings
	c := &passkey.Ceremonies{Settings: settings, Store: p.passkeys, Now: func() time.Time { return p.now }}
	var options struct{ Challenge string }
	if err := json.Unmarshal([]byte(r.FIDO.Start.Body), &options); err != nil {
		t.Fatal(err)
	}
	if err := p.passkeys.PutRegistration(t.Context(), alice, options.Challenge, []byte(r.FIDO.Start.Body), p.now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.FinishRegistration(t.Context(), passkey.User{Handle: alice}, r.FIDO.CompleteRequest); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(private map[string]string){
		"list of the session": func(private map[string]string) {},
		"private parameters of their Create": func(private map[string]string) {
			delete(private, challenge.ParamPasskeys)
			delete(private, challenge.ParamNonce)
		},
	} {
		s := p.initiate(alice)
		s.private[challenge.ParamFIDO2Options] = string(r.FIDO.SignInOptions)
		edit(s.private)
		if !s.answer(string(r.FIDO.Answer), byPasskey) {
			t.Errorf("%s: the recorded assertion did not pass", name)
		}
		s = p.initiate(alice)
		s.private[challenge.ParamFIDO2Options] = strings.Replace(string(r.FIDO.SignInOptions), `"challenge": "`, `"challenge": "A`, 1)
		if s.answer(string(r.FIDO.Answer), byPasskey) {
			t.Errorf("%s: it passed for another challenge", name)
		}
	}
}
