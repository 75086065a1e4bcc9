// Command caddy is Caddy with the passwordless plugin and its embedded user pool.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard" // Caddy's own modules

	_ "github.com/caddy-cognito/passwordless"                    // portal, guard, Cognito
	_ "github.com/caddy-cognito/passwordless/caddyauth/embedded" // the user pool in a file
)

func main() {
	caddycmd.Main()
}
