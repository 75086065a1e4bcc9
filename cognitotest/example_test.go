package cognitotest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"

	"github.com/caddy-cognito/passwordless/cognitotest"
)

// A program's own client signs somebody up at a pool of the test's. In a test, NewPool(t) does what Open and Close do here.
func ExampleOpen() {
	folder, err := os.MkdirTemp("", "pool")
	if err != nil {
		log.Fatal(err)
	}
	pool, err := cognitotest.Open(folder)
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		if err := errors.Join(pool.Close(), os.RemoveAll(folder)); err != nil {
			log.Print(err)
		}
	}()

	out, err := pool.Client().SignUp(context.Background(), &cognito.SignUpInput{
		ClientId: aws.String(pool.ClientID), Username: aws.String("alice@example.com"), Password: aws.String("never-Used-1"),
	})
	if err != nil {
		log.Print(err)
		return
	}
	users, err := pool.Client().ListUsers(context.Background(), &cognito.ListUsersInput{UserPoolId: aws.String(pool.UserPoolID)})
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Println(out.UserConfirmed, len(users.Users), pool.Region)
	// Output: true 1 local
}
