package cognitotest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

// Message is a mail or an SMS that the pool sent.
type Message struct {
	Kind    string // "mail" or "sms"
	At      time.Time
	To      string
	Subject string
	Text    string
	HTML    string
}

// Messages are the last 200 that were sent, newest first.
func (p *Pool) Messages() []Message {
	var list []Message
	for _, m := range p.pool.Inbox().Messages() {
		list = append(list, Message{Kind: m.Kind, At: m.At, To: m.To, Subject: m.Subject, Text: m.Text, HTML: m.HTML})
	}
	return list
}

var (
	linkPattern = regexp.MustCompile(`https?://\S+#\S+`)
	codePattern = regexp.MustCompile(`\b[0-9]{6}\b`)
)

// LastLink is the sign-in link of the newest mail to an address, "" without one.
func (p *Pool) LastLink(address string) string { return p.last(address, linkPattern) }

// LastCode is the code of six digits of the newest message to an address or number, "" without one.
func (p *Pool) LastCode(to string) string { return p.last(to, codePattern) }

func (p *Pool) last(to string, pattern *regexp.Regexp) string {
	for _, m := range p.Messages() {
		if strings.EqualFold(m.To, to) {
			if found := pattern.FindString(m.Text); found != "" {
				return found
			}
		}
	}
	return ""
}

// SecretHash is the SECRET_HASH of a user name, "" for a client without a secret.
func (p *Pool) SecretHash(username string) string {
	if p.ClientSecret == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(p.ClientSecret))
	mac.Write([]byte(username + p.ClientID))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// parameters adds the SECRET_HASH where there is a secret.
func (p *Pool) parameters(username string, m map[string]string) map[string]string {
	m["USERNAME"] = username
	if hash := p.SecretHash(username); hash != "" {
		m["SECRET_HASH"] = hash
	}
	return m
}

// AddUser makes a confirmed user with an address, and attributes and groups if wanted, and returns the user name, which is the sub.
func (p *Pool) AddUser(t testing.TB, email string, change ...func(*User)) string {
	t.Helper()
	u := User{Attributes: map[string]string{}}
	for _, f := range change {
		f(&u)
	}
	name, err := p.addUser(t.Context(), email, u)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// User is what a user has beside an address. The address counts as verified after the first sign-in, or with the attribute email_verified.
type User struct {
	Attributes map[string]string
	Groups     []string // those that do not exist are made
}

func (p *Pool) addUser(ctx context.Context, email string, u User) (string, error) {
	client, pool := p.Client(), aws.String(p.UserPoolID)
	in := &cognito.AdminCreateUserInput{UserPoolId: pool, Username: aws.String(email), MessageAction: types.MessageActionTypeSuppress}
	for name, value := range u.Attributes {
		in.UserAttributes = append(in.UserAttributes, types.AttributeType{Name: aws.String(name), Value: aws.String(value)})
	}
	made, err := client.AdminCreateUser(ctx, in)
	if err != nil {
		return "", fmt.Errorf("cognitotest: making a user: %w", err)
	}
	for _, g := range u.Groups {
		var there *types.GroupExistsException
		if _, err := client.CreateGroup(ctx, &cognito.CreateGroupInput{UserPoolId: pool, GroupName: aws.String(g)}); err != nil && !errors.As(err, &there) {
			return "", fmt.Errorf("cognitotest: making group %s: %w", g, err)
		}
		if _, err := client.AdminAddUserToGroup(ctx, &cognito.AdminAddUserToGroupInput{UserPoolId: pool, GroupName: aws.String(g), Username: made.User.Username}); err != nil {
			return "", fmt.Errorf("cognitotest: adding to group %s: %w", g, err)
		}
	}
	return *made.User.Username, nil
}

// Tokens are those of a sign-in.
type Tokens struct {
	ID, Access, Refresh string
}

// SignIn goes through a whole sign-in by link, as the person with that address does. The pool sends a person one link a minute.
func (p *Pool) SignIn(t testing.TB, email string) Tokens {
	t.Helper()
	tokens, err := p.signIn(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func (p *Pool) signIn(ctx context.Context, email string) (Tokens, error) {
	client := p.Client()
	begun, err := client.InitiateAuth(ctx, &cognito.InitiateAuthInput{
		ClientId: aws.String(p.ClientID), AuthFlow: types.AuthFlowTypeCustomAuth, AuthParameters: p.parameters(email, map[string]string{}),
	})
	if err != nil {
		return Tokens{}, fmt.Errorf("cognitotest: beginning to sign in: %w", err)
	}
	before := p.LastLink(email)
	// The first round collects how the person wants to sign in; the second takes the fragment of the link.
	asked, err := p.respond(ctx, client, begun.Session, email, "__dummy__", map[string]string{"signInMethod": "MAGIC_LINK", "redirectUri": p.redirect})
	if err != nil {
		return Tokens{}, fmt.Errorf("cognitotest: asking for a link: %w", err)
	}
	link := p.LastLink(email)
	if link == "" || link == before {
		return Tokens{}, errors.New("cognitotest: no link was sent: there is no such user")
	}
	_, fragment, _ := strings.Cut(link, "#")
	done, err := p.respond(ctx, client, asked.Session, email, fragment, map[string]string{"signInMethod": "MAGIC_LINK", "alreadyHaveMagicLink": "no"})
	if err != nil {
		return Tokens{}, fmt.Errorf("cognitotest: using the link: %w", err)
	}
	if done.AuthenticationResult == nil {
		return Tokens{}, errors.New("cognitotest: the link brought no tokens")
	}
	r := done.AuthenticationResult
	return Tokens{ID: aws.ToString(r.IdToken), Access: aws.ToString(r.AccessToken), Refresh: aws.ToString(r.RefreshToken)}, nil
}

func (p *Pool) respond(ctx context.Context, client *cognito.Client, session *string, email, answer string, metadata map[string]string) (*cognito.RespondToAuthChallengeOutput, error) {
	return client.RespondToAuthChallenge(ctx, &cognito.RespondToAuthChallengeInput{
		ClientId: aws.String(p.ClientID), ChallengeName: types.ChallengeNameTypeCustomChallenge, Session: session,
		ChallengeResponses: p.parameters(email, map[string]string{"ANSWER": answer}), ClientMetadata: metadata,
	})
}
