// Command create is the CreateAuthChallenge trigger as a Lambda for provided.al2023.
package main

import "github.com/caddy-cognito/passwordless/triggers/lambda/createlambda"

func main() { createlambda.Main(createlambda.Options{}) }
