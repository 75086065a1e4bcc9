package localpool

import (
	"context"
	"time"

	"go.etcd.io/bbolt"
)

type describePoolInput struct {
	UserPoolID string `json:"UserPoolId"`
	ClientID   string `json:"ClientId"`
}

// describeUserPool tells what of a Cognito pool's settings there is here.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_DescribeUserPool.html
func (p *Pool) describeUserPool(_ context.Context, in describePoolInput) (map[string]any, error) {
	s := p.current.Load()
	if err := s.checkPool(in.UserPoolID); err != nil {
		return nil, err
	}
	users := 0
	err := p.db.view(func(tx *bbolt.Tx) error {
		users = tx.Bucket([]byte(bucketUsers)).Stats().KeyN
		return nil
	})
	if err != nil {
		return nil, err
	}
	nameAttributes := "UsernameAttributes"
	if s.Names.Chosen {
		nameAttributes = "AliasAttributes"
	}
	return map[string]any{"UserPool": map[string]any{
		"Id": s.UserPoolID, "Name": s.Product, "Arn": "arn:aws:cognito-idp:" + s.Region + ":000000000000:userpool/" + s.UserPoolID,
		"CreationDate": seconds(p.identity.Created), "LastModifiedDate": seconds(p.identity.Created), "EstimatedNumberOfUsers": users,
		nameAttributes: s.Names.With, "UsernameConfiguration": map[string]bool{"CaseSensitive": false}, "MfaConfiguration": "OFF",
		"AdminCreateUserConfig": map[string]bool{"AllowAdminCreateUserOnly": s.SignUp.Mode == "invitation" || s.SignUp.Mode == "closed"},
		"LambdaConfig":          map[string]string{}, "UserPoolTier": "ESSENTIALS", "SchemaAttributes": s.schemaAttributes(),
	}}, nil
}

// describeUserPoolClient tells the client's secret too, as Cognito does to who may ask.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_DescribeUserPoolClient.html
func (p *Pool) describeUserPoolClient(_ context.Context, in describePoolInput) (map[string]any, error) {
	s := p.current.Load()
	if err := s.checkPool(in.UserPoolID); err != nil {
		return nil, err
	}
	if err := s.checkClient(in.ClientID); err != nil {
		return nil, err
	}
	client := map[string]any{
		"UserPoolId": s.UserPoolID, "ClientId": s.ClientID, "ClientName": s.Product,
		"CreationDate": seconds(p.identity.Created), "LastModifiedDate": seconds(p.identity.Created),
		"ExplicitAuthFlows":   []string{"ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"},
		"AccessTokenValidity": int(s.AccessTokenLifetime / time.Second), "IdTokenValidity": int(s.AccessTokenLifetime / time.Second),
		"RefreshTokenValidity":  int(s.RefreshTokenLifetime / time.Second),
		"TokenValidityUnits":    map[string]string{"AccessToken": "seconds", "IdToken": "seconds", "RefreshToken": "seconds"},
		"AuthSessionValidity":   int(s.SessionLifetime / time.Minute),
		"EnableTokenRevocation": true, "PreventUserExistenceErrors": "ENABLED",
	}
	if s.ClientSecret != "" {
		client["ClientSecret"] = s.ClientSecret
	}
	if s.RotateRefresh {
		client["RefreshTokenRotation"] = map[string]any{"Feature": "ENABLED", "RetryGracePeriodSeconds": int(s.RotationGrace / time.Second)}
	}
	return map[string]any{"UserPoolClient": client}, nil
}

type listPoolsInput struct {
	UserPoolID string `json:"UserPoolId"`
	MaxResults int    `json:"MaxResults"`
	NextToken  string `json:"NextToken"`
}

// listUserPools has one pool on its only page.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ListUserPools.html
func (p *Pool) listUserPools(_ context.Context, in listPoolsInput) (map[string]any, error) {
	s := p.current.Load()
	if in.MaxResults == 0 {
		return nil, invalidParameter("Missing required parameter MaxResults")
	}
	if err := checkOnlyPage(in); err != nil {
		return nil, err
	}
	return map[string]any{"UserPools": []map[string]any{{
		"Id": s.UserPoolID, "Name": s.Product, "LambdaConfig": map[string]string{},
		"CreationDate": seconds(p.identity.Created), "LastModifiedDate": seconds(p.identity.Created),
	}}}, nil
}

// listUserPoolClients has one client on its only page, without the secret.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_ListUserPoolClients.html
func (p *Pool) listUserPoolClients(_ context.Context, in listPoolsInput) (map[string]any, error) {
	s := p.current.Load()
	if err := s.checkPool(in.UserPoolID); err != nil {
		return nil, err
	}
	if err := checkOnlyPage(in); err != nil {
		return nil, err
	}
	return map[string]any{"UserPoolClients": []map[string]string{{"ClientId": s.ClientID, "UserPoolId": s.UserPoolID, "ClientName": s.Product}}}, nil
}

// checkOnlyPage refuses every pagination token: these lists give none out.
func checkOnlyPage(in listPoolsInput) error {
	if in.MaxResults < 0 || in.MaxResults > mostListed {
		return invalidParameter("MaxResults must be 1 to 60.")
	}
	if in.NextToken != "" {
		return errPageToken
	}
	return nil
}

// getUserPoolMfaConfig says that the pool has no MFA of Cognito's own: a second factor is a step-up of the custom flow.
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_GetUserPoolMfaConfig.html
func (p *Pool) getUserPoolMfaConfig(_ context.Context, in describePoolInput) (map[string]string, error) {
	if err := p.current.Load().checkPool(in.UserPoolID); err != nil {
		return nil, err
	}
	return map[string]string{"MfaConfiguration": "OFF"}, nil
}
