package challenge_test

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// What parses encodes to something that parses to the same, and what does not gives nothing.
func FuzzParseLink(f *testing.F) {
	_, fragment, _ := strings.Cut(load(f).Magic.Link, "#")
	for _, s := range []string{fragment, "", ".", "a.b", "e30.AA", "bnVsbA.AA", fragment + "=", "#" + fragment, strings.Repeat("A", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := challenge.ParseLink(s)
		if err != nil {
			if l.Raw != nil || l.Signature != nil || l.Message != (challenge.LinkMessage{}) {
				t.Errorf("an error and a link: %+v", l)
			}
			return
		}
		if l.Message.UserName == "" {
			t.Error("a link for nobody")
		}
		again, err := challenge.ParseLink(l.Answer())
		if err != nil || again.Message != l.Message || string(again.Raw) != string(l.Raw) || string(again.Signature) != string(l.Signature) {
			t.Errorf("again: %+v, %v", again, err)
		}
	})
}

func FuzzParsePasskeyAnswer(f *testing.F) {
	for _, s := range []string{string(load(f).FIDO.Answer), "", "null", "[]", "{}", `{"credentialIdB64":null}`, `{"credentialIdB64":"+/==","authenticatorDataB64":"A-_","clientDataJSON_B64":"e30","signatureB64":"AA","userHandleB64":null}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := challenge.ParsePasskeyAnswer(s)
		if err != nil {
			if a != (challenge.PasskeyAnswer{}) {
				t.Errorf("an error and an answer: %+v", a)
			}
			return
		}
		if again, err := challenge.ParsePasskeyAnswer(a.Encode()); err != nil || again != a {
			t.Errorf("again: %+v, %v", again, err)
		}
	})
}

func FuzzParseSMSAnswer(f *testing.F) {
	for _, s := range []string{`{"jwt":"a.b.c","secretCode":"123456"}`, "", "null", "{}", `{"jwt":1}`, `{"jwt":"x","secretCode":""}`, "123456"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := challenge.ParseSMSAnswer(s)
		if err != nil {
			if a != (challenge.SMSAnswer{}) {
				t.Errorf("an error and an answer: %+v", a)
			}
			return
		}
		if a.AccessToken == "" || a.SecretCode == "" {
			t.Error("an answer without its members")
		}
	})
}

func FuzzParsePasskeyOptions(f *testing.F) {
	f.Add(string(load(f).FIDO.SignInOptions))
	f.Add("null")
	f.Fuzz(func(t *testing.T, s string) {
		o, err := challenge.ParsePasskeyOptions(s)
		if err != nil {
			if !reflect.DeepEqual(o, challenge.PasskeyOptions{}) {
				t.Errorf("an error and options: %+v", o)
			}
			return
		}
		encoded := o.Encode()
		if again, err := challenge.ParsePasskeyOptions(encoded); err != nil || again.Encode() != encoded {
			t.Errorf("again: %v, %v", again, err)
		}
		if strings.Contains(encoded, "null") && !strings.Contains(s, "null") {
			t.Errorf("a null came in: %s", encoded)
		}
	})
}

func FuzzUserHandle(f *testing.F) {
	const sub = "6a0f2f5e-1111-4222-8333-444455556666"
	f.Add(sub, sub)
	f.Add("alice", "")
	f.Add("azuread_"+sub, "0"+sub[1:])
	f.Add("alice", sub)
	f.Fuzz(func(t *testing.T, username, sub string) {
		handle := challenge.UserHandle(username, sub)
		if name, ok := challenge.UsernameOf(handle); ok && name != username && handle != sub {
			t.Errorf("the handle %q of %q names %q", handle, username, name)
		}
	})
}

// What decodes encodes to the same text, but for padding and the two characters of plain base64.
func FuzzDecodeBase64(f *testing.F) {
	for _, s := range []string{"", "AA", "AA==", "+/", "-_", "A", "AB", "A\n", "====", "A=A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := challenge.DecodeBase64(s)
		if err != nil {
			return
		}
		// Go's decoder skips line ends.
		plain := strings.NewReplacer("+", "-", "/", "_", "\r", "", "\n", "").Replace(strings.TrimRight(s, "="))
		if got := challenge.EncodeBase64(b); got != plain {
			t.Errorf("%q is %q again", s, got)
		}
	})
}

// Only round one's metadata has a nonce, and it comes back as it was.
func FuzzAuthParametersMetadata(f *testing.F) {
	for _, s := range []string{"PROVIDE_AUTH_PARAMETERS", "PROVIDE_AUTH_PARAMETERS|n", "PROVIDE_AUTH_PARAMETERS||", "MAGIC_LINK", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		nonce, ok := challenge.ParseAuthParametersMetadata(s)
		switch {
		case ok && nonce != "" && challenge.AuthParametersMetadata(nonce) != s:
			t.Errorf("%q has the nonce %q", s, nonce)
		case ok && !strings.HasPrefix(s, challenge.ProvideAuthParameters):
			t.Errorf("%q passes for round one", s)
		}
	})
}

// Whatever the attribute holds, at most its last four bytes show.
func FuzzMaskPhone(f *testing.F) {
	for _, s := range []string{"+31612345678", "", "1", "+3161\u00e9\u00e9\u00e9\u00e9", "1234567"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, number string) {
		mask := challenge.MaskPhone(number)
		shown := strings.TrimLeft(strings.TrimPrefix(mask, "+"), "*")
		if len(shown) > 4 || !strings.HasSuffix(number, shown) || len(mask) != 12 && utf8.ValidString(number) {
			t.Errorf("%q is shown as %q", number, mask)
		}
	})
}
