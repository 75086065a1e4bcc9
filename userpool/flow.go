package userpool

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// Names of Cognito's maps AuthParameters, ChallengeResponses and ChallengeParameters.
const (
	keyUsername   = "USERNAME"
	keyAnswer     = "ANSWER"
	keySecretHash = "SECRET_HASH"
)

// Initiate is InitiateAuth with the flow CUSTOM_AUTH.
func (c *Client) Initiate(ctx context.Context, username string) (Challenge, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	out, err := c.api.InitiateAuth(ctx, &cognito.InitiateAuthInput{
		AuthFlow:       types.AuthFlowTypeCustomAuth,
		ClientId:       aws.String(c.config.ClientID),
		AuthParameters: c.identify(map[string]string{keyUsername: username}, username),
	})
	if err != nil {
		return Challenge{}, failed(operationInitiate, err)
	}
	next, err := customChallenge(out.ChallengeName, out.Session, out.ChallengeParameters, username)
	if err != nil {
		return Challenge{}, unexpected(operationInitiate, err)
	}
	return *next, nil
}

// Respond is RespondToAuthChallenge with the challenge CUSTOM_CHALLENGE.
func (c *Client) Respond(ctx context.Context, in Response) (Result, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	responses := map[string]string{keyUsername: in.Username, keyAnswer: in.Answer}
	out, err := c.api.RespondToAuthChallenge(ctx, &cognito.RespondToAuthChallengeInput{
		ChallengeName:      types.ChallengeNameTypeCustomChallenge,
		ClientId:           aws.String(c.config.ClientID),
		ChallengeResponses: c.identify(responses, in.Username),
		ClientMetadata:     in.ClientMetadata,
		Session:            aws.String(in.Session),
	})
	if err != nil {
		return Result{}, failed(operationRespond, err)
	}
	if out.AuthenticationResult != nil {
		tokens, err := tokensOf(out.AuthenticationResult, "")
		if err != nil {
			return Result{}, unexpected(operationRespond, err)
		}
		return Result{Tokens: &tokens}, nil
	}
	next, err := customChallenge(out.ChallengeName, out.Session, out.ChallengeParameters, in.Username)
	if err != nil {
		return Result{}, unexpected(operationRespond, err)
	}
	return Result{Challenge: next}, nil
}

// Refresh is GetTokensFromRefreshToken, which unlike the flow REFRESH_TOKEN_AUTH works with rotation on and off.
func (c *Client) Refresh(ctx context.Context, refreshToken, deviceKey string) (Tokens, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	input := &cognito.GetTokensFromRefreshTokenInput{
		ClientId:     aws.String(c.config.ClientID),
		ClientSecret: c.secret(),
		RefreshToken: aws.String(refreshToken),
	}
	if deviceKey != "" {
		input.DeviceKey = aws.String(deviceKey)
	}
	out, err := c.api.GetTokensFromRefreshToken(ctx, input)
	if err != nil {
		return Tokens{}, failed(operationRefresh, err)
	}
	tokens, err := tokensOf(out.AuthenticationResult, refreshToken)
	if err != nil {
		return Tokens{}, unexpected(operationRefresh, err)
	}
	return tokens, nil
}

// identify adds SECRET_HASH over the name that is sent, when the app client has a secret.
func (c *Client) identify(parameters map[string]string, username string) map[string]string {
	if c.config.ClientSecret != "" {
		parameters[keySecretHash] = challenge.SecretHash(c.config.ClientSecret, username, c.config.ClientID)
	}
	return parameters
}

// secret is the client secret for the operations that take it as it is, nil for a client without one.
func (c *Client) secret() *string {
	if c.config.ClientSecret == "" {
		return nil
	}
	return aws.String(c.config.ClientSecret)
}

func customChallenge(name types.ChallengeNameType, session *string, parameters map[string]string, sent string) (*Challenge, error) {
	if name != types.ChallengeNameTypeCustomChallenge {
		return nil, fmt.Errorf("the pool asks for %q instead of CUSTOM_CHALLENGE", name)
	}
	if aws.ToString(session) == "" {
		return nil, fmt.Errorf("the pool's challenge has no Session")
	}
	next := &Challenge{Session: *session, Username: sent, Parameters: maps.Clone(parameters)}
	if returned := parameters[keyUsername]; returned != "" {
		next.Username = returned
	}
	return next, nil
}

// tokensOf reads the tokens of an answer; refresh stands in for a refresh token that the answer leaves out.
func tokensOf(result *types.AuthenticationResultType, refresh string) (Tokens, error) {
	if result == nil || aws.ToString(result.IdToken) == "" || aws.ToString(result.AccessToken) == "" {
		return Tokens{}, fmt.Errorf("the pool's answer lacks the ID or access token")
	}
	tokens := Tokens{
		ID:        *result.IdToken,
		Access:    *result.AccessToken,
		Refresh:   refresh,
		ExpiresIn: time.Duration(result.ExpiresIn) * time.Second,
		Device:    deviceOf(result.NewDeviceMetadata),
	}
	if rotated := aws.ToString(result.RefreshToken); rotated != "" {
		tokens.Refresh = rotated
	}
	return tokens, nil
}
