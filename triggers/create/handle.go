package create

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// nonceLength is that of the per-session nonce in bytes.
const nonceLength = 16

type event = events.CognitoEventUserPoolsCreateAuthChallenge

// Validate reports settings that cannot work. Call it once, before the first Handle.
func (h *Handler) Validate() error {
	if len(h.Secret) < minSecret {
		return fmt.Errorf("create: the secret has %d bytes, want at least %d", len(h.Secret), minSecret)
	}
	if h.MagicLink == nil && h.Passkeys == nil && h.SMS == nil {
		return errors.New("create: every sign-in method is off")
	}
	if h.MagicLink != nil {
		if err := h.MagicLink.validate(); err != nil {
			return err
		}
	}
	if h.Passkeys != nil && h.Passkeys.Credentials == nil {
		return errors.New("create: passkeys need a credential store")
	}
	if h.SMS != nil {
		return h.SMS.validate()
	}
	return nil
}

// Handle answers one event. Errors are [challenge.Failure]: their text may reach the caller and is the same for every user.
func (h *Handler) Handle(ctx context.Context, e event) (event, error) {
	if e.Request.ChallengeName != "" && e.Request.ChallengeName != challenge.CustomChallenge {
		return e, &challenge.Failure{Text: "unexpected challenge name"}
	}
	if len(e.Request.Session) == 0 {
		return h.authParameters(ctx, e)
	}
	switch method := challenge.SignInMethod(e.Request.ClientMetadata[challenge.KeySignInMethod]); {
	case method == challenge.MagicLink && h.MagicLink != nil:
		return h.magicLink(ctx, e)
	case method == challenge.SMSStepUp && h.SMS != nil:
		return h.sms(ctx, e)
	case method == challenge.MagicLink || method == challenge.SMSStepUp:
		return e, &challenge.Failure{Text: "sign-in method is not enabled: " + string(method)}
	default:
		return e, &challenge.Failure{Text: "unrecognized sign-in method"}
	}
}

// authParameters is round one. It sends and stores nothing, so a retry may make a new nonce: Cognito keeps one answer only.
func (h *Handler) authParameters(ctx context.Context, e event) (event, error) {
	raw := make([]byte, nonceLength)
	if _, err := io.ReadFull(h.random(), raw); err != nil {
		return e, h.fail(ctx, "no randomness", err)
	}
	nonce := challenge.EncodeBase64(raw)
	public := map[string]string{challenge.ParamChallenge: challenge.ProvideAuthParameters}
	private := map[string]string{challenge.ParamChallenge: challenge.ProvideAuthParameters, challenge.ParamNonce: nonce}
	if h.Passkeys != nil {
		options, carried, err := h.passkeyOptions(ctx, e)
		if err != nil {
			return e, h.fail(ctx, "passkeys are not available at the moment", err)
		}
		public[challenge.ParamFIDO2Options] = options
		private[challenge.ParamFIDO2Options] = options
		if carried != "" {
			private[challenge.ParamPasskeys] = carried
		}
	}
	e.Response.PublicChallengeParameters = public
	e.Response.PrivateChallengeParameters = private
	e.Response.ChallengeMetadata = challenge.AuthParametersMetadata(nonce)
	return e, nil
}

// sessionNonce is that of round one; empty when another implementation's trigger made that round.
func sessionNonce(e event) string {
	for _, r := range e.Request.Session {
		if r == nil {
			continue
		}
		if nonce, ok := challenge.ParseAuthParametersMetadata(r.ChallengeMetadata); ok {
			return nonce
		}
	}
	return ""
}

// present leaves out parameters without a value.
func present(parameters map[string]string) map[string]string {
	maps.DeleteFunc(parameters, func(_, v string) bool { return v == "" })
	return parameters
}

func (h *Handler) now() time.Time {
	if h.Now == nil {
		return time.Now()
	}
	return h.Now()
}

func (h *Handler) random() io.Reader {
	if h.Rand == nil {
		return rand.Reader
	}
	return h.Rand
}

// fail logs the cause and returns an error whose text tells the caller nothing about the user.
func (h *Handler) fail(ctx context.Context, text string, cause error) error {
	if h.Logger != nil {
		h.Logger.LogAttrs(ctx, slog.LevelError, text, slog.String("trigger", "create"), slog.Any("error", cause))
	}
	return &challenge.Failure{Text: text, Cause: cause}
}
