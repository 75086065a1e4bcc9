package caddyauth

import (
	"context"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-cognito/passwordless/internal/dynamotest"
	"github.com/caddy-cognito/passwordless/internal/session"
	"github.com/caddy-cognito/passwordless/internal/session/dynamo"
	"github.com/caddy-cognito/passwordless/internal/session/sessiontest"
)

// Caddy's default storage keeps sessions as the session package needs it.
func TestFileStorageConforms(t *testing.T) {
	folder := t.TempDir()
	sessiontest.Conform(t, func(*testing.T) session.Storage { return &certmagic.FileStorage{Path: folder} })
}

func TestSessionStoreDynamoDB(t *testing.T) {
	client := dynamotest.Start(t)
	dynamotest.CreateSessionsTable(t, client, "Sessions")
	t.Setenv("AWS_ACCESS_KEY_ID", "local")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "local")
	t.Setenv("TABLE", "Sessions")
	store := new(DynamoDBSessionStore)
	d := caddyfile.NewTestDispenser("dynamodb {env.TABLE} {\n region eu-west-1\n endpoint " + *client.Options().BaseEndpoint + "\n}")
	if err := store.UnmarshalCaddyfile(d); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	if err := store.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	opened, err := store.OpenSessionStore(ctx, RealmSettings{})
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.Store(t.Context(), "passwordless/default/x", []byte("y")); err != nil {
		t.Fatal(err)
	}
	value, err := (&dynamo.Storage{Client: client, Table: "Sessions"}).Load(t.Context(), "passwordless/default/x")
	if err != nil || string(value) != "y" {
		t.Errorf("loaded %q, %v", value, err)
	}
}

func TestSessionStoreMistakes(t *testing.T) {
	for input, module := range map[string]caddyfile.Unmarshaler{
		"storage /var/sessions":             new(CaddySessionStore),
		"storage {\n path /x\n}":            new(CaddySessionStore),
		"dynamodb":                          new(DynamoDBSessionStore),
		"dynamodb Sessions Others":          new(DynamoDBSessionStore),
		"dynamodb Sessions {\n ttl 8h\n}":   new(DynamoDBSessionStore),
		"dynamodb Sessions {\n region\n}":   new(DynamoDBSessionStore),
		"dynamodb Sessions {\n region a b}": new(DynamoDBSessionStore),
	} {
		if err := module.UnmarshalCaddyfile(caddyfile.NewTestDispenser(input)); err == nil {
			t.Errorf("%q is accepted", input)
		}
	}
	for name, table := range map[string]DynamoDBTable{
		"no table": {}, "no URL": {Table: "Sessions", Endpoint: "localhost"}, "unset placeholder": {Table: "{env.NO_SUCH_TABLE}"},
	} {
		if err := (&DynamoDBSessionStore{table}).Provision(caddy.Context{}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
