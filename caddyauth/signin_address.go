package caddyauth

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxAddress  = 254 // bytes (RFC 5321, section 4.5.3.1.3, less the angle brackets)
	maxLocal    = 64  // bytes (section 4.5.3.1.1)
	maxFragment = 2048
)

// parseAddress reads an e-mail address as people type it: white space around it goes, the domain becomes lower-case ASCII, and the
// part before the @ stays as it is, for old user pools tell its case apart.
func parseAddress(typed string) (string, bool) {
	typed = strings.TrimSpace(typed)
	at := strings.LastIndexByte(typed, '@')
	if at < 1 || at > maxLocal || len(typed) > maxAddress || !utf8.ValidString(typed) {
		return "", false
	}
	local := typed[:at]
	if strings.ContainsFunc(local, func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.IsSpace(r) || strings.ContainsRune(`()<>[]:;@\,"`, r)
	}) || strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		return "", false
	}
	domain, err := canonicalHost(typed[at+1:])
	if err != nil || !strings.Contains(domain, ".") && domain != "localhost" || strings.Contains(domain, ":") {
		return "", false
	}
	address := local + "@" + domain
	return address, len(address) <= maxAddress
}

// sameAddress reports whether two addresses name the same account: user pools do not tell case apart. "" is nobody's.
func sameAddress(a, b string) bool {
	return strings.TrimSpace(a) != "" && strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
}

// boundedText is what somebody typed, to be shown to them again.
func boundedText(s string) string {
	if len(s) > maxAddress {
		s = s[:maxAddress]
	}
	return strings.ToValidUTF8(s, "")
}

// fragmentOf is the fragment that the browser kept for the return target, without "#", or else the one known before.
func fragmentOf(sent, before string) string {
	sent = strings.TrimPrefix(sent, "#")
	if sent == "" || len(sent) > maxFragment || !utf8.ValidString(sent) || strings.ContainsFunc(sent, unicode.IsControl) {
		return before
	}
	return sent
}
