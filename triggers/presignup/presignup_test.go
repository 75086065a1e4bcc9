package presignup_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/caddy-cognito/passwordless/triggers/presignup"
)

func handle(h *presignup.Handler, source, email string) (events.CognitoEventUserPoolsPreSignup, error) {
	var e events.CognitoEventUserPoolsPreSignup
	e.TriggerSource = source
	e.Request.UserAttributes = map[string]string{"email": email}
	e.Response.AutoVerifyEmail = true
	return h.Handle(context.Background(), e)
}

func TestPolicy(t *testing.T) {
	domains := &presignup.Handler{AllowedDomains: []string{"Example.com"}}
	for name, tc := range map[string]struct {
		handler       *presignup.Handler
		source, email string
		want          bool
	}{
		"open":                              {&presignup.Handler{}, "PreSignUp_SignUp", "a@b.example", true},
		"closed":                            {&presignup.Handler{Mode: presignup.Closed}, "PreSignUp_SignUp", "a@example.com", false},
		"closed, by an administrator":       {&presignup.Handler{Mode: presignup.Closed}, "PreSignUp_AdminCreateUser", "a@example.com", true},
		"closed, external provider":         {&presignup.Handler{Mode: presignup.Closed}, "PreSignUp_ExternalProvider", "a@example.com", false},
		"unknown mode fails closed":         {&presignup.Handler{Mode: "opne"}, "PreSignUp_SignUp", "a@example.com", false},
		"domain":                            {domains, "PreSignUp_SignUp", "a@example.com", true},
		"domain in capitals":                {domains, "PreSignUp_SignUp", "A@EXAMPLE.COM", true},
		"other domain":                      {domains, "PreSignUp_SignUp", "a@evil.example", false},
		"subdomain":                         {domains, "PreSignUp_SignUp", "a@sub.example.com", false},
		"longer domain":                     {domains, "PreSignUp_SignUp", "a@notexample.com", false},
		"domain as local part":              {domains, "PreSignUp_SignUp", "example.com@evil.example", false},
		"two at signs":                      {domains, "PreSignUp_SignUp", "a@evil.example@example.com", false},
		"quoted local part with an at":      {domains, "PreSignUp_SignUp", `"a@evil.example"@example.com`, false},
		"comment":                           {domains, "PreSignUp_SignUp", "a@example.com(evil)", false},
		"list of addresses":                 {domains, "PreSignUp_SignUp", "a@evil.example,b@example.com", false},
		"line break":                        {domains, "PreSignUp_SignUp", "a@evil.example\n@example.com", false},
		"letter that folds to an ASCII one": {&presignup.Handler{AllowedDomains: []string{"kelvin.example"}}, "PreSignUp_SignUp", "a@\u212aelvin.example", false},
		"trailing dot":                      {domains, "PreSignUp_SignUp", "a@example.com.", false},
		"no address":                        {domains, "PreSignUp_SignUp", "", false},
		"no domain":                         {domains, "PreSignUp_SignUp", "a@", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := handle(tc.handler, tc.source, tc.email)
			if (err == nil) != tc.want || got.Response.AutoConfirmUser != tc.want {
				t.Errorf("%v, confirmed %v", err, got.Response.AutoConfirmUser)
			}
			if err == nil && (got.Response.AutoVerifyEmail || got.Response.AutoVerifyPhone) {
				t.Error("an address nobody proved was verified")
			}
			if err != nil && tc.email != "" && strings.Contains(err.Error(), tc.email) {
				t.Errorf("the error repeats the address: %v", err)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for _, h := range []*presignup.Handler{{}, {Mode: presignup.Closed}, {Mode: presignup.Invitation}, {AllowedDomains: []string{"example.com"}}, {Mode: presignup.Domains, AllowedDomains: []string{"a.example"}}} {
		if err := h.Validate(); err != nil {
			t.Errorf("%+v: %v", h, err)
		}
	}
	for _, h := range []*presignup.Handler{
		{Mode: "invite"}, {Mode: presignup.Domains}, {Mode: presignup.Open, AllowedDomains: []string{"example.com"}},
		{Mode: presignup.Invitation, AllowedDomains: []string{"example.com"}},
		{AllowedDomains: []string{"@example.com"}}, {AllowedDomains: []string{"*.example.com"}}, {AllowedDomains: []string{""}}, {AllowedDomains: []string{"example.com."}},
	} {
		if h.Validate() == nil {
			t.Errorf("%+v: no error", h)
		}
	}
}

// Whatever the address, the part that was compared with the list is all that stands behind the one "@".
func FuzzDomain(f *testing.F) {
	for _, s := range []string{"a@example.com", "@", "a@b@example.com", `"@"@example.com`, "a@example.com\x00"} {
		f.Add(s)
	}
	h := &presignup.Handler{AllowedDomains: []string{"example.com"}}
	f.Fuzz(func(t *testing.T, email string) {
		_, err := handle(h, "PreSignUp_SignUp", email)
		if err == nil && (strings.Count(email, "@") != 1 || !strings.HasSuffix(strings.ToLower(email), "@example.com")) {
			t.Errorf("%q was let in", email)
		}
	})
}
