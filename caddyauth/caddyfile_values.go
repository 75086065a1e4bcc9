package caddyauth

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// refuseCommas refuses lists that are written with commas between their values: the comma would become part of a name, and then an allow lets
// nobody in, which somebody notices, and a deny refuses nobody, which nobody does. Inside a name a comma may be meant.
func refuseCommas(d *caddyfile.Dispenser, option string, values []string) error {
	for _, value := range values {
		if strings.HasPrefix(value, ",") || strings.HasSuffix(value, ",") {
			return d.Errf("%s: %q: write several values with spaces between them, without commas", option, value)
		}
	}
	return nil
}

// refuseNoDomain refuses what is no domain of e-mail addresses: nobody's address would ever match it.
func refuseNoDomain(d *caddyfile.Dispenser, option string, domains []string) error {
	for _, domain := range domains {
		switch {
		case strings.Contains(domain, ","):
			return d.Errf("%s: %q: write several domains with spaces between them, without commas", option, domain)
		case domain == "" || strings.ContainsAny(domain, "@*/: "):
			return d.Errf("%s %q: write the domain alone, as in example.com", option, domain)
		}
	}
	return nil
}

// refuseBlock refuses a block behind an option that has none.
func refuseBlock(d *caddyfile.Dispenser, option string) error {
	if nesting := d.Nesting(); d.NextBlock(nesting) {
		return d.Errf("%s takes no block", option)
	}
	return nil
}

// almostOperators are what somebody may write who means a comparison of claims, in words of other languages.
var almostOperators = []string{
	"=", "==", "===", "!=", "~", "=~", "is", "not", "in", "equal", "eq", "contain", "match", "like", "regex", "regexp", "prefix", "suffix", "starts_with", "ends_with",
}

// looksLikeMethods reports whether somebody who wrote this means HTTP methods, in small letters or with a space after the comma.
func looksLikeMethods(s string) bool {
	return slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, strings.ToUpper(strings.SplitN(s, ",", 2)[0]))
}

// builtIn lists the modules of a namespace that this Caddy has, for an error message.
func builtIn(namespace string) string {
	var names []string
	for _, module := range caddy.GetModules(namespace) {
		names = append(names, module.ID.Name())
	}
	return strings.Join(names, ", ")
}
