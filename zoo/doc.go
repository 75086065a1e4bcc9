// Package zoo tests the guard with real applications and real proxies: each is started from Debian's or npm's package, with data of
// its own, behind bin/caddy, and used in a real Chromium. The configurations are those of the pages in docs/recipes; a test replaces
// addresses and file names, nothing else.
//
// `make test-zoo` runs all of them, `make test-zoo ZOO='dokuwiki|node-red'` some. Packages that the machine lacks are installed.
//
// It is a module of its own, so that nothing it uses enters the product.
package zoo
