package verify

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// receiptTime is how long a receipt counts: pretoken runs in the same call.
const receiptTime = 60 * time.Second

// maxAttemptID bounds the client's attempt ID in bytes.
const maxAttemptID = 256

type event = events.CognitoEventUserPoolsVerifyAuthChallenge

// errDenied says that an answer proves nothing. Its text is for logs; the caller sees answerCorrect false.
type errDenied string

func (e errDenied) Error() string { return string(e) }

// Validate reports settings that cannot work. Call it once, before the first Handle.
func (h *Handler) Validate() error {
	switch {
	case h.MagicLink == nil && h.Passkeys == nil && h.SMS == nil:
		return errors.New("verify: every sign-in method is off")
	case h.MagicLink != nil && (h.MagicLink.Links == nil || h.MagicLink.Keys == nil):
		return errors.New("verify: magic links need links and keys")
	case h.MagicLink != nil && h.MagicLink.Code && (h.MagicLink.Operations == nil || h.MagicLink.Limiter == nil):
		return errors.New("verify: short codes need a store that finds links by operation, and a limiter")
	case h.MagicLink != nil && h.MagicLink.PerHour < 0:
		return errors.New("verify: the limit of wrong codes is negative")
	case h.Passkeys != nil && (h.Passkeys.Checker == nil || h.Passkeys.Credentials == nil):
		return errors.New("verify: passkeys need settings and a credential store")
	case h.SMS != nil && (h.SMS.Tokens == nil || h.SMS.Limiter == nil):
		return errors.New("verify: SMS step-up needs a token verifier and a limiter")
	case h.SMS != nil && h.SMS.PerHour < 0:
		return errors.New("verify: the limit of wrong codes is negative")
	case h.EnforceFIDO2IfAvailable && h.Passkeys == nil:
		return errors.New("verify: passkeys cannot be enforced while they are off")
	}
	return nil
}

// Handle answers one event. Errors are [challenge.Failure] and leave the proof usable.
func (h *Handler) Handle(ctx context.Context, e event) (event, error) {
	e.Response.AnswerCorrect = false
	method := challenge.SignInMethod(e.Request.ClientMetadata[challenge.KeySignInMethod])
	answer, ok := e.Request.ChallengeAnswer.(string)
	if !ok || answer == "" || answer == challenge.AnswerAuthParameters {
		return e, nil
	}
	passed := string(method)
	if method == challenge.MagicLink && challenge.IsCodeAnswer(answer) {
		passed = challenge.MetadataMagicLinkCode
	}
	err := h.verify(ctx, e, method, answer)
	var denied errDenied
	switch {
	case errors.As(err, &denied):
		h.log(ctx, slog.LevelInfo, "denied", method, slog.String("reason", denied.Error()))
		return e, nil
	case err != nil:
		h.log(ctx, slog.LevelError, "failed", method, slog.Any("error", err))
		return e, &challenge.Failure{Text: "sign-in is not available at the moment", Cause: err}
	}
	h.receipt(ctx, e, passed)
	h.log(ctx, slog.LevelInfo, "passed", method)
	e.Response.AnswerCorrect = true
	return e, nil
}

// verify returns nil if the answer proves the method, errDenied if it does not.
func (h *Handler) verify(ctx context.Context, e event, method challenge.SignInMethod, answer string) error {
	if h.EnforceFIDO2IfAvailable && method != challenge.FIDO2 {
		list, err := h.Passkeys.Credentials.List(ctx, userHandle(e), "")
		if err != nil {
			return err
		}
		if len(list) > 0 {
			return errDenied("the user has a passkey")
		}
	}
	switch {
	case method == challenge.MagicLink && h.MagicLink != nil && challenge.IsCodeAnswer(answer):
		return h.linkCode(ctx, e, answer)
	case method == challenge.MagicLink && h.MagicLink != nil:
		return h.magicLink(ctx, e, answer)
	case method == challenge.FIDO2 && h.Passkeys != nil:
		return h.passkey(ctx, e, answer)
	case method == challenge.SMSStepUp && h.SMS != nil:
		return h.sms(ctx, e, answer)
	default:
		return errDenied("the method is unknown or off")
	}
}

// receipt tells pretoken what passed. Where it cannot be stored the sign-in goes on without a claim: the proof is used up.
func (h *Handler) receipt(ctx context.Context, e event, method string) {
	attempt := e.Request.ClientMetadata[challenge.KeyAttemptID]
	if h.Receipts == nil || attempt == "" || len(attempt) > maxAttemptID {
		return
	}
	now := h.now()
	key := challenge.ReceiptKey(e.CallerContext.ClientID, e.UserName, attempt)
	if err := h.Receipts.PutReceipt(ctx, key, Receipt{Method: method, At: now, Expires: now.Add(receiptTime)}); err != nil {
		h.log(ctx, slog.LevelError, "cannot store the receipt", challenge.SignInMethod(e.Request.ClientMetadata[challenge.KeySignInMethod]), slog.Any("error", err))
	}
}

// authParametersRound reports whether the answer is for round one.
func authParametersRound(e event) bool {
	return e.Request.PrivateChallengeParameters[challenge.ParamChallenge] == challenge.ProvideAuthParameters
}

// nonce is that of the Cognito session; empty when another implementation created the challenge.
func nonce(e event) string { return e.Request.PrivateChallengeParameters[challenge.ParamNonce] }

func userHandle(e event) string {
	return challenge.UserHandle(e.UserName, e.Request.UserAttributes["sub"])
}

func (h *Handler) now() time.Time {
	if h.Now == nil {
		return time.Now()
	}
	return h.Now()
}

func (h *Handler) log(ctx context.Context, level slog.Level, outcome string, method challenge.SignInMethod, attrs ...slog.Attr) {
	if h.Logger == nil {
		return
	}
	switch method {
	case challenge.MagicLink, challenge.FIDO2, challenge.SMSStepUp:
	default:
		method = "unknown" // the caller's own text stays out of the logs
	}
	attrs = append([]slog.Attr{slog.String("trigger", "verify"), slog.String("method", string(method))}, attrs...)
	h.Logger.LogAttrs(ctx, level, outcome, attrs...)
}
