package challenge

import (
	"fmt"
	"strings"
	"unicode"
)

// CodeLength is that of the short code that may stand beside a magic link, in characters.
const CodeLength = 8

// CodeAlphabet are the characters of short codes: none that people take for another (0 O, 1 I L, U V), in one case.
const CodeAlphabet = "23456789ABCDEFGHJKMNPQRSTVWXYZ"

// codePrefix begins an ANSWER that is a short code, which a magic link's never does: ":" is not base64url.
const codePrefix = "code:"

// CodeAnswer is the ANSWER for a short code, as a person typed it.
func CodeAnswer(code string) string { return codePrefix + code }

// IsCodeAnswer reports whether an ANSWER claims to be a short code.
func IsCodeAnswer(answer string) bool { return strings.HasPrefix(answer, codePrefix) }

// ParseCodeAnswer reads a short code as people write it: in any case, with spaces and dashes, in the wide letters of East Asian
// keyboards. What it returns has [CodeLength] characters of [CodeAlphabet].
func ParseCodeAnswer(answer string) (string, error) {
	rest, ok := strings.CutPrefix(answer, codePrefix)
	if !ok || len(answer) > maxAnswer {
		return "", fmt.Errorf("%w: want code:<code>", ErrMalformedAnswer)
	}
	var b strings.Builder
	for _, r := range rest {
		if r >= '！' && r <= '～' {
			r -= '！' - '!'
		}
		if r >= 'a' && r <= 'z' {
			r -= 'a' - 'A'
		}
		switch {
		case unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || r == '\u2212':
		case strings.ContainsRune(CodeAlphabet, r) && b.Len() < CodeLength:
			b.WriteRune(r)
		default:
			return "", fmt.Errorf("%w: not a short code", ErrMalformedAnswer)
		}
	}
	if b.Len() != CodeLength {
		return "", fmt.Errorf("%w: a short code has %d characters", ErrMalformedAnswer, CodeLength)
	}
	return b.String(), nil
}

// FormatCode shows a short code in two groups, for people to read and type.
func FormatCode(code string) string {
	if len(code) != CodeLength {
		return code
	}
	return code[:CodeLength/2] + "-" + code[CodeLength/2:]
}
