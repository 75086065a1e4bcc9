// Command verify is the VerifyAuthChallengeResponse trigger as a Lambda for provided.al2023.
package main

import "github.com/caddy-cognito/passwordless/triggers/lambda/verifylambda"

func main() { verifylambda.Main(verifylambda.Options{}) }
