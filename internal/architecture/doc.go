// Package architecture keeps the import rules of docs/architecture.md by a test over `go list`. It has no code of its own.
package architecture
