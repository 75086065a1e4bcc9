package product

import (
	"testing"

	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
)

func TestName(t *testing.T) {
	for _, tc := range []struct{ name, from, want string }{
		{"Shop", "Example <no-reply@example.com>", "Shop"},
		{"", "Example <no-reply@example.com>", "Example"},
		{"", `"The Shop, Inc." <no-reply@example.com>`, "The Shop, Inc."},
		{"", "no-reply@mail.example.com", "mail.example.com"},
		{"", `"a@b"@example.com`, "example.com"},
		{"", "no address", ""},
		{"", "", ""},
	} {
		env := environment.New(func(name string) string {
			return map[string]string{"PRODUCT_NAME": tc.name, "SES_FROM_ADDRESS": tc.from}[name]
		})
		if got := Name(env); got != tc.want || env.Err() != nil {
			t.Errorf("%+v: %q, %v", tc, got, env.Err())
		}
	}
}
