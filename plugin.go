// Package passwordless is the Caddy plugin: passkey, magic-link and SMS sign-in on Amazon Cognito user pools for any upstream.
//
// Importing it registers the production modules and nothing else:
//
//	xcaddy build --with github.com/caddy-cognito/passwordless
//
// The embedded user pool, which needs no cloud account, is a plugin of its own:
//
//	xcaddy build --with github.com/caddy-cognito/passwordless --with github.com/caddy-cognito/passwordless/caddyauth/embedded
package passwordless

import (
	_ "github.com/caddy-cognito/passwordless/caddyauth" // the Caddy modules
)
