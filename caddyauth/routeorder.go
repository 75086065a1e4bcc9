package caddyauth

import "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

// The guard comes after the portal, so that a shared host shows its sign-in pages, and before basic_auth. Each directive is placed
// directly before basic_auth, hence the last one registered is the nearest to it; Go initialises the files of a package in the
// order of their names, so this one follows portal.go. A test holds the outcome.
//
// The list of related origins comes before whatever a site does with all paths: a redirect to another host, or an application's one page.
func init() {
	httpcaddyfile.RegisterDirective("passwordless_guard", parseGuard)
	httpcaddyfile.RegisterDirectiveOrder("passwordless_guard", httpcaddyfile.Before, "basic_auth")

	httpcaddyfile.RegisterHandlerDirective("passwordless_bearer", parseBearer)
	httpcaddyfile.RegisterDirectiveOrder("passwordless_bearer", httpcaddyfile.Before, "basic_auth")

	httpcaddyfile.RegisterHandlerDirective("passwordless_forward_auth", parseForwardAuth)
	httpcaddyfile.RegisterDirectiveOrder("passwordless_forward_auth", httpcaddyfile.Before, "basic_auth")

	httpcaddyfile.RegisterHandlerDirective("passwordless_related_origins", parseRelatedOrigins)
	httpcaddyfile.RegisterDirectiveOrder("passwordless_related_origins", httpcaddyfile.Before, "redir")
}
