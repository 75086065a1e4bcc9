package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/caddy-cognito/passwordless/internal/dynamotest"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/dynamo"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

// One DynamoDB Local for all: it takes seconds to start.
func TestStorage(t *testing.T) {
	client := dynamotest.Start(t)
	dynamotest.CreateSessionsTable(t, client, "Sessions")
	t.Run("conforms", func(t *testing.T) {
		sessiontest.Conform(t, func(*testing.T) session.Storage { return &dynamo.Storage{Client: client, Table: "Sessions"} })
	})
	t.Run("a crash leaves a lock", func(t *testing.T) { testCrash(t, client) })
	t.Run("a lock is kept while its holder lives", func(t *testing.T) { testBeats(t, client) })
	t.Run("a lock taken over is not released", func(t *testing.T) { testTakenOver(t, client) })
	t.Run("expired items", func(t *testing.T) { testExpired(t, client) })
	t.Run("the deny list is one query", func(t *testing.T) { testOneQuery(t, client) })
	t.Run("thousands of denials", func(t *testing.T) { testPages(t, client) })
	t.Run("listing everything", func(t *testing.T) {
		s := &dynamo.Storage{Client: client, Table: "Sessions"}
		if keys, err := s.List(t.Context(), "passwordless", true); !errors.Is(err, errors.ErrUnsupported) || keys != nil {
			t.Errorf("%q, %v", keys, err)
		}
	})
}

// A node dies while it refreshes. Its lock is respected for 4 seconds, whatever its clock said, and then taken over.
func testCrash(t *testing.T, client *dynamodb.Client) {
	ahead := func() time.Time { return time.Now().Add(time.Hour) }
	crashed := &dynamo.Storage{Client: client, Table: "Sessions", Now: ahead}
	if err := crashed.Lock(t.Context(), "crash"); err != nil {
		t.Fatal(err)
	}
	clock := sessiontest.NewClock()
	counted := &counting{API: client, onPut: func(n int32) {
		switch n {
		case 2:
			clock.Advance(4*time.Second - 1)
		case 3:
			clock.Advance(1)
		}
	}}
	other := &dynamo.Storage{Client: counted, Table: "Sessions", Now: clock.Now}
	if err := other.Lock(t.Context(), "crash"); err != nil {
		t.Fatal(err)
	}
	if n := counted.puts.Load(); n != 4 {
		t.Errorf("the lock was taken at try %d", n)
	}
	if err := other.Unlock(t.Context(), "crash"); err != nil {
		t.Error(err)
	}
}

// A node that was only slow must not release the lock of whoever took it over.
func testTakenOver(t *testing.T, client *dynamodb.Client) {
	clock := sessiontest.NewClock()
	slow := &dynamo.Storage{Client: client, Table: "Sessions"}
	quick := &dynamo.Storage{Client: &counting{API: client, onPut: func(int32) { clock.Advance(11 * time.Second) }}, Table: "Sessions", Now: clock.Now}
	if err := slow.Lock(t.Context(), "slow"); err != nil {
		t.Fatal(err)
	}
	if err := quick.Lock(t.Context(), "slow"); err != nil {
		t.Fatal(err)
	}
	if err := slow.Unlock(t.Context(), "slow"); err == nil {
		t.Error("the slow node believes that it held the lock all the time")
	}
	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := slow.Lock(soon, "slow"); err == nil {
		t.Error("the lock of the quick node is gone")
	}
	if err := quick.Unlock(t.Context(), "slow"); err != nil {
		t.Error(err)
	}
	if err := quick.Unlock(t.Context(), "slow"); err == nil {
		t.Error("a lock was released twice")
	}
}

// A user pool takes its time: the node that asks it keeps its lock for as long as it lives.
func testBeats(t *testing.T, client *dynamodb.Client) {
	slow, other := &dynamo.Storage{Client: client, Table: "Sessions"}, &dynamo.Storage{Client: client, Table: "Sessions"}
	if err := slow.Lock(t.Context(), "beats"); err != nil {
		t.Fatal(err)
	}
	longer, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	if err := other.Lock(longer, "beats"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lock: %v", err)
	}
	if err := slow.Unlock(t.Context(), "beats"); err != nil {
		t.Error(err)
	}
}

