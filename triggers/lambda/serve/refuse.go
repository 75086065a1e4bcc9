package serve

import "github.com/caddy-cognito/passwordless/internal/challenge"

// Refuse is an error whose text whoever signs in or up may see. The text of any other error stays in the log.
func Refuse(text string) error { return &challenge.Failure{Text: text} }
