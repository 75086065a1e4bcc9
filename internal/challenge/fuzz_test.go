package challenge_test

import (
	"strings"
	"testing"

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
			return
		}
		if _, err := challenge.ParsePasskeyOptions(o.Encode()); err != nil {
			t.Errorf("again: %v", err)
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
