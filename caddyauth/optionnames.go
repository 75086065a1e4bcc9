package caddyauth

import (
	"maps"
	"slices"
	"strings"
)

// joinKeys lists option names for an error message, sorted.
func joinKeys[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}
