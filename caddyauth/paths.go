package caddyauth

import (
	"net/url"
	"strings"
)

// ambiguousPath reports why two servers could read the path of u differently, or "" when they cannot. A rule that is checked
// here against one reading and an upstream that serves another is how path rules are bypassed, so where path rules apply such
// requests are refused: encoded separators (%2f, %5c), backslashes, dot segments (plain or encoded), empty segments (//), path
// parameters (;), control characters, double encoding (%252e, %25u002e), overlong UTF-8 (%c0%ae, %e0%80%ae), and the two letters beyond
// ASCII that servers and file systems which ignore case take for an ASCII one: ſ (U+017F) and the Kelvin sign (U+212A).
func ambiguousPath(u *url.URL) string {
	path := u.Path
	if !strings.HasPrefix(path, "/") {
		return "the path does not begin with a slash"
	}
	// RawPath is set whenever the path was not encoded the default way, so an encoded slash always shows there.
	if containsEncodedSlash(u.RawPath) {
		return "the path has an encoded slash (%2F)"
	}
	segment := 1 // where the current segment begins
	for i := 1; i <= len(path); i++ {
		if i == len(path) || path[i] == '/' {
			switch s := path[segment:i]; {
			case s == "" && i < len(path):
				return "the path has an empty segment (//)"
			case s == "." || s == "..":
				return "the path has a dot segment"
			}
			segment = i + 1
			continue
		}
		switch c := path[i]; {
		case c == '\\':
			return "the path has a backslash"
		case c == ';':
			return "the path has a parameter (;)"
		case c < ' ' || c == 0x7f:
			return "the path has a control character"
		case c == '%' && isEscape(path[i+1:]):
			return "the path is encoded twice"
		case c == longS[0] && strings.HasPrefix(path[i:], longS), c == kelvin[0] && strings.HasPrefix(path[i:], kelvin):
			return "the path has a letter that is taken for an ASCII one where case is ignored"
		case c >= 0xc0 && isOverlong(path[i:]):
			return "the path has an overlong character"
		}
	}
	return ""
}

// The letters whose simple case folding is an ASCII letter (https://www.unicode.org/Public/UCD/latest/ucd/CaseFolding.txt).
const (
	longS  = "\u017f"
	kelvin = "\u212a"
)

func containsEncodedSlash(raw string) bool {
	for i := 0; i+2 < len(raw); i++ {
		if raw[i] == '%' && raw[i+1] == '2' && (raw[i+2] == 'f' || raw[i+2] == 'F') {
			return true
		}
	}
	return false
}

// isEscape reports whether what follows a percent sign makes a character of it, in URLs or for servers that know "%u002f".
func isEscape(s string) bool {
	if len(s) >= 2 && (s[0] == 'u' || s[0] == 'U') {
		return isHexDigit(s[1])
	}
	return len(s) >= 2 && isHexDigit(s[0]) && isHexDigit(s[1])
}

// isOverlong reports whether s begins with an ASCII character (or another short one) that is spelled in more bytes than it takes, which
// careless decoders accept (RFC 3629, section 10).
func isOverlong(s string) bool {
	if len(s) < 2 || s[1]&0xc0 != 0x80 {
		return false
	}
	switch s[0] {
	case 0xc0, 0xc1, 0xfc, 0xfe:
		return true
	case 0xe0:
		return s[1] < 0xa0
	case 0xf0:
		return s[1] < 0x90
	case 0xf8:
		return s[1] < 0x88
	}
	return false
}

func isHexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
