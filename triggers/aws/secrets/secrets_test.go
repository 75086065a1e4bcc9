package secrets_test

import (
	"crypto/sha256"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/caddy-cognito/passwordless/internal/dynamotest"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets/issue"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets/receipts"
	"github.com/caddy-cognito/passwordless/triggers/aws/secrets/redeem"
	"github.com/caddy-cognito/passwordless/triggers/aws/storetest"
	"github.com/caddy-cognito/passwordless/triggers/create"
	"github.com/caddy-cognito/passwordless/triggers/verify"
)

type deployment struct {
	client *dynamodb.Client
	issue  *issue.Store
	redeem redeem.Store
}

const configured = "alias/magic-links"

func deploy(t *testing.T) *deployment {
	t.Helper()
	client := dynamotest.Start(t)
	dynamotest.CreateSecretsTable(t, client, "Secrets")
	table := &secrets.Table{Client: client, Name: "Secrets", Now: func() time.Time { return storetest.Now.Add(123_456_789) }}
	return &deployment{client: client, issue: &issue.Store{Table: table, KeyID: configured}, redeem: redeem.Store{Table: table}}
}

func TestTable(t *testing.T) {
	d := deploy(t)
	storetest.Conform(t, storetest.Store{
		Put: d.issue, Leases: d.issue, Limiter: d.redeem, Find: d.redeem, Operate: d.redeem, Receipts: d.redeem,
		Read: receipts.Store{Table: d.issue.Table},
	})
	t.Run("what existing deployments read", d.existingFindsOurs)
	t.Run("what existing deployments wrote", d.oursFindsExisting)
	t.Run("used by an existing deployment", d.usedByExisting)
	t.Run("every item ends", d.everyItemEnds)
}

// item reads what stands under a user's hash.
func (d *deployment) item(t *testing.T, user string) secrets.Item {
	t.Helper()
	hash := storetest.Hash(user)
	out, err := d.client.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: aws.String("Secrets"), Key: secrets.Item{"userNameHash": secrets.Binary(hash[:])}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Item
}

// verifyExisting marks a link as used as existing deployments do.
func (d *deployment) verifyExisting(t *testing.T, l create.Link, at time.Time) error {
	t.Helper()
	_, err := d.client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String("Secrets"), Key: secrets.Item{"userNameHash": secrets.Binary(l.UserNameHash[:])},
		UpdateExpression:          aws.String("SET uat = :now"),
		ConditionExpression:       aws.String("signatureHash = :h AND attribute_not_exists(uat)"),
		ExpressionAttributeValues: secrets.Item{":h": secrets.Binary(l.SignatureHash[:]), ":now": secrets.Number(at.Unix())},
	})
	return err
}

