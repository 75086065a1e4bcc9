// Command notify is the Lambda that tells people by mail of changed passkeys, for provided.al2023.
package main

import "github.com/caddy-cognito/passwordless/triggers/lambda/notifylambda"

func main() { notifylambda.Main(notifylambda.Options{}) }
