package pooltoken

import (
	"context"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/token"
)

func TestAmazonIssuer(t *testing.T) {
	for pool, want := range map[string]string{
		"eu-west-1_Ab12Cd34E":     "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E",
		"us-gov-west-1_Ab12Cd34E": "https://cognito-idp.us-gov-west-1.amazonaws.com/us-gov-west-1_Ab12Cd34E",
		"cn-north-1_Ab12Cd34E":    "https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_Ab12Cd34E",
		"":                        "", "eu-west-1": "", "_x": "", "evil.example.com/_x": "", "eu-west-1_x@evil.example.com": "", "eu-west-1_x?": "", "eu-west-1_x\n": "",
	} {
		if got, err := amazonIssuer(pool); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", pool, got, err)
		}
	}
}

// A token is never verified for nobody, and each pool and app client has keys of its own.
func TestAudience(t *testing.T) {
	v := New("")
	if _, err := v.Verify(context.Background(), "x.y.z", token.Access); err == nil {
		t.Error("verified without an event")
	}
	if _, err := v.Proves(context.Background(), "x.y.z", "alice", "client"); err == nil {
		t.Error("proven without an event")
	}
	ctx := WithAudience(t.Context(), "eu-west-1_A", "one")
	if ok, err := v.Proves(ctx, "x.y.z", "alice", "one"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if _, err := v.Proves(WithAudience(t.Context(), "nonsense", "one"), "x.y.z", "alice", "one"); err == nil {
		t.Error("proven for a pool that cannot be")
	}
	for i := range 3 * most {
		if _, err := v.of(audience{"eu-west-1_A", string(rune('a' + i))}); err != nil {
			t.Fatal(err)
		}
	}
	if len(v.each) > most {
		t.Errorf("%d verifiers are kept", len(v.each))
	}
}
