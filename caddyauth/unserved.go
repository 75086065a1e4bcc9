package caddyauth

import (
	"maps"
	"slices"

	"go.uber.org/zap"
)

// seen is which realms have a guard and which a portal in this configuration. Handlers are provisioned one after the other, before the app starts.
type seen struct {
	guards  map[string]bool
	portals map[string]bool
}

func (s *seen) guard(realm string) {
	if s.guards == nil {
		s.guards = make(map[string]bool)
	}
	s.guards[realm] = true
}

func (s *seen) portal(realm string) {
	if s.portals == nil {
		s.portals = make(map[string]bool)
	}
	s.portals[realm] = true
}

// unserved lists the realms whose guards send people to a portal that this configuration does not serve. Another Caddy may serve it, so that is no error.
func (s *seen) unserved() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.guards)), func(name string) bool { return s.portals[name] })
}

// warnOfUnservedPortals tells the operator at start what people would meet as an empty page.
func (a *App) warnOfUnservedPortals(logger *zap.Logger) {
	for _, name := range a.seen.unserved() {
		logger.Warn("people are sent to a portal that no site of this configuration serves: add passwordless_portal to a site at its address, unless another Caddy serves it",
			zap.String("realm", name), zap.String("portal", a.Realms[name].Portal))
	}
}
