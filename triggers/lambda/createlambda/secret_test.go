package createlambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/triggers/create"
)

// table is a table of one item. Puts hold until as many callers have read as there are instances: all of them see an empty table first.
type table struct {
	mu   sync.Mutex
	item map[string]types.AttributeValue
	puts int
	gate *sync.WaitGroup
	fail error
}

func (f *table) GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &dynamodb.GetItemOutput{Item: f.item}, f.fail
}

func (f *table) PutItem(_ context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	f.gate.Done()
	f.gate.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.puts++
	if f.item != nil {
		return nil, &types.ConditionalCheckFailedException{}
	}
	if in.ConditionExpression == nil || in.Item["exp"] != nil {
		return nil, errors.New("the secret must be written once and for good")
	}
	f.item = in.Item
	return &dynamodb.PutItemOutput{}, nil
}

// Instances that start together end up with one secret, and later ones find it.
func TestInstancesShareOneSecret(t *testing.T) {
	const instances = 8
	shared := &table{gate: &sync.WaitGroup{}}
	shared.gate.Add(instances)
	handlers := make([]create.Handler, instances)
	var wg sync.WaitGroup
	for i := range handlers {
		wg.Go(func() {
			if err := (&Secret{table: shared, name: "Secrets"}).Into(t.Context(), &handlers[i]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var late create.Handler
	if err := (&Secret{table: shared, name: "Secrets"}).Into(t.Context(), &late); err != nil || len(late.Secret) != secretLength {
		t.Fatalf("%d bytes, %v", len(late.Secret), err)
	}
	for _, h := range handlers {
		if !bytes.Equal(h.Secret, late.Secret) {
			t.Error("two secrets")
		}
	}
	if shared.puts != instances {
		t.Errorf("%d puts: the test did not have them all start together", shared.puts)
	}
}

// What the table fails at is tried again with the next event, and the caller learns nothing of it.
func TestSecretIsTriedAgain(t *testing.T) {
	shared := &table{gate: &sync.WaitGroup{}, fail: errors.New("throttled: arn:aws:dynamodb")}
	shared.gate.Add(1)
	s, h := &Secret{table: shared, name: "Secrets"}, &create.Handler{}
	var failure *challenge.Failure
	if err := s.Into(t.Context(), h); !errors.As(err, &failure) || strings.Contains(failure.Text, "throttled") || h.Secret != nil {
		t.Fatalf("%v", err)
	}
	shared.fail = nil
	if err := s.Into(t.Context(), h); err != nil || len(h.Secret) != secretLength {
		t.Errorf("%d bytes, %v", len(h.Secret), err)
	}
	shared.fail = errors.New("gone")
	if err := s.Into(t.Context(), h); err != nil {
		t.Errorf("read again though it was there: %v", err)
	}
	shared.fail, shared.item = nil, map[string]types.AttributeValue{"secret": &types.AttributeValueMemberB{Value: []byte("short")}}
	if err := (&Secret{table: shared, name: "Secrets"}).Into(t.Context(), h); err == nil {
		t.Error("a damaged secret is taken")
	}
}

func FuzzParseSecret(f *testing.F) {
	raw := bytes.Repeat([]byte{0xfb, 0xff}, secretLength/2)
	for _, form := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if v, err := parseSecret(form.EncodeToString(raw)); err != nil || !bytes.Equal(v, raw) {
			f.Errorf("%v, %v", v, err)
		}
		f.Add(form.EncodeToString(raw))
	}
	f.Add("")
	f.Add("c2hvcnQ=")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseSecret(text)
		if (err == nil) != (len(v) >= secretLength) {
			t.Errorf("%d bytes, %v", len(v), err)
		}
		if err != nil && len(text) > 3 && strings.Contains(err.Error(), text) && !strings.Contains("is not 32 or more bytes in base64: make it with openssl rand -base64 32", text) {
			t.Error("the error quotes the secret")
		}
	})
}
