package caddyauth

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// Whoever forgets passwordless_portal reads so at start, and not from people who are sent to an empty page.
func TestGuardsWithoutAPortalAreTold(t *testing.T) {
	warnings := func(g *guarded) []observer.LoggedEntry {
		core, logs := observer.New(zapcore.WarnLevel)
		g.app.warnOfUnservedPortals(zap.New(core))
		return logs.All()
	}
	g := newGuarded(t)
	if found := warnings(g); len(found) != 0 {
		t.Errorf("without a guard: %v", found)
	}
	g.guard(Guard{})
	if found := warnings(g); len(found) != 1 || found[0].ContextMap()["realm"] != DefaultRealm || found[0].ContextMap()["portal"] != g.app.Realms[DefaultRealm].Portal {
		t.Errorf("%v", found)
	}
	portal := &Portal{logger: zap.NewNop()}
	if err := portal.bind(g.app); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = portal.Cleanup() })
	if found := warnings(g); len(found) != 0 {
		t.Errorf("with a portal: %v", found)
	}
}
