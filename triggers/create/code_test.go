package create

import (
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// Defect 4: digits were 0 to 8 only. Every character is equally likely: the statistic of Pearson's test stays near the number of
// characters, while taking bytes by their remainder alone gives over 140 for digits and over 1300 for letters.
func TestDigitsAreUniform(t *testing.T) {
	h := &Handler{Secret: []byte(strings.Repeat("k", minSecret))}
	for alphabet, bound := range map[string]float64{"0123456789": 45, challenge.CodeAlphabet: 90} {
		const codes, length = 50_000, 8
		seen := map[rune]float64{}
		for i := range codes {
			code := h.characters(alphabet, length, "code", strconv.Itoa(i))
			if len(code) != length {
				t.Fatalf("%d characters", len(code))
			}
			for _, r := range code {
				seen[r]++
			}
		}
		expected := float64(codes*length) / float64(len(alphabet))
		statistic := 0.0
		for _, r := range alphabet {
			statistic += (seen[r] - expected) * (seen[r] - expected) / expected
		}
		if statistic > bound || len(seen) != len(alphabet) {
			t.Errorf("%s: statistic %.0f, want under %.0f; %d characters came", alphabet, statistic, bound, len(seen))
		}
	}
	if h.digits(6, "a") == (&Handler{Secret: []byte(strings.Repeat("K", minSecret))}).digits(6, "a") {
		t.Error("codes do not depend on the secret")
	}
	if long := h.digits(100, "a"); len(long) != 100 || long[:6] != h.digits(6, "a") {
		t.Error("long codes are cut")
	}
}
