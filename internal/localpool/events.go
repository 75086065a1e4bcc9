package localpool

import "context"

// preSignUp asks whether the account may be made.
func (p *Pool) preSignUp(ctx context.Context, s *settings, source, username string, attributes map[string]string, in signUpInput) (preSignUpResponse, error) {
	validation := make(map[string]string, len(in.ValidationData))
	for _, a := range in.ValidationData {
		validation[a.Name] = a.Value
	}
	return invoke[preSignUpResponse](ctx, s, occasion{name: "PreSignUp", trigger: s.triggers.PreSignUp, source: source, username: username},
		preSignUpRequest{UserAttributes: attributes, ValidationData: validation, ClientMetadata: in.ClientMetadata})
}

// attributesOf are those of the flow's user; a stand-in has none.
func attributesOf(f signIn, u user) map[string]string {
	if f.missing {
		return map[string]string{}
	}
	return u.eventAttributes()
}

// occasion is one for the triggers of custom authentication.
func (f signIn) occasion(name string, t Trigger) occasion {
	return occasion{name: name, trigger: t, source: name + "_Authentication", username: f.username}
}

func (p *Pool) defineChallenge(ctx context.Context, s *settings, f signIn, u user, metadata map[string]string) (defineResponse, error) {
	return invoke[defineResponse](ctx, s, f.occasion("DefineAuthChallenge", s.triggers.DefineAuthChallenge),
		challengeRequest{UserAttributes: attributesOf(f, u), Session: roundsOf(f), ClientMetadata: metadata, UserNotFound: f.missing})
}

func (p *Pool) createChallenge(ctx context.Context, s *settings, f signIn, u user, name string, metadata map[string]string) (createResponse, error) {
	response, err := invoke[createResponse](ctx, s, f.occasion("CreateAuthChallenge", s.triggers.CreateAuthChallenge),
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
	response, err := invoke[verifyResponse](ctx, s, f.occasion("VerifyAuthChallengeResponse", s.triggers.VerifyAuthChallenge),
		verifyRequest{
			UserAttributes: attributesOf(f, u), PrivateChallengeParameters: f.private, ChallengeAnswer: answer,
			ClientMetadata: metadata, UserNotFound: f.missing,
		})
	return response.AnswerCorrect, err
}
