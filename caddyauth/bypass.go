package caddyauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// pathPattern is "/health" for that path alone, or "/assets/*" for everything below (and "/assets/" itself). Case counts: a
// pattern lifts the guard, so it must never cover more than what it says.
type pathPattern string

// validate refuses patterns that would mean something else than they look like.
func (p pathPattern) validate() error {
	s := string(p)
	fixed, wild := strings.CutSuffix(s, "*")
	switch {
	case !strings.HasPrefix(s, "/"):
		return fmt.Errorf("%q is not a path: begin it with a slash, as in /health or /assets/*", s)
	case strings.ContainsAny(s, "?#"):
		return fmt.Errorf("%q has a query or fragment, which a path never has: write the path alone", s)
	case strings.ContainsAny(s, "{}"):
		return fmt.Errorf("%q has a placeholder; write the path itself", s)
	case fixed == "/" && wild:
		return errors.New("/* would lift the guard everywhere; leave the guard out instead")
	case strings.Contains(fixed, "*") || wild && !strings.HasSuffix(fixed, "/"):
		return fmt.Errorf("%q: a star stands only at the end, after a slash, as in /assets/*", s)
	case strings.Contains(s, "%"):
		return fmt.Errorf("%q is percent-encoded: write the decoded path", s)
	}
	if reason := ambiguousPath(&url.URL{Path: fixed}); reason != "" {
		return fmt.Errorf("%q can never match: %s", s, reason)
	}
	return nil
}

// matches reports whether an unambiguous, decoded path falls under the pattern.
func (p pathPattern) matches(path string) bool {
	if prefix, wild := strings.CutSuffix(string(p), "*"); wild {
		return strings.HasPrefix(path, prefix)
	}
	return path == string(p)
}

// bypass lifts a guard for the paths of a pattern, by any method or by those that it names.
type bypass struct {
	methods []string
	path    pathPattern
}

// parseBypass reads "/assets/*" or "GET,HEAD /assets/*".
func parseBypass(s string) (bypass, error) {
	methods, path, named := strings.Cut(s, " ")
	if !named {
		return bypass{path: pathPattern(s)}, pathPattern(s).validate()
	}
	b := bypass{path: pathPattern(path)}
	for method := range strings.SplitSeq(methods, ",") {
		if !isMethod(method) {
			return bypass{}, fmt.Errorf("%q is not a list of methods: write them as in `bypass GET,HEAD /assets/*`", methods)
		}
		b.methods = append(b.methods, method)
	}
	return b, b.path.validate()
}

// matches reports whether the guard is lifted for r, by the method that the upstream gets.
func (b *bypass) matches(r *http.Request) bool {
	return b.path.matches(r.URL.Path) && (len(b.methods) == 0 || slices.Contains(b.methods, methodOf(r)))
}
