package caddyauth

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
)

// What a page shows of a long target, in characters: where it begins, and where it ends.
const (
	shownHead = 60
	shownTail = 39
)

// readableTarget is a percent-encoded path with its query for people to read. Letters of other alphabets are decoded; everything that could
// make the text look like another one stays encoded: delimiters, spaces, control and invisible characters, combining marks, and scripts
// that run from right to left. Of a long target the middle is left out, never the end.
func readableTarget(target string) string {
	var b strings.Builder
	for i := 0; i < len(target); {
		if r, size := encodedRune(target[i:]); size > 0 && isPlainLetter(r) {
			b.WriteRune(r)
			i += size
			continue
		}
		if c := target[i]; c > ' ' && c < 0x7f {
			b.WriteByte(c)
		} else {
			writePercent(&b, c)
		}
		i++
	}
	shown := []rune(b.String())
	if len(shown) <= shownHead+1+shownTail {
		return string(shown)
	}
	return string(shown[:shownHead]) + "…" + string(shown[len(shown)-shownTail:])
}

// encodedRune decodes the percent-encoded character with which s begins; size is 0 if there is none beyond ASCII.
func encodedRune(s string) (r rune, size int) {
	var raw []byte
	for len(raw) < utf8.UTFMax && len(s) >= 3*(len(raw)+1) && s[3*len(raw)] == '%' {
		c, err := url.PathUnescape(s[3*len(raw) : 3*len(raw)+3])
		if err != nil {
			break
		}
		raw = append(raw, c...)
		if utf8.FullRune(raw) {
			break
		}
	}
	r, n := utf8.DecodeRune(raw)
	if r == utf8.RuneError || r < utf8.RuneSelf {
		return 0, 0
	}
	return r, 3 * n
}

// isPlainLetter reports whether r is a visible letter or digit that is written from left to right.
func isPlainLetter(r rune) bool {
	if !unicode.In(r, unicode.L, unicode.Nd) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) {
		return false
	}
	properties, _ := bidi.LookupRune(r)
	return properties.Class() == bidi.L
}
