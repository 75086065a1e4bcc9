package triggers_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/dynamotest"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/dynamo"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// counting is DynamoDB with a tally of the requests that go there.
type counting struct {
	*dynamodb.Client
	calls atomic.Int32
}

func (c *counting) PutItem(ctx context.Context, in *dynamodb.PutItemInput, o ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	c.calls.Add(1)
	return c.Client.PutItem(ctx, in, o...)
}

func (c *counting) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	c.calls.Add(1)
	return c.Client.GetItem(ctx, in, o...)
}

func (c *counting) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, o ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	c.calls.Add(1)
	return c.Client.UpdateItem(ctx, in, o...)
}

func (c *counting) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, o ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	c.calls.Add(1)
	return c.Client.DeleteItem(ctx, in, o...)
}

func (c *counting) Query(ctx context.Context, in *dynamodb.QueryInput, o ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	c.calls.Add(1)
	return c.Client.Query(ctx, in, o...)
}

func (c *counting) TransactWriteItems(
	ctx context.Context, in *dynamodb.TransactWriteItemsInput, o ...func(*dynamodb.Options),
) (*dynamodb.TransactWriteItemsOutput, error) {
	c.calls.Add(1)
	return c.Client.TransactWriteItems(ctx, in, o...)
}

// passkeys of the pool, wherever they are kept.
func (p *pool) keepPasskeysIn(store passkey.Store) {
	p.passkeys = store
	p.create.Passkeys.Credentials, p.verify.Passkeys.Credentials = store, store
}

// A sign-in with a username costs two calls to DynamoDB, with credential IDs exposed or not, and retries and replays are told apart by
// the one write.
func TestTwoDynamoDBCallsASignIn(t *testing.T) {
	client := &counting{Client: dynamotest.Start(t)}
	for i, exposed := range []bool{true, false} {
		for _, counter := range []bool{true, false} {
			t.Run(fmt.Sprintf("exposed %t, counter %t", exposed, counter), func(t *testing.T) {
				table := fmt.Sprintf("Authenticators%d%t", i, counter)
				dynamotest.CreateAuthenticatorsTable(t, client.Client, table)
				p := newPool(t)
				p.keepPasskeysIn(&dynamo.Store{Client: client, Table: table})
				p.create.Passkeys.ExposeCredentialIDs = exposed
				device := passkeytest.NewAuthenticator(origin)
				device.Counter = counter
				p.register(alice, passkeytest.NewAuthenticator(origin))
				credential := p.register(alice, device)
				for range 3 {
					client.calls.Store(0)
					s := p.initiate(alice)
					answer := device.Get(t, s.offered()).Encode()
					if !s.answer(answer, byPasskey) {
						t.Fatal("the passkey did not pass")
					}
					if n := client.calls.Load(); n != 2 {
						t.Errorf("%d calls", n)
					}
					if !s.answer(answer, byPasskey) {
						t.Error("the retry was denied")
					}
					if p.initiate(alice).answer(answer, byPasskey) {
						t.Error("the replay passed")
					}
				}
				// What the session carries is not trusted over what became of the passkey since.
				s := p.initiate(alice)
				answer := device.Get(t, s.offered()).Encode()
				if err := p.passkeys.Delete(t.Context(), alice, credential.ID); err != nil {
					t.Fatal(err)
				}
				if s.answer(answer, byPasskey) {
					t.Error("a passkey passed that was deleted after the options went out")
				}
			})
		}
	}
}

// Two sessions with one counter value, as a cloned security key makes: what each carries is fresh, and still one alone passes.
func TestClonedSecurityKey(t *testing.T) {
	p := newPool(t)
	device := passkeytest.NewAuthenticator(origin)
	device.Counter = true
	p.register(alice, device)
	first, second := p.initiate(alice), p.initiate(alice)
	same := func(c *passkeytest.Ceremony) { c.SignCount = 41 }
	a, b := device.Get(t, first.offered(), same).Encode(), device.Get(t, second.offered(), same).Encode()
	if !first.answer(a, byPasskey) || second.answer(b, byPasskey) {
		t.Error("the clone passed, or the original did not")
	}
}

// An attacker who offers a made-up ID to Verify costs the store as much as one who offers a real one: nothing.
func TestOfferedIDsAreNotLookedUp(t *testing.T) {
	p := newPool(t)
	device := passkeytest.NewAuthenticator(origin)
	p.register(alice, device)
	p.register(bob, passkeytest.NewAuthenticator(origin))
	for _, user := range []string{bob, "nobody@example.com"} {
		p.verify.Passkeys.Credentials = nil // a call would panic
		s := p.initiate(user)
		o, err := challenge.ParsePasskeyOptions(s.public[challenge.ParamFIDO2Options])
		if err != nil {
			t.Fatal(err)
		}
		a := device.Get(t, s.offered())
		a.CredentialID, a.UserHandle = o.Credentials[0].ID, ""
		if s.answer(a.Encode(), byPasskey) {
			t.Errorf("%s: passed", user)
		}
	}
}
