package localpool

import (
	"context"
	"slices"
	"strings"
)

// preSignUp asks whether the account may be made.
func (p *Pool) preSignUp(ctx context.Context, s *settings, source, username string, attributes map[string]string, in signUpInput) (preSignUpResponse, error) {
	validation := make(map[string]string, len(in.ValidationData))
	for _, a := range in.ValidationData {
		validation[a.Name] = a.Value
	}
	return invoke[preSignUpResponse](ctx, s, "PreSignUp", s.triggers.PreSignUp, source, username,
		preSignUpRequest{UserAttributes: attributes, ValidationData: validation, ClientMetadata: in.ClientMetadata})
}

// attributesOf are those of the flow's user; a stand-in has none.
func attributesOf(f signIn, u user) map[string]string {
	if f.missing {
		return map[string]string{}
	}
	return u.eventAttributes()
}

func (p *Pool) defineChallenge(ctx context.Context, s *settings, f signIn, u user, metadata map[string]string) (defineResponse, error) {
	return invoke[defineResponse](ctx, s, "DefineAuthChallenge", s.triggers.DefineAuthChallenge, "DefineAuthChallenge_Authentication", f.username,
		challengeRequest{UserAttributes: attributesOf(f, u), Session: roundsOf(f), ClientMetadata: metadata, UserNotFound: f.missing})
}

func (p *Pool) createChallenge(ctx context.Context, s *settings, f signIn, u user, name string, metadata map[string]string) (createResponse, error) {
	response, err := invoke[createResponse](ctx, s, "CreateAuthChallenge", s.triggers.CreateAuthChallenge, "CreateAuthChallenge_Authentication", f.username,
		challengeRequest{UserAttributes: attributesOf(f, u), ChallengeName: name, Session: roundsOf(f), ClientMetadata: metadata, UserNotFound: f.missing})
	if err == nil && len(response.PrivateChallengeParameters) == 0 {
		return response, &failure{Type: typeInvalidLambda, Message: "CreateAuthChallenge returned no private challenge parameters."}
	}
	return response, err
}

// roundsOf is never null in JSON.
func roundsOf(f signIn) []round {
	if f.rounds == nil {
		return []round{}
	}
	return f.rounds
}

func (p *Pool) verifyAnswer(ctx context.Context, s *settings, f signIn, u user, answer string, metadata map[string]string) (bool, error) {
	response, err := invoke[verifyResponse](ctx, s, "VerifyAuthChallengeResponse", s.triggers.VerifyAuthChallenge, "VerifyAuthChallengeResponse_Authentication", f.username,
		verifyRequest{
			UserAttributes: attributesOf(f, u), PrivateChallengeParameters: f.private, ChallengeAnswer: answer,
			ClientMetadata: metadata, UserNotFound: f.missing,
		})
	return response.AnswerCorrect, err
}

// tokenOverride is what PreTokenGeneration changed.
type tokenOverride struct {
	add      map[string]string
	suppress []string
	groups   []string
}

// protectedClaims cannot be changed by the trigger.
// https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-lambda-pre-token-generation.html
var protectedClaims = []string{
	"acr", "amr", "at_hash", "aud", "auth_time", "azp", "client_id", "device_key", "event_id", "exp", "iat", "identities", "iss",
	"jti", "nbf", "nonce", "origin_jti", "scope", "sub", "token_use", "username", "version",
}

func protected(claim string) bool {
	return slices.Contains(protectedClaims, claim) || strings.HasPrefix(claim, "cognito:") || strings.HasPrefix(claim, "dev:")
}

func (p *Pool) preToken(ctx context.Context, s *settings, u user, source string, metadata map[string]string) (tokenOverride, error) {
	groups := u.Groups
	if groups == nil {
		groups = []string{}
	}
	response, err := invoke[preTokenResponse](ctx, s, "PreTokenGeneration", s.triggers.PreTokenGeneration, source, u.Username,
		preTokenRequest{
			UserAttributes: u.eventAttributes(), ClientMetadata: metadata,
			GroupConfiguration: groupOverride{GroupsToOverride: groups, IAMRolesToOverride: []string{}},
		})
	if err != nil {
		return tokenOverride{}, err
	}
	override := tokenOverride{groups: u.Groups}
	details := response.ClaimsOverrideDetails
	if details == nil {
		return override, nil
	}
	for claim := range details.ClaimsToAddOrOverride {
		if protected(claim) {
			return tokenOverride{}, &failure{Type: typeInvalidLambda, Message: "PreTokenGeneration must not set the claim " + claim + "."}
		}
	}
	override.add = details.ClaimsToAddOrOverride
	for _, claim := range details.ClaimsToSuppress {
		if !protected(claim) {
			override.suppress = append(override.suppress, claim)
		}
	}
	if details.GroupOverrideDetails != nil {
		override.groups = details.GroupOverrideDetails.GroupsToOverride
	}
	return override, nil
}
