package caddyauth

import (
	"fmt"
	"maps"
	"slices"
)

// checkOrigins refuses an origin, of a portal or an application, in two realms: each would put its session cookie in place of the other's, and
// people would be signed out wherever they go. A wildcard of one realm may cover what another lists, for only one of them serves the host.
func (a *App) checkOrigins() error {
	owner := make(map[origin]string)
	for _, name := range slices.Sorted(maps.Keys(a.Realms)) {
		r := a.Realms[name]
		for _, o := range append([]origin{r.portalOrigin}, r.applications...) {
			if other, taken := owner[o]; taken && other != name {
				return fmt.Errorf("passwordless: realms %q and %q both have %s as portal or among their applications, where the session cookie of one would replace "+
					"the other's: take it out of one of them, or give that realm a host of its own", other, name, o)
			}
			owner[o] = name
		}
	}
	return nil
}