// putExisting writes a link as existing deployments do: over everything that stands there.
func (d *deployment) putExisting(t *testing.T, l create.Link) {
	t.Helper()
	_, err := d.client.PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: aws.String("Secrets"),
		Item: secrets.Item{
			"userNameHash": secrets.Binary(l.UserNameHash[:]), "signatureHash": secrets.Binary(l.SignatureHash[:]),
			"iat": secrets.Number(l.IssuedAt.Unix()), "exp": secrets.Number(l.Expires.Unix()), "kmsKeyId": secrets.Text(configured),
		},
		ConditionExpression:       aws.String("attribute_not_exists(iat) or iat < :iat"),
		ExpressionAttributeValues: secrets.Item{":iat": secrets.Number(l.IssuedAt.Add(-time.Minute).Unix())},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Our newest link is one that an existing deployment's Verify accepts, once.
func (d *deployment) existingFindsOurs(t *testing.T) {
	older, newer := storetest.Link("x1", "x1 old", 0), storetest.Link("x1", "x1 new", time.Minute)
	for _, l := range []create.Link{older, newer} {
		if err := d.issue.Put(t.Context(), l, create.LinkRules{Outstanding: 3, Between: time.Minute}); err != nil {
			t.Fatal(err)
		}
	}
	item := d.item(t, "x1")
	if secrets.String(item, "kmsKeyId") != configured || secrets.String(item, "kmsKeyArn") != newer.KeyID {
		t.Errorf("keys %q and %q", secrets.String(item, "kmsKeyId"), secrets.String(item, "kmsKeyArn"))
	}
	for name, want := range map[string]int64{"iat": newer.IssuedAt.Unix(), "exp": newer.Expires.Unix()} {
		if n, ok := item[name].(*types.AttributeValueMemberN); !ok || n.Value != strconv.FormatInt(want, 10) {
			t.Errorf("%s is %v", name, item[name])
		}
	}
	if err := d.verifyExisting(t, older, storetest.Now); err == nil {
		t.Error("the older link was accepted by a Verify that knows one link a user")
	}
	if err := d.verifyExisting(t, newer, storetest.Now.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := d.redeem.Consume(t.Context(), verify.Use{UserNameHash: newer.UserNameHash, SignatureHash: newer.SignatureHash, By: "s", At: storetest.Now}); !errors.Is(err, verify.ErrLinkUsed) {
		t.Errorf("used there and here: %v", err)
	}
	if err := d.verifyExisting(t, newer, storetest.Now); err == nil {
		t.Error("used twice there")
	}
}

// A link of an existing deployment is accepted here, once, and their write over our newest link leaves our older ones as they were.
func (d *deployment) oursFindsExisting(t *testing.T) {
	older, newer := storetest.Link("x2", "x2 old", 0), storetest.Link("x2", "x2 new", time.Minute)
	for _, l := range []create.Link{older, newer} {
		if err := d.issue.Put(t.Context(), l, create.LinkRules{Outstanding: 3, Between: time.Minute}); err != nil {
			t.Fatal(err)
		}
	}
	theirs := storetest.Link("x2", "x2 theirs", 3*time.Minute)
	d.putExisting(t, theirs)
	found, err := d.redeem.Find(t.Context(), theirs.UserNameHash, theirs.SignatureHash)
	if err != nil || found.KeyID != configured || !found.IssuedAt.Equal(theirs.IssuedAt) || found.AddressHash != [sha256.Size]byte{} {
		t.Errorf("their link is %+v, %v", found, err)
	}
	if _, err := d.redeem.Find(t.Context(), older.UserNameHash, older.SignatureHash); err != nil {
		t.Errorf("our older link: %v", err)
	}
	use := verify.Use{UserNameHash: theirs.UserNameHash, SignatureHash: theirs.SignatureHash, At: storetest.Now.Add(4 * time.Minute)}
	if err := d.redeem.Consume(t.Context(), use); err != nil {
		t.Fatal(err)
	}
	if err := d.redeem.Consume(t.Context(), use); !errors.Is(err, verify.ErrLinkUsed) {
		t.Errorf("used twice here: %v", err)
	}
	if err := d.verifyExisting(t, theirs, storetest.Now); err == nil {
		t.Error("used here and there")
	}
	if _, err := d.redeem.Find(t.Context(), older.UserNameHash, older.SignatureHash); !errors.Is(err, verify.ErrLinkNotFound) {
		t.Errorf("our older link after the use of another: %v", err)
	}
}

// An existing deployment's Verify does not know of our older links; they are void all the same once it has used the newest.
func (d *deployment) usedByExisting(t *testing.T) {
	older, newer := storetest.Link("x3", "x3 old", 0), storetest.Link("x3", "x3 new", time.Minute)
	for _, l := range []create.Link{older, newer} {
		if err := d.issue.Put(t.Context(), l, create.LinkRules{Outstanding: 3, Between: time.Minute}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.verifyExisting(t, newer, storetest.Now.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	use := verify.Use{UserNameHash: older.UserNameHash, SignatureHash: older.SignatureHash, By: "s", At: storetest.Now.Add(3 * time.Minute)}
	if err := d.redeem.Consume(t.Context(), use); !errors.Is(err, verify.ErrLinkNotFound) {
		t.Errorf("an older link after the newest was used there: %v", err)
	}
	if err := d.issue.Put(t.Context(), storetest.Link("x3", "x3 next", 5*time.Minute), create.LinkRules{Outstanding: 1, Between: time.Minute}); err != nil {
		t.Errorf("the void link counts: %v", err)
	}
	if err := d.redeem.Consume(t.Context(), use); !errors.Is(err, verify.ErrLinkNotFound) {
		t.Errorf("an older link has come back: %v", err)
	}
}

// DynamoDB deletes by exp: an item without one would stay for ever.
func (d *deployment) everyItemEnds(t *testing.T) {
	out, err := d.client.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("Secrets")})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Items) < 10 {
		t.Fatalf("only %d items", len(out.Items))
	}
	for _, item := range out.Items {
		exp, ok := secrets.Int(item, "exp")
		if key := secrets.Bytes(item, "userNameHash"); !ok || exp < storetest.Now.Unix() || len(key) != sha256.Size && len(key) != sha256.Size+1 {
			t.Errorf("an item under a key of %d bytes with exp %d", len(key), exp)
		}
	}
}
