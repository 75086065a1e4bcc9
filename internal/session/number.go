package session

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// Claims are extra claims of a token. Numbers are [json.Number], so that none is rounded: a float64 holds integers up to 2^53 only.
type Claims map[string]any

// UnmarshalJSON keeps numbers exactly.
func (c *Claims) UnmarshalJSON(raw []byte) error {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var plain map[string]any
	if err := d.Decode(&plain); err != nil {
		return err
	}
	*c = plain
	return nil
}

// maxPlainNumber bounds, in digits, the numbers that [ExactNumber] writes out.
const maxPlainNumber = 400

// ExactNumber is the one decimal text of a JSON number's value, so that equal numbers have equal texts: 1e3, 1000 and 1000.0 are "1000", and
// -0 is "0". Numbers whose digits would be more than 400 stay as they are written.
func ExactNumber(n json.Number) string {
	text := string(n)
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	shift := 0
	if exponent != "" {
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil {
			return text
		}
	}
	negative := strings.HasPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(mantissa, "-"), ".")
	if len(whole)+len(fraction) > maxPlainNumber || shift > maxPlainNumber || shift < -maxPlainNumber {
		return text
	}
	digits, ok := new(big.Int).SetString(whole+fraction, 10)
	if !ok {
		return text
	}
	plain := digits.String()
	point := len(fraction) - shift // digits behind the point
	switch {
	case digits.Sign() == 0:
		return "0"
	case point <= 0:
		plain += strings.Repeat("0", -point)
	default:
		if len(plain) <= point {
			plain = strings.Repeat("0", point-len(plain)+1) + plain
		}
		plain = plain[:len(plain)-point] + "." + plain[len(plain)-point:]
		plain = strings.TrimSuffix(strings.TrimRight(plain, "0"), ".")
	}
	if negative {
		return "-" + plain
	}
	return plain
}

// ParseNumber reads text that is a JSON number (RFC 8259, section 6).
func ParseNumber(text string) (json.Number, bool) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var n any
	if d.Decode(&n) != nil || d.More() {
		return "", false
	}
	number, ok := n.(json.Number)
	return number, ok && string(number) == text
}

// asFloat is the float64 that a number's text is the shortest one of, which a cookie holds in 8 bytes without loss.
func asFloat(n json.Number) (float64, bool) {
	f, err := strconv.ParseFloat(string(n), 64)
	return f, err == nil && strconv.FormatFloat(f, 'f', -1, 64) == string(n)
}
