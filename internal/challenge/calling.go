package challenge

import (
	"fmt"
	"strings"
)

// CheckCallingCodes reports what is not the beginning of an E.164 number: "+49", or "+1 242" written as "+1242".
func CheckCallingCodes(codes []string) error {
	for _, code := range codes {
		digits, ok := strings.CutPrefix(code, "+")
		if !ok || digits == "" || len(digits) > 15 || digits[0] == '0' || strings.Trim(digits, "0123456789") != "" {
			return fmt.Errorf("%q is not a calling code: write it as +49", code)
		}
	}
	return nil
}

// CallingCodeAllowed reports whether an E.164 number begins with one of the codes; with none, every number is allowed.
func CallingCodeAllowed(number string, codes []string) bool {
	for _, code := range codes {
		if strings.HasPrefix(number, code) {
			return true
		}
	}
	return len(codes) == 0
}
