package caddyauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/userpool"
)

// fakePhones is what the fake pool knows of phones.
type fakePhones struct {
	numbers  map[string]string // by sub
	verified map[string]bool   // by sub
	texts    []sentCode
	awaited  map[string]awaitedCode // by Session
}

// sentCode is one SMS.
type sentCode struct{ to, code string }

type awaitedCode struct {
	code  string
	tries int
}

// ownerOf reads the subject of an access token.
func ownerOf(accessToken string) string {
	_, rest, _ := strings.Cut(accessToken, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	var claims struct {
		Subject string `json:"sub"`
		Use     string `json:"token_use"`
	}
	if err != nil || json.Unmarshal(raw, &claims) != nil || claims.Use != "access" {
		return ""
	}
	return claims.Subject
}

func (f *fakePool) User(_ context.Context, accessToken string) (userpool.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sub := ownerOf(accessToken)
	if sub == "" {
		return userpool.User{}, userpool.ErrNotAuthorized
	}
	user := userpool.User{Username: sub, Attributes: map[string]string{}}
	if number := f.phones.numbers[sub]; number != "" {
		user.Attributes["phone_number"], user.Attributes["phone_number_verified"] = number, fmt.Sprint(f.phones.verified[sub])
	}
	return user, nil
}

// hasPhone gives somebody a number that is verified.
func (f *fakePool) hasPhone(sub, number string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.phones.set(sub, number, true)
}

// respondSMS does what the triggers do: a code for who shows a token of the same user, three tries.
func (f *fakePool) respondSMS(user poolUser, in userpool.Response) (userpool.Result, error) {
	f.count++
	id := fmt.Sprintf("session-%d", f.count)
	next := userpool.Challenge{Session: id, Username: user.sub, Parameters: map[string]string{challenge.ParamPhoneNumber: challenge.MaskPhone(f.phones.numbers[user.sub])}}
	if in.Answer == challenge.AnswerAuthParameters {
		code := fmt.Sprintf("%06d", 314159+f.count)
		if ownerOf(in.ClientMetadata[challenge.KeyFirstFactorToken]) == user.sub {
			f.phones.texts = append(f.phones.texts, sentCode{f.phones.numbers[user.sub], code})
		}
		f.phones.awaited[id], f.sessions[id] = awaitedCode{code: code}, user
		return userpool.Result{Challenge: &next}, nil
	}
	awaited, ok := f.phones.awaited[in.Session]
	answer, err := challenge.ParseSMSAnswer(in.Answer)
	if !ok || err != nil || ownerOf(answer.AccessToken) != user.sub {
		return userpool.Result{}, userpool.ErrNotAuthorized
	}
	delete(f.phones.awaited, in.Session)
	if answer.SecretCode == awaited.code {
		tokens := f.p.tokens(user, f.p.clock.Now())
		return userpool.Result{Tokens: &tokens}, nil
	}
	if awaited.tries++; awaited.tries >= 3 {
		return userpool.Result{}, userpool.ErrNotAuthorized
	}
	f.phones.awaited[id], f.sessions[id] = awaited, user
	return userpool.Result{Challenge: &next}, nil
}

// fieldTexts are the values of a log entry's fields.
func fieldTexts(fields []zap.Field) (texts []string) {
	for _, field := range fields {
		texts = append(texts, field.String)
		if err, ok := field.Interface.(error); ok {
			texts = append(texts, err.Error())
		}
	}
	return texts
}

func (f *fakePool) UpdateAttributes(_ context.Context, accessToken string, attributes map[string]string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sub := ownerOf(accessToken)
	if sub == "" {
		return nil, userpool.ErrNotAuthorized
	}
	f.phones.set(sub, attributes["phone_number"], false)
	return nil, nil
}

func (f *fakePool) DeleteAttributes(_ context.Context, accessToken string, names ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	sub := ownerOf(accessToken)
	if sub == "" || len(names) != 1 || names[0] != "phone_number" {
		return userpool.ErrNotAuthorized
	}
	f.phones.set(sub, "", false)
	return nil
}

func (f *fakePool) SendAttributeCode(_ context.Context, accessToken, attribute string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	number := f.phones.numbers[ownerOf(accessToken)]
	if number == "" || attribute != "phone_number" {
		return userpool.ErrNotAuthorized
	}
	f.count++
	sent := sentCode{number, fmt.Sprintf("%06d", 271828+f.count)}
	f.phones.texts = append(f.phones.texts, sent)
	f.phones.awaited[number] = awaitedCode{code: sent.code}
	return nil
}

func (f *fakePool) VerifyAttribute(_ context.Context, accessToken, _, code string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	sub := ownerOf(accessToken)
	awaited, ok := f.phones.awaited[f.phones.numbers[sub]]
	switch {
	case !ok:
		return userpool.ErrCodeExpired
	case awaited.code != code:
		return userpool.ErrCodeWrong
	}
	delete(f.phones.awaited, f.phones.numbers[sub])
	f.phones.verified[sub] = true
	return nil
}

func (f *fakePhones) set(sub, number string, verified bool) {
	if f.numbers == nil {
		*f = fakePhones{numbers: map[string]string{}, verified: map[string]bool{}, awaited: map[string]awaitedCode{}}
	}
	f.numbers[sub], f.verified[sub] = number, verified
}
