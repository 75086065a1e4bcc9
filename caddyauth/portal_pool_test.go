package caddyauth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/userpool"
)

// poolUser is somebody whom the fake pool knows.
type poolUser struct{ sub, email string }

// fakePool is a user pool in a few lines. Every function may be replaced; calls notes what was asked, in order.
type fakePool struct {
	p *portalTest

	signUp   func(userpool.SignUp) error
	initiate func(string) (userpool.Challenge, error)
	respond  func(userpool.Response) (userpool.Result, error)

	mu         sync.Mutex
	users      map[string]poolUser // by e-mail address and by sub
	sessions   map[string]poolUser
	offered    map[string]string // challenge by Session
	links      map[string]poolUser
	mails      []userpool.Response
	lastLink   string
	calls      []string
	revoked    int
	everywhere []string // access tokens of GlobalSignOut
	count      int
	phones     fakePhones
	codes      map[string]*mailedCode // by Session
	lastCode   string
	answered   map[string]string // client metadata of the last answer
}

func (f *fakePool) note(call string) {
	f.calls = append(f.calls, call)
}

func (f *fakePool) SignUp(_ context.Context, in userpool.SignUp) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("SignUp")
	if f.signUp != nil {
		return f.signUp(in)
	}
	if _, ok := f.users[strings.ToLower(in.Username)]; ok {
		return userpool.ErrUserExists
	}
	return nil
}

func (f *fakePool) Initiate(_ context.Context, username string) (userpool.Challenge, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("Initiate")
	if f.initiate != nil {
		return f.initiate(username)
	}
	user, ok := f.users[strings.ToLower(username)]
	if !ok {
		user.sub = "9a0f2f5e-9999-4222-8333-444455556666"
	}
	f.count++
	id := fmt.Sprintf("session-%d", f.count)
	f.sessions[id] = user
	value, err := passkey.NewChallenge(nil)
	f.offered[id] = value
	return userpool.Challenge{
		Session: id, Username: user.sub,
		Parameters: map[string]string{challenge.ParamFIDO2Options: challenge.PasskeyOptions{Challenge: value, Timeout: 120000, UserVerification: "required"}.Encode()},
	}, err
}

func (f *fakePool) Respond(_ context.Context, in userpool.Response) (userpool.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("Respond " + in.ClientMetadata[challenge.KeySignInMethod])
	f.answered = in.ClientMetadata
	if f.respond != nil {
		return f.respond(in)
	}
	user, ok := f.sessions[in.Session]
	if !ok || in.Username != user.sub {
		return userpool.Result{}, userpool.ErrSessionExpired
	}
	delete(f.sessions, in.Session)
	if in.ClientMetadata[challenge.KeySignInMethod] == string(challenge.SMSStepUp) {
		return f.respondSMS(user, in)
	}
	switch {
	case challenge.IsCodeAnswer(in.Answer):
		if again, err := f.checkCode(user, in); again != nil || err != nil {
			return userpool.Result{Challenge: again}, err
		}
	case in.Answer == challenge.AnswerAuthParameters:
		f.mails = append(f.mails, in)
		if in.ClientMetadata[challenge.KeyMagicLinkCode] == "yes" {
			if user.email != "" {
				f.lastLink = f.p.newLink(user, f.p.clock.Now())
				f.links[f.lastLink] = user
			}
			return userpool.Result{Challenge: f.awaitCode(user, f.newCode(user))}, nil
		}
		if user.email == "" {
			return userpool.Result{Challenge: new(userpool.Challenge)}, nil
		}
		f.lastLink = f.p.newLink(user, f.p.clock.Now())
		f.links[f.lastLink] = user
		return userpool.Result{Challenge: new(userpool.Challenge)}, nil
	case in.ClientMetadata[challenge.KeySignInMethod] == string(challenge.MagicLink):
		owner, ok := f.links[in.Answer]
		if !ok || owner != user || in.ClientMetadata[challenge.KeyAlreadyHaveMagicLink] != "yes" {
			return userpool.Result{}, userpool.ErrNotAuthorized
		}
		delete(f.links, in.Answer)
	default:
		if err := f.checkPasskey(user, f.offered[in.Session], in.Answer); err != nil {
			return userpool.Result{}, fmt.Errorf("%w: %w", userpool.ErrNotAuthorized, err)
		}
	}
	tokens := f.p.tokens(user, f.p.clock.Now())
	return userpool.Result{Tokens: &tokens}, nil
}

