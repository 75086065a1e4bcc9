package challenge_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// A code is read as people write it, and nothing else passes for one.
func TestCodeAnswers(t *testing.T) {
	for typed, want := range map[string]string{
		"ABCD2345": "ABCD2345", "abcd2345": "ABCD2345", "ABCD-2345": "ABCD2345", " abcd 2345\n": "ABCD2345", "ABCD–2345": "ABCD2345", "A-B-C-D-2-3-4-5": "ABCD2345",
		"ＡＢＣＤ２３４５": "ABCD2345", "ａｂｃｄ－２３４５": "ABCD2345", "ABCD\u00a02345": "ABCD2345", "ABCD−2345": "ABCD2345",
		"": "", "ABCD234": "", "ABCD23456": "", "ABCD2340": "", "ABCD234O": "", "ABCD234I": "", "ABCD234l": "", "ABCD234U": "", "ABCD234.": "", "ÀBCD2345": "",
		"ſBCD2345": "", "code:ABCD2345": "", "ABCD2345\x00": "", "-": "", "\xff\xffABCD2345": "",
	} {
		got, err := challenge.ParseCodeAnswer(challenge.CodeAnswer(typed))
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, challenge.ErrMalformedAnswer) {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
	for _, answer := range []string{"ABCD2345", "Code:ABCD2345", "", "__dummy__", "code:" + strings.Repeat(" ", 10000) + "ABCD2345"} {
		if got, err := challenge.ParseCodeAnswer(answer); err == nil {
			t.Errorf("%.20q: %q", answer, got)
		}
	}
	if got := challenge.FormatCode("ABCD2345"); got != "ABCD-2345" {
		t.Errorf("shown as %q", got)
	}
}

// What parses is a code of the alphabet that parses to itself, also in the form in which it is shown; an error comes with nothing.
func FuzzParseCodeAnswer(f *testing.F) {
	for _, s := range []string{"code:ABCD2345", "code:abcd-2345", "code:", "ABCD2345", "code:ＡＢＣＤ２３４５", "code:ABCD234\u0130", "code:\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, err := challenge.ParseCodeAnswer(s)
		if err != nil {
			if code != "" {
				t.Errorf("an error and a code: %q", code)
			}
			return
		}
		if len(code) != challenge.CodeLength || strings.Trim(code, challenge.CodeAlphabet) != "" || !challenge.IsCodeAnswer(s) {
			t.Errorf("%q is no code", code)
		}
		for _, shown := range []string{code, challenge.FormatCode(code), strings.ToLower(code)} {
			if again, err := challenge.ParseCodeAnswer(challenge.CodeAnswer(shown)); err != nil || again != code {
				t.Errorf("%q again: %q, %v", shown, again, err)
			}
		}
	})
}
