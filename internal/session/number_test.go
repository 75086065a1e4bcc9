package session

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
)

func TestExactNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "0.000": "0", "0e5": "0", "7": "7", "-7": "-7", "1e3": "1000", "1E+3": "1000", "1000.0": "1000", "1.0": "1", "1.50": "1.5",
		"12.5e1": "125", "12.5e-3": "0.0125", "-0.10": "-0.1", "9007199254740992": "9007199254740992", "9007199254740993": "9007199254740993",
		"9007199254740993.0": "9007199254740993", "18446744073709551617": "18446744073709551617", "0.1": "0.1", "1e-2": "0.01",
		"123456789012345678901234567890.5": "123456789012345678901234567890.5", "1e999999999999999999999": "1e999999999999999999999", "1e4000": "1e4000",
	} {
		if got := ExactNumber(json.Number(text)); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestParseNumber(t *testing.T) {
	for text, want := range map[string]bool{"1": true, "-1.5e3": true, "": false, "01": false, "1 2": false, " 1": false, "0x1": false, "NaN": false, "\"1\"": false, "1.": false} {
		if _, ok := ParseNumber(text); ok != want {
			t.Errorf("%q: %v", text, ok)
		}
	}
}

// Two numbers have the same text if and only if they are equal.
func FuzzExactNumber(f *testing.F) {
	for _, seed := range []string{"1e3", "1000.0", "-0.0", "9007199254740993", "0.10", "12e-5"} {
		f.Add(seed, "1000")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		m, okA := ParseNumber(a)
		n, okB := ParseNumber(b)
		if !okA || !okB || len(a)+len(b) > 60 || strings.ContainsAny(a+b, "eE") {
			return
		}
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		if same := ExactNumber(m) == ExactNumber(n); same != (x.Cmp(y) == 0) {
			t.Errorf("%s and %s: %v", a, b, same)
		}
	})
}

// Cookies hold every number exactly, those of before open as they were, and what could be shorter is refused.
func TestNumbersInCookies(t *testing.T) {
	for _, text := range []string{"0", "7", "-12.5", "9007199254740992", "9007199254740993", "18446744073709551617", "1e3", "1000.0", "0.30000000000000004", "1e400"} {
		encoded, err := appendValue(nil, json.Number(text), 0)
		if err != nil {
			t.Fatal(err)
		}
		d := decoder{rest: string(encoded)}
		got := d.value(0)
		if d.bad || d.rest != "" {
			t.Fatalf("%s cannot be read again", text)
		}
		switch n := got.(type) {
		case json.Number:
			if string(n) != text {
				t.Errorf("%s became %s", text, n)
			}
		case float64:
			if again, ok := asFloat(json.Number(text)); !ok || again != n {
				t.Errorf("%s became %v", text, n)
			}
		default:
			t.Errorf("%s became %v", text, got)
		}
	}
	for _, text := range []string{"7", "", "abc", "01"} {
		d := decoder{rest: string(appendString([]byte{tagDecimal}, text))}
		if d.value(0); !d.bad {
			t.Errorf("%q is taken for a number that needs its digits", text)
		}
	}
	old, err := appendValue(nil, 12.5, 0)
	if err != nil {
		t.Fatal(err)
	}
	if d := (decoder{rest: string(old)}); d.value(0) != 12.5 {
		t.Error("a number of an old cookie changed")
	}
}

// Records and what waits for a handoff are JSON.
func TestNumbersInRecords(t *testing.T) {
	before := record{Session: Session{Claims: Claims{"n": json.Number("9007199254740993"), "list": []any{json.Number("18446744073709551617")}}}}
	raw, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	var after record
	if err := json.Unmarshal(raw, &after); err != nil {
		t.Fatal(err)
	}
	if n := after.Session.Claims["n"]; n != json.Number("9007199254740993") {
		t.Errorf("%v", n)
	}
	if list, _ := after.Session.Claims["list"].([]any); len(list) != 1 || list[0] != json.Number("18446744073709551617") {
		t.Errorf("%v", after.Session.Claims)
	}
}
