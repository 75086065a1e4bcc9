package localpool

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/define"
	"github.com/caddy-cognito/passwordless/triggers/presignup"
	"github.com/caddy-cognito/passwordless/triggers/pretoken"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

// inProcess makes a trigger of a handler over aws-lambda-go's events. The event really goes through JSON both ways, so that
// nothing works here that would not work in Lambda.
func inProcess[Event any](handle func(context.Context, Event) (Event, error)) Trigger {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		var e Event
		if err := json.Unmarshal(payload, &e); err != nil {
			return nil, fmt.Errorf("reading the event: %w", err)
		}
		answer, err := handle(ctx, e)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			var f *challenge.Failure
			if errors.As(err, &f) {
				return nil, &FunctionError{Text: f.Text}
			}
			return nil, err
		}
		return json.Marshal(answer)
	}
}

// triggerSalt is the salt of hashes in the store (STACK_ID of an AWS deployment). It is no secret.
const triggerSalt = "passwordless-embedded"

// buildTriggers fills the triggers that the configuration left out with those of this module.
func (p *Pool) buildTriggers(s *settings) (Triggers, error) {
	t := s.Triggers
	store := &triggerStore{pool: p}
	if t.PreSignUp == nil {
		h := &presignup.Handler{Mode: presignup.Mode(s.SignUp.Mode), AllowedDomains: s.SignUp.Domains}
		if err := h.Validate(); err != nil {
			return t, err
		}
		t.PreSignUp = inProcess(h.Handle)
	}
	if t.DefineAuthChallenge == nil {
		t.DefineAuthChallenge = inProcess(define.Handle)
	}
	if t.CreateAuthChallenge == nil {
		h := &create.Handler{Secret: p.triggerSecret("create"), Now: s.Now, Rand: s.Rand, Logger: s.Logger}
		if len(s.RedirectURIs) > 0 {
			h.MagicLink = &create.MagicLink{
				Mailer: createMailer{p.mailer(s), s.From}, Signer: store, Leases: store, Links: store, Limiter: store,
				AllowedRedirects: s.RedirectURIs, Salt: triggerSalt, Product: s.Product, Lifetime: s.LinkLifetime, Code: s.MagicLinkCode,
			}
		}
		if rps := s.Passkeys.RelyingParties; len(rps) > 0 {
			h.Passkeys = &create.Passkeys{
				Credentials: p.Credentials(), RelyingPartyID: rps[0].ID, UserVerification: s.Passkeys.UserVerification,
				Timeout: s.Passkeys.SignInTimeout, ExposeCredentialIDs: s.ExposeCredentialIDs,
			}
		}
		if s.SMSStepUp {
			h.SMS = p.createSMS(s, store)
		}
		if err := h.Validate(); err != nil {
			return t, err
		}
		t.CreateAuthChallenge = inProcess(h.Handle)
	}
	if t.VerifyAuthChallenge == nil {
		h := &verify.Handler{Receipts: store, Now: s.Now, Logger: s.Logger}
		if len(s.RedirectURIs) > 0 {
			h.MagicLink = &verify.MagicLink{Links: store, Keys: store, Addresses: store, Salt: triggerSalt,
				Code: s.MagicLinkCode, Operations: store, Limiter: store}
		}
		if len(s.Passkeys.RelyingParties) > 0 {
			h.Passkeys = &verify.Passkeys{Checker: s.Passkeys, Credentials: p.Credentials()}
		}
		if s.SMSStepUp {
			sms, err := p.verifySMS(s, store)
			if err != nil {
				return t, err
			}
			h.SMS = sms
		}
		if err := h.Validate(); err != nil {
			return t, err
		}
		t.VerifyAuthChallenge = inProcess(h.Handle)
	}
	if t.PreTokenGeneration == nil {
		h := &pretoken.Handler{Receipts: store, CustomAuthOnlyClients: []string{s.ClientID}, MagicLinkCode: s.MagicLinkCode, Now: s.Now, Logger: s.Logger}
		if err := h.Validate(); err != nil {
			return t, err
		}
		t.PreTokenGeneration = inProcess(h.Handle)
		if s.PreTokenVersion == PreTokenV2 {
			t.PreTokenGeneration = inProcess(h.HandleV2)
		}
	}
	return t, nil
}

// triggerSecret derives a secret for one purpose from that of the pool.
func (p *Pool) triggerSecret(purpose string) []byte {
	mac := hmac.New(sha256.New, p.identity.StandIn)
	mac.Write([]byte("trigger secret\x00" + purpose))
	return mac.Sum(nil)
}