// DynamoDB deletes late: until then what has expired must not be there.
func testExpired(t *testing.T, client *dynamodb.Client) {
	clock := sessiontest.NewClock()
	s := &dynamo.Storage{Client: client, Table: "Sessions", Now: clock.Now}
	for name, value := range map[string]string{"f/old": "x", "f/older": "y"} {
		if err := s.StoreUntil(t.Context(), name, []byte(value), clock.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(time.Minute - time.Second)
	if value, err := s.Load(t.Context(), "f/old"); err != nil || string(value) != "x" {
		t.Errorf("before its time: %q, %v", value, err)
	}
	clock.Advance(time.Second)
	for what, err := range map[string]error{
		"load": second(s.Load(t.Context(), "f/old")), "take": second(s.Take(t.Context(), "f/older")), "list": second(s.List(t.Context(), "f", false)),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if s.Exists(t.Context(), "f/old") || s.Exists(t.Context(), "f") {
		t.Error("what has expired exists")
	}
}

func second[T any](_ T, err error) error { return err }

// Every node reads the deny list every 5 seconds: it must cost one request.
func testOneQuery(t *testing.T, client *dynamodb.Client) {
	counted := &counting{API: client}
	pool := sessiontest.NewPool(sessiontest.NewClock())
	keys, err := session.OpenKeyRing(t.Context(), sessiontest.NewStorage(), "keys", session.KeyRingOptions{Now: pool.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	m := &session.Manager{
		Settings: session.Settings{Realm: "query"}, Keys: keys, Now: pool.Clock.Now, Refresher: pool,
		Storage: &dynamo.Storage{Client: counted, Table: "Sessions", Now: pool.Clock.Now},
	}
	if err := m.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := counted.all.Load()
	for range 3 {
		if err := m.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := counted.all.Load() - before; n != 3 || counted.queries.Load() < 3 {
		t.Errorf("%d requests for 3 readings", n)
	}
}

// More denials than fit into one answer of DynamoDB, which is at most 1 MB.
func testPages(t *testing.T, client *dynamodb.Client) {
	s := &dynamo.Storage{Client: client, Table: "Sessions"}
	long := make([]byte, 350<<10)
	for i := range 5 {
		if err := s.Store(t.Context(), fmt.Sprintf("pages/%d", i), long); err != nil {
			t.Fatal(err)
		}
	}
	if keys, err := s.List(t.Context(), "pages", false); err != nil || len(keys) != 5 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

// An unreachable table is an error, never a missing item: a missing record would sign people out.
func TestUnreachable(t *testing.T) {
	s := &dynamo.Storage{Client: unreachable{}, Table: "Sessions"}
	_, loadErr := s.Load(t.Context(), "a/b")
	_, takeErr := s.Take(t.Context(), "a/b")
	_, listErr := s.List(t.Context(), "a", false)
	for name, err := range map[string]error{
		"load": loadErr, "take": takeErr, "list": listErr, "store": s.Store(t.Context(), "a/b", nil),
		"delete": s.Delete(t.Context(), "a/b"), "lock": s.Lock(t.Context(), "a"),
	} {
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !s.Exists(t.Context(), "a/b") {
		t.Error("an unreachable item is said not to exist")
	}
}

// counting counts requests.
type counting struct {
	dynamo.API
	onPut              func(n int32)
	all, puts, queries atomic.Int32
}

func (c *counting) PutItem(ctx context.Context, in *dynamodb.PutItemInput, o ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	c.all.Add(1)
	if n := c.puts.Add(1); c.onPut != nil {
		c.onPut(n)
	}
	return c.API.PutItem(ctx, in, o...)
}

func (c *counting) GetItem(ctx context.Context, in *dynamodb.GetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	c.all.Add(1)
	return c.API.GetItem(ctx, in, o...)
}

func (c *counting) Query(ctx context.Context, in *dynamodb.QueryInput, o ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	c.all.Add(1)
	c.queries.Add(1)
	return c.API.Query(ctx, in, o...)
}

type unreachable struct{}

var errUnreachable = errors.New("dial tcp: connection refused")

func (unreachable) PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return nil, errUnreachable
}

func (unreachable) GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	return nil, errUnreachable
}

func (unreachable) DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	return nil, errUnreachable
}

func (unreachable) Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	return nil, errUnreachable
}
