package caddyauth

import (
	"strings"

	"go.uber.org/zap"
)

// WarnOfLiteralSecret logs that an option holds a secret itself, and not a placeholder for it, before placeholders are replaced. Caddy stores
// the configuration as it was adapted (autosave.json) and shows it through its admin API; `{$NAME}` of a Caddyfile is the value by then.
func WarnOfLiteralSecret(logger *zap.Logger, option, value string) {
	if value == "" || strings.HasPrefix(value, "{") && strings.HasSuffix(value, "}") {
		return
	}
	logger.Warn("a secret is part of the configuration, which Caddy stores and shows through its admin API: write it as {env.NAME} or {file./path/to/secret} instead; "+
		"{$NAME} is replaced by the secret before it is stored", zap.String("option", option))
}
