// Package e2e tests the built product as people meet it: bin/caddy and bin/legacy on free ports of this machine, configured by
// Caddyfile.example, and a real Chromium with a virtual authenticator. `make test` builds and installs what it needs.
//
// It is a module of its own, so that nothing it uses enters the product.
package e2e