// checkPasskey does what the verify trigger does.
func (f *fakePool) checkPasskey(user poolUser, offered, raw string) error {
	answer, err := challenge.ParsePasskeyAnswer(raw)
	if err != nil {
		return err
	}
	asked, err := passkey.ChallengeOf(answer.ClientDataJSON)
	if err != nil {
		return err
	}
	id, err := challenge.DecodeBase64(answer.CredentialID)
	if err != nil {
		return err
	}
	handle := challenge.UserHandle(user.sub, user.sub)
	credential, err := f.p.store.Get(context.Background(), handle, id)
	if err != nil {
		return err
	}
	outcome, err := f.p.rt.config.passkeys.Check(answer, asked, credential)
	if err != nil {
		return err
	}
	return f.p.store.RecordSignIn(context.Background(), passkey.SignIn{
		UserHandle: handle, CredentialID: id, SignCount: outcome.SignCount, BackupState: outcome.BackupState,
		Challenge: asked, Usernameless: asked != offered, Attempt: rand.Text(), At: f.p.clock.Now(),
	})
}

func (*fakePool) ConfirmDevice(context.Context, string, userpool.Device) error {
	return userpool.ErrNotConfigured // it tracks none
}

func (f *fakePool) Refresh(context.Context, string, string) (userpool.Tokens, error) {
	return userpool.Tokens{}, userpool.ErrNotAuthorized
}

func (f *fakePool) Revoke(context.Context, string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revoked++
	return nil
}

func (f *fakePool) GlobalSignOut(_ context.Context, accessToken string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.everywhere = append(f.everywhere, accessToken)
	return nil
}

// told is the notifier's memory.
type told []string

func (n *told) PasskeyChanged(_ context.Context, username, event, name string) error {
	*n = append(*n, username+" "+event+" "+name)
	return nil
}

func (n *told) PhoneChanged(_ context.Context, username, event, lastDigits string) error {
	*n = append(*n, username+" phone "+event+" "+lastDigits)
	return nil
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (p *portalTest) jwks(*http.Request) (*http.Response, error) {
	encode := base64.RawURLEncoding.EncodeToString
	body := fmt.Sprintf(`{"keys":[{"kty":"RSA","alg":"RS256","use":"sig","kid":"k1","n":%q,"e":%q}]}`,
		encode(p.key.N.Bytes()), encode(big.NewInt(int64(p.key.E)).Bytes()))
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// jwt signs claims as the pool does.
func (p *portalTest) jwt(claims map[string]any) string {
	p.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		p.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"RS256","kid":"k1"}`)) + "." + encode(payload)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, p.key, crypto.SHA256, sum[:])
	if err != nil {
		p.Fatal(err)
	}
	return signed + "." + encode(signature)
}

func (p *portalTest) tokens(user poolUser, at time.Time) userpool.Tokens {
	common := func(use string, more map[string]any) string {
		now := p.clock.Now().Unix()
		claims := map[string]any{
			"iss": "https://pool.example.com/p", "sub": user.sub, "token_use": use, "auth_time": at.Unix(),
			"iat": now, "exp": now + 3600, "jti": rand.Text(), "origin_jti": "family-" + user.sub,
		}
		for name, value := range more {
			claims[name] = value
		}
		return p.jwt(claims)
	}
	return userpool.Tokens{
		ID:      common("id", map[string]any{"aud": "client", "email": user.email, "email_verified": true, "cognito:username": user.sub}),
		Access:  common("access", map[string]any{"client_id": "client", "username": user.sub}),
		Refresh: rand.Text(), ExpiresIn: time.Hour,
	}
}

func (p *portalTest) newLink(user poolUser, at time.Time) string {
	message := challenge.LinkMessage{UserName: user.sub, IssuedAt: at.Unix(), Expires: at.Add(15 * time.Minute).Unix()}
	return challenge.Link{Message: message, Raw: challenge.EncodeLinkMessage(message), Signature: []byte(rand.Text())}.Answer()
}
