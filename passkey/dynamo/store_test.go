package dynamo_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/caddy-cognito/passwordless/internal/dynamotest"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/dynamo"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// TestStoreOnAmazonsDynamoDB runs the promises of passkey.Store, then reads an item that amazon-cognito-passwordless-auth
// wrote, both on one DynamoDB Local.
func TestStoreOnAmazonsDynamoDB(t *testing.T) {
	client := dynamotest.Start(t)
	var tables atomic.Int32
	newStore := func(t *testing.T) *dynamo.Store {
		name := fmt.Sprintf("Authenticators%d", tables.Add(1))
		dynamotest.CreateAuthenticatorsTable(t, client, name)
		return &dynamo.Store{Client: client, Table: name}
	}
	t.Run("promises", func(t *testing.T) {
		passkeytest.RunStore(t, func(t *testing.T) passkey.Store { return newStore(t) })
	})
	t.Run("items of an existing deployment are taken over as they are", func(t *testing.T) {
		store := newStore(t)
		recorded := recordedItem(t)
		if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &store.Table, Item: recorded}); err != nil {
			t.Fatal(err)
		}
		const handle = "6a0f2f5e-1111-4222-8333-444455556666"
		list, err := store.List(t.Context(), handle, "app.example.com")
		if err != nil || len(list) != 1 {
			t.Fatalf("list = %v, %v; want the recorded passkey", list, err)
		}
		if err := store.Delete(t.Context(), handle, list[0].ID); err != nil {
			t.Fatal(err)
		}
		if err := store.Add(t.Context(), list[0]); err != nil {
			t.Fatal(err)
		}
		out, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &store.Table, Key: map[string]types.AttributeValue{
			"pk": recorded["pk"], "sk": recorded["sk"],
		}, ConsistentRead: aws.Bool(true)})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(out.Item, recorded) {
			t.Errorf("written back, the item differs:\n got %v\nwant %v", out.Item, recorded)
		}
	})
}

// recordedItem is "dbAfterSignin" of the recorded exchanges, in DynamoDB's own JSON.
func recordedItem(t *testing.T) map[string]types.AttributeValue {
	t.Helper()
	raw, err := os.ReadFile("../testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		FIDO struct {
			After json.RawMessage `json:"dbAfterSignin"`
		} `json:"fido"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	var items []map[string]any
	if err := json.Unmarshal(file.FIDO.After, &items); err != nil || len(items) != 1 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	return decode(t, map[string]any{"M": items[0]}).(*types.AttributeValueMemberM).Value
}

func decode(t *testing.T, v map[string]any) types.AttributeValue {
	t.Helper()
	for kind, value := range v {
		switch kind {
		case "S":
			return &types.AttributeValueMemberS{Value: value.(string)}
		case "N":
			return &types.AttributeValueMemberN{Value: fmt.Sprint(value)}
		case "B":
			var b []byte
			if err := json.Unmarshal([]byte(`"`+value.(string)+`"`), &b); err != nil {
				t.Fatal(err)
			}
			return &types.AttributeValueMemberB{Value: b}
		case "L":
			list := &types.AttributeValueMemberL{}
			for _, element := range value.([]any) {
				list.Value = append(list.Value, decode(t, element.(map[string]any)))
			}
			return list
		case "M":
			m := &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{}}
			for name, element := range value.(map[string]any) {
				m.Value[name] = decode(t, element.(map[string]any))
			}
			return m
		}
	}
	t.Fatalf("not an attribute value: %v", v)
	return nil
}
