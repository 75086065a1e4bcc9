package pretoken

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/aws/aws-lambda-go/events"
	"github.com/caddy-cognito/passwordless/internal/challenge"
)

type (
	event   = events.CognitoEventUserPoolsPreTokenGen
	eventV2 = events.CognitoEventUserPoolsPreTokenGenV2_0
)

// authMethods are the values of ClaimAuthMethods by method.
var authMethods = map[string]string{
	string(challenge.FIDO2):         "passkey",
	string(challenge.MagicLink):     "magic_link",
	challenge.MetadataMagicLinkCode: "email_code",
	string(challenge.SMSStepUp):     "sms",
}

// reserved are claims that client metadata, which the caller writes, must never set.
var reserved = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "origin_jti", "event_id", "token_use", "auth_time", "amr", "acr", "azp", "nonce",
	"client_id", "scope", "username", "version", "device_key", "at_hash", "identities", "email", "email_verified", "phone_number",
	"phone_number_verified", "groups", ClaimAuthMethods,
}

// Validate reports persisted keys that would set a claim others trust.
func (h *Handler) Validate() error {
	for _, k := range h.PersistedKeys {
		if k == challenge.KeyFirstFactorToken {
			return fmt.Errorf("pretoken: client metadata key %q cannot be persisted: it holds a token", k)
		}
		claim := snakeCase(k)
		if k == "" || strings.HasPrefix(claim, "cognito:") || strings.HasPrefix(claim, "custom:") || slices.Contains(reserved, claim) {
			return fmt.Errorf("pretoken: client metadata key %q cannot be persisted: claim %q is not the caller's to set", k, claim)
		}
	}
	return nil
}

// HandleJSON answers an event of either version: "1" by Handle, later ones by HandleV2.
func (h *Handler) HandleJSON(ctx context.Context, raw json.RawMessage) (any, error) {
	var header events.CognitoEventUserPoolsHeader
	if err := json.Unmarshal(raw, &header); err != nil {
		return nil, &challenge.Failure{Text: "not a token generation event", Cause: err}
	}
	if header.Version == "" || header.Version == "1" {
		var e event
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, &challenge.Failure{Text: "not a token generation event", Cause: err}
		}
		answer, err := h.Handle(ctx, e)
		if err != nil {
			return nil, err
		}
		return answer, nil
	}
	var e eventV2
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, &challenge.Failure{Text: "not a token generation event", Cause: err}
	}
	answer, err := h.HandleV2(ctx, e)
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// Handle answers a version 1 event: claims of the ID token. The groups are always copied from the request, for Cognito
// takes an empty override for "no groups".
// https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-token-generation.html
func (h *Handler) Handle(ctx context.Context, e event) (event, error) {
	e.Response.ClaimsOverrideDetails.GroupOverrideDetails = e.Request.GroupConfiguration
	claims, err := h.claims(ctx, e.CognitoEventUserPoolsHeader, e.Request.ClientMetadata)
	if err != nil {
		return e, err
	}
	if len(claims) > 0 {
		e.Response.ClaimsOverrideDetails.ClaimsToAddOrOverride = claims
	}
	return e, nil
}

// HandleV2 answers a version 2 or 3 event: the same claims in the ID token and in the access token.
func (h *Handler) HandleV2(ctx context.Context, e eventV2) (eventV2, error) {
	details := &e.Response.ClaimsAndScopeOverrideDetails
	details.GroupOverrideDetails = e.Request.GroupConfiguration
	claims, err := h.claims(ctx, e.CognitoEventUserPoolsHeader, e.Request.ClientMetadata)
	if err != nil {
		return e, err
	}
	if len(claims) > 0 {
		values := make(map[string]any, len(claims))
		for k, v := range claims {
			values[k] = v
		}
		details.IDTokenGeneration.ClaimsToAddOrOverride = values
		details.AccessTokenGeneration.ClaimsToAddOrOverride = maps.Clone(values)
	}
	return e, nil
}

// claims are those of one sign-in; none for refreshes and other ways to tokens.
func (h *Handler) claims(ctx context.Context, head events.CognitoEventUserPoolsHeader, metadata map[string]string) (map[string]string, error) {
	if head.TriggerSource != sourceAuthentication {
		return nil, nil
	}
	claims := map[string]string{}
	for _, k := range h.PersistedKeys {
		v, ok := metadata[k]
		if !ok || snakeCase(k) == ClaimSignInMethod {
			continue
		}
		if len(utf16.Encode([]rune(v))) > maxValue {
			return nil, &challenge.Failure{Text: fmt.Sprintf("client metadata value is too long: %s, want at most %d characters", k, maxValue)}
		}
		claims[snakeCase(k)] = v
	}
	method, err := h.method(ctx, head, metadata)
	if err != nil {
		return nil, err
	}
	if name, ok := authMethods[method]; ok {
		claims[ClaimSignInMethod] = method
		claims[ClaimAuthMethods] = name
	}
	return claims, nil
}

// method is what passed Verify in this very call, or "" when that is not proven.
func (h *Handler) method(ctx context.Context, head events.CognitoEventUserPoolsHeader, metadata map[string]string) (string, error) {
	client := head.CallerContext.ClientID
	if attempt := metadata[challenge.KeyAttemptID]; attempt != "" && h.Receipts != nil {
		r, err := h.Receipts.Receipt(ctx, challenge.ReceiptKey(client, head.UserName, attempt))
		switch {
		case err == nil && h.now().Before(r.Expires):
			return r.Method, nil
		case err != nil && !errors.Is(err, ErrReceiptNotFound):
			if h.Logger != nil {
				h.Logger.LogAttrs(ctx, slog.LevelError, "cannot read the receipt", slog.String("trigger", "pretoken"), slog.Any("error", err))
			}
			return "", &challenge.Failure{Text: "the sign-in method cannot be read at the moment", Cause: err}
		}
	}
	called := metadata[challenge.KeySignInMethod]
	if client == "" || !slices.Contains(h.CustomAuthOnlyClients, client) || called == challenge.MetadataMagicLinkCode ||
		h.MagicLinkCode && called == string(challenge.MagicLink) {
		return "", nil
	}
	return called, nil
}

func (h *Handler) now() time.Time {
	if h.Now == nil {
		return time.Now()
	}
	return h.Now()
}

// snakeCase turns signInMethod into sign_in_method.
func snakeCase(key string) string {
	var b strings.Builder
	for i, r := range key {
		if unicode.IsUpper(r) {
			if i > 0 {
				b.WriteByte('_')
			}
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}
