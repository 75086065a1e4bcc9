package pretoken_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"testing"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/triggers/pretoken"
)

// Events as Cognito sends them: each keeps its request, and answers in the form of its version, however often it comes.
func TestRealEvents(t *testing.T) {
	proven := map[string]any{"sign_in_method": "FIDO2", "auth_methods": "passkey", "consent_id": "c-1"}
	for file, tc := range map[string]struct {
		details string
		want    map[string]any
	}{
		"v1.json":                    {"claimsOverrideDetails", proven},
		"v2.json":                    {"claimsAndScopeOverrideDetails", proven},
		"v3.json":                    {"claimsAndScopeOverrideDetails", proven},
		"v2-refresh.json":            {"claimsAndScopeOverrideDetails", nil},
		"v3-client-credentials.json": {"claimsAndScopeOverrideDetails", nil},
	} {
		t.Run(file, func(t *testing.T) {
			raw, err := os.ReadFile("testdata/" + file)
			if err != nil {
				t.Fatal(err)
			}
			h := handler()
			h.Receipts = receipts{m: map[[32]byte]pretoken.Receipt{
				challenge.ReceiptKey("1example23456789", "6a0f2f5e-1111-4222-8333-444455556666", "attempt"): {Method: "FIDO2", At: now, Expires: now.Add(1)},
			}}
			var first string
			for i := range 3 {
				got, err := h.HandleJSON(context.Background(), raw)
				if err != nil {
					t.Fatal(err)
				}
				out, err := json.Marshal(got)
				if err != nil {
					t.Fatal(err)
				}
				if i > 0 && string(out) != first {
					t.Errorf("call %d answered %s, the first %s", i+1, out, first)
				}
				first = string(out)
			}
			var before, after map[string]any
			if json.Unmarshal(raw, &before) != nil || json.Unmarshal([]byte(first), &after) != nil {
				t.Fatal("not JSON")
			}
			response := after["response"].(map[string]any)
			delete(before, "response")
			delete(after, "response")
			kept(t, "event", before, after)
			if _, ok := response[tc.details]; !ok || len(response) != 1 {
				t.Fatalf("response %v", response)
			}
			details := response[tc.details].(map[string]any)
			if file == "v1.json" {
				wantClaims(t, "ID token", details, tc.want)
			} else {
				for _, part := range []string{"idTokenGeneration", "accessTokenGeneration"} {
					inner, _ := details[part].(map[string]any)
					wantClaims(t, part, inner, tc.want)
				}
			}
			groups, _ := details["groupOverrideDetails"].(map[string]any)
			given, _ := before["request"].(map[string]any)["groupConfiguration"].(map[string]any)
			kept(t, "groups", given, groups)
		})
	}
}

func wantClaims(t *testing.T, part string, details, want map[string]any) {
	t.Helper()
	claims, _ := details["claimsToAddOrOverride"].(map[string]any)
	if !maps.Equal(claims, want) {
		t.Errorf("%s: claims %v, want %v", part, claims, want)
	}
}

// kept tells of members that got lost or changed on the way through the handler's types.
func kept(t *testing.T, where string, before, after map[string]any) {
	t.Helper()
	for k, v := range before {
		if inner, ok := v.(map[string]any); ok {
			other, _ := after[k].(map[string]any)
			kept(t, where+"."+k, inner, other)
			continue
		}
		x, _ := json.Marshal(v)
		y, _ := json.Marshal(after[k])
		if v != nil && string(x) != string(y) {
			t.Errorf("%s.%s was %s and is %s", where, k, x, y)
		}
	}
}
