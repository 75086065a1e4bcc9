package localpool

import (
	"context"
	"maps"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

type initiateAuthInput struct {
	ClientID       string            `json:"ClientId"`
	AuthFlow       string            `json:"AuthFlow"`
	AuthParameters map[string]string `json:"AuthParameters"`
	ClientMetadata map[string]string `json:"ClientMetadata"`
}

type respondInput struct {
	ClientID           string            `json:"ClientId"`
	ChallengeName      string            `json:"ChallengeName"`
	ChallengeResponses map[string]string `json:"ChallengeResponses"`
	Session            string            `json:"Session"`
	ClientMetadata     map[string]string `json:"ClientMetadata"`
}

// authOutput carries a challenge or tokens. Clients break on null members, so absent ones are left out.
type authOutput struct {
	ChallengeName        string                `json:"ChallengeName,omitempty"`
	ChallengeParameters  map[string]string     `json:"ChallengeParameters"`
	Session              string                `json:"Session,omitempty"`
	AuthenticationResult *authenticationResult `json:"AuthenticationResult,omitempty"`
}

type authenticationResult struct {
	AccessToken  string `json:"AccessToken"`
	ExpiresIn    int    `json:"ExpiresIn"` // seconds
	IDToken      string `json:"IdToken"`
	RefreshToken string `json:"RefreshToken,omitempty"`
	TokenType    string `json:"TokenType"`
}

// initiateAuth begins a custom-auth flow, or refreshes tokens. Its ClientMetadata reaches neither Define nor Create, as in
// Cognito.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_InitiateAuth.html
func (p *Pool) initiateAuth(ctx context.Context, in initiateAuthInput) (*authOutput, error) {
	s := p.current.Load()
	if err := s.checkClient(in.ClientID); err != nil {
		return nil, err
	}
	switch in.AuthFlow {
	case "CUSTOM_AUTH":
	case "REFRESH_TOKEN_AUTH", "REFRESH_TOKEN":
		return p.refreshTokenAuth(ctx, s, in)
	case "USER_SRP_AUTH", "USER_PASSWORD_AUTH", "USER_AUTH", "ADMIN_NO_SRP_AUTH", "ADMIN_USER_PASSWORD_AUTH":
		return nil, invalidParameter(in.AuthFlow + " flow not enabled for this client")
	default:
		return nil, invalidParameter("Missing or unknown AuthFlow")
	}
	name := in.AuthParameters["USERNAME"]
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := s.checkSecretHash(in.AuthParameters["SECRET_HASH"], name); err != nil {
		return nil, err
	}
	if first := in.AuthParameters["CHALLENGE_NAME"]; first != "" {
		return nil, invalidParameter("The embedded user pool has no password sign-in: leave CHALLENGE_NAME out")
	}
	f := signIn{clientID: s.ClientID, typed: fold(name)}
	u, found, err := p.account(name)
	if err != nil {
		return nil, err
	}
	f.missing = !found
	if f.username = u.Username; f.missing {
		f.username = p.standIn(name)
	}
	return p.next(ctx, s, f, u, nil)
}

// account finds a user who may sign in. An unknown one is no error: the flow goes on with a stand-in, so that nobody learns who has an
// account.
func (p *Pool) account(name string) (user, bool, error) {
	u, found, err := p.user(name)
	switch {
	case err != nil || !found:
		return user{}, false, err
	case u.Disabled:
		return user{}, false, errUserDisabled
	case u.Status != statusConfirmed:
		return user{}, false, errNotConfirmed
	}
	return u, true, nil
}

// respondToAuthChallenge takes one answer. The Session is used up by the attempt, whatever comes of it.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_RespondToAuthChallenge.html
func (p *Pool) respondToAuthChallenge(ctx context.Context, in respondInput) (*authOutput, error) {
	s := p.current.Load()
	if err := s.checkClient(in.ClientID); err != nil {
		return nil, err
	}
	if in.ChallengeName != challenge.CustomChallenge {
		return nil, invalidParameter("Missing or unsupported ChallengeName: the embedded user pool has CUSTOM_CHALLENGE only")
	}
	name, answer := in.ChallengeResponses["USERNAME"], in.ChallengeResponses["ANSWER"]
	if err := checkName(name); err != nil {
		return nil, err
	}
	if answer == "" {
		return nil, invalidParameter("Missing required parameter ANSWER")
	}
	if in.Session == "" || len(in.Session) > maxSession {
		return nil, invalidParameter("Missing or malformed parameter Session")
	}
	if err := checkMetadata(in.ClientMetadata); err != nil {
		return nil, err
	}
	if err := s.checkSecretHash(in.ChallengeResponses["SECRET_HASH"], name); err != nil {
		return nil, err
	}
	f, err := p.sessions.take(in.Session, s.Now())
	if err != nil {
		return nil, err
	}
	if f.clientID != s.ClientID || (fold(name) != f.typed && fold(name) != f.username) {
		return nil, errInvalidSession
	}
	u, found, err := p.account(f.username)
	if err != nil {
		return nil, err
	}
	if found == f.missing {
		return nil, errDenied // made or deleted since the flow began
	}
	correct, err := p.verifyAnswer(ctx, s, f, u, answer, in.ClientMetadata)
	if err != nil {
		return nil, err
	}
	f.rounds = append(f.rounds[:len(f.rounds):len(f.rounds)], round{
		ChallengeName: f.name, ChallengeResult: correct, ChallengeMetadata: f.metadata,
	})
	if found {
		// A verification may have changed the account.
		if u, found, err = p.account(f.username); err != nil {
			return nil, err
		} else if !found {
			return nil, errDenied
		}
	}
	return p.next(ctx, s, f, u, in.ClientMetadata)
}

// next asks Define what comes after the rounds so far, and does it.
func (p *Pool) next(ctx context.Context, s *settings, f signIn, u user, metadata map[string]string) (*authOutput, error) {
	decision, err := p.defineChallenge(ctx, s, f, u, metadata)
	switch {
	case err != nil:
		return nil, err
	case decision.FailAuthentication:
		return nil, errDenied
	case decision.IssueTokens && f.missing:
		return nil, errDenied // there is nobody to issue them to, whatever the triggers say
	case decision.IssueTokens:
		tokens, err := p.issue(ctx, s, u, metadata)
		if err != nil {
			return nil, err
		}
		return &authOutput{AuthenticationResult: tokens, ChallengeParameters: map[string]string{}}, nil
	case decision.ChallengeName != challenge.CustomChallenge:
		return nil, &failure{Type: typeInvalidLambda, Message: "DefineAuthChallenge must issue tokens, fail, or name CUSTOM_CHALLENGE."}
	}
	created, err := p.createChallenge(ctx, s, f, u, decision.ChallengeName, metadata)
	if err != nil {
		return nil, err
	}
	f.name, f.private, f.metadata = decision.ChallengeName, created.PrivateChallengeParameters, created.ChallengeMetadata
	now := s.Now()
	f.expires = now.Add(s.SessionLifetime)
	session, err := p.sessions.put(f, s.Rand, now)
	if err != nil {
		return nil, err
	}
	parameters := maps.Clone(created.PublicChallengeParameters)
	if parameters == nil {
		parameters = make(map[string]string)
	}
	parameters["USERNAME"] = f.username
	return &authOutput{ChallengeName: f.name, ChallengeParameters: parameters, Session: session}, nil
}
