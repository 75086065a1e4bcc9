package userpool

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

// UpdateAttributes is UpdateUserAttributes.
func (c *Client) UpdateAttributes(ctx context.Context, accessToken string, attributes map[string]string) (coded []string, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	in := &cognito.UpdateUserAttributesInput{AccessToken: aws.String(accessToken)}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		in.UserAttributes = append(in.UserAttributes, types.AttributeType{Name: aws.String(name), Value: aws.String(attributes[name])})
	}
	out, err := c.api.UpdateUserAttributes(ctx, in)
	if err != nil {
		return nil, failed(operationUpdateAttributes, err)
	}
	for _, delivery := range out.CodeDeliveryDetailsList {
		coded = append(coded, aws.ToString(delivery.AttributeName))
	}
	return coded, nil
}

// DeleteAttributes is DeleteUserAttributes.
func (c *Client) DeleteAttributes(ctx context.Context, accessToken string, names ...string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := c.api.DeleteUserAttributes(ctx, &cognito.DeleteUserAttributesInput{AccessToken: aws.String(accessToken), UserAttributeNames: names})
	if err != nil {
		return failed(operationDeleteAttributes, err)
	}
	return nil
}

// SendAttributeCode is GetUserAttributeVerificationCode.
func (c *Client) SendAttributeCode(ctx context.Context, accessToken, attribute string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := c.api.GetUserAttributeVerificationCode(ctx, &cognito.GetUserAttributeVerificationCodeInput{
		AccessToken: aws.String(accessToken), AttributeName: aws.String(attribute),
	})
	if err != nil {
		return failed(operationAttributeCode, err)
	}
	return nil
}

// VerifyAttribute is VerifyUserAttribute.
func (c *Client) VerifyAttribute(ctx context.Context, accessToken, attribute, code string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := c.api.VerifyUserAttribute(ctx, &cognito.VerifyUserAttributeInput{
		AccessToken: aws.String(accessToken), AttributeName: aws.String(attribute), Code: aws.String(code),
	})
	if err != nil {
		return failed(operationVerifyAttribute, err)
	}
	return nil
}
