package verify

import (
	"crypto/sha256"
	"strings"
	"testing"
)

// A code is right or wrong as a whole, of whatever length: hashes of one size are compared.
func TestCodesAreComparedWhole(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"123456", "123456", true}, {"123456", "123457", false}, {"123456", "023456", false}, {"123456", "1234567", false}, {"123456", "12345", false},
		{"123456", "", false}, {"ABCD2345", "ABCD2345", true}, {"ABCD2345", "abcd2345", false}, {"1", strings.Repeat("1", 1000), false},
	} {
		if sameCode(tc.a, tc.b) != tc.same {
			t.Errorf("%.10q and %.10q: want %v", tc.a, tc.b, tc.same)
		}
	}
}

// Tries of one code in one session are one try, so that a retried call is not counted twice; without a session every try counts.
func TestTryKeys(t *testing.T) {
	again := tryKey("n", "1")
	if tryKey("n", "1") != again || tryKey("n", "1") == tryKey("m", "1") || tryKey("n", "1") == tryKey("n", "2") {
		t.Error("tries of one session run together or apart")
	}
	again = tryKey("", "1")
	if tryKey("", "1") == again {
		t.Error("tries without a session are one")
	}
	if user := sha256.Sum256([]byte("u")); codeTriesKey(user) == triesKey("", "u") {
		t.Error("codes of mails and of SMS share a limit")
	}
}
