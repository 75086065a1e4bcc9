package pretoken_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/triggers/pretoken"
)

var now = time.Unix(1795346768, 0)

type receipts struct {
	m   map[[sha256.Size]byte]pretoken.Receipt
	err error
}

func (r receipts) Receipt(_ context.Context, key [sha256.Size]byte) (pretoken.Receipt, error) {
	if r.err != nil {
		return pretoken.Receipt{}, r.err
	}
	v, ok := r.m[key]
	if !ok {
		return pretoken.Receipt{}, pretoken.ErrReceiptNotFound
	}
	return v, nil
}

func handler() *pretoken.Handler {
	return &pretoken.Handler{
		Receipts: receipts{m: map[[sha256.Size]byte]pretoken.Receipt{
			challenge.ReceiptKey("client", "alice", "attempt"): {Method: "FIDO2", At: now, Expires: now.Add(time.Minute)},
			challenge.ReceiptKey("client", "alice", "old"):     {Method: "FIDO2", At: now.Add(-time.Hour), Expires: now},
			challenge.ReceiptKey("client", "alice", ""):        {Method: "FIDO2", At: now, Expires: now.Add(time.Minute)},
			challenge.ReceiptKey("client", "alice", "strange"): {Method: "root", At: now, Expires: now.Add(time.Minute)},
		}},
		PersistedKeys:         []string{"signInMethod", "consentId"},
		CustomAuthOnlyClients: []string{"custom only"},
		Now:                   func() time.Time { return now },
	}
}

// event is an event of either version as Cognito writes it.
func event(t *testing.T, version, source, client string, metadata map[string]string) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(map[string]any{
		"version": version, "triggerSource": source, "region": "eu-west-1", "userPoolId": "eu-west-1_AbCdEfGhI", "userName": "alice",
		"callerContext": map[string]string{"awsSdkVersion": "x", "clientId": client},
		"request": map[string]any{
			"userAttributes": map[string]string{"sub": "s"}, "clientMetadata": metadata, "scopes": []string{"aws.cognito.signin.user.admin"},
			"groupConfiguration": map[string]any{"groupsToOverride": []string{"admins"}, "iamRolesToOverride": []string{"arn:r"}, "preferredRole": "arn:r"},
		},
		"response": map[string]any{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

type groups struct {
	GroupsToOverride   []string `json:"groupsToOverride"`
	IAMRolesToOverride []string `json:"iamRolesToOverride"`
	PreferredRole      string   `json:"preferredRole"`
}

type claimSet struct {
	Claims map[string]string `json:"claimsToAddOrOverride"`
}

// answer is the response of either version.
func answer(t *testing.T, h *pretoken.Handler, raw json.RawMessage) (id, access map[string]string, err error) {
	t.Helper()
	got, err := h.HandleJSON(context.Background(), raw)
	if err != nil {
		return nil, nil, err
	}
	out, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Response struct {
			V1 *struct {
				claimSet
				Groups groups `json:"groupOverrideDetails"`
			} `json:"claimsOverrideDetails"`
			V2 *struct {
				ID     claimSet `json:"idTokenGeneration"`
				Access claimSet `json:"accessTokenGeneration"`
				Groups groups   `json:"groupOverrideDetails"`
			} `json:"claimsAndScopeOverrideDetails"`
		} `json:"response"`
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	var g groups
	if r.Response.V1 != nil {
		id, g = r.Response.V1.Claims, r.Response.V1.Groups
	} else {
		id, access, g = r.Response.V2.ID.Claims, r.Response.V2.Access.Claims, r.Response.V2.Groups
	}
	// An empty override would take the user's groups away.
	if len(g.GroupsToOverride) != 1 || len(g.IAMRolesToOverride) != 1 || g.PreferredRole != "arn:r" {
		t.Errorf("groups %+v", g)
	}
	return id, access, nil
}

const authentication = "TokenGeneration_Authentication"

func TestClaims(t *testing.T) {
	passkey := map[string]string{"sign_in_method": "FIDO2", "auth_methods": "passkey"}
	for name, tc := range map[string]struct {
		source, client string
		metadata       map[string]string
		want           map[string]string
	}{
		"receipt":                               {authentication, "client", map[string]string{"attemptId": "attempt", "signInMethod": "FIDO2"}, passkey},
		"defect 8: the caller claims a method":  {authentication, "client", map[string]string{"signInMethod": "FIDO2"}, nil},
		"the caller claims another than passed": {authentication, "client", map[string]string{"attemptId": "attempt", "signInMethod": "SMS_OTP_STEPUP"}, passkey},
		"another attempt's receipt":             {authentication, "client", map[string]string{"attemptId": "guess", "signInMethod": "FIDO2"}, nil},
		"another client's receipt":              {authentication, "client 2", map[string]string{"attemptId": "attempt"}, nil},
		"expired receipt":                       {authentication, "client", map[string]string{"attemptId": "old"}, nil},
		"empty attempt":                         {authentication, "client", map[string]string{"attemptId": ""}, nil},
		"unknown method in a receipt":           {authentication, "client", map[string]string{"attemptId": "strange"}, nil},
		"refresh":                               {"TokenGeneration_RefreshTokens", "client", map[string]string{"attemptId": "attempt", "consentId": "c-1"}, nil},
		"hosted pages":                          {"TokenGeneration_HostedAuth", "client", map[string]string{"attemptId": "attempt"}, nil},
		"custom-auth-only client":               {authentication, "custom only", map[string]string{"signInMethod": "MAGIC_LINK"}, map[string]string{"sign_in_method": "MAGIC_LINK", "auth_methods": "magic_link"}},
		"custom-auth-only, unknown method":      {authentication, "custom only", map[string]string{"signInMethod": "ROOT"}, nil},
		"persisted key":                         {authentication, "client", map[string]string{"consentId": "c-1", "other": "x"}, map[string]string{"consent_id": "c-1"}},
	} {
		for _, version := range []string{"1", "2", "3"} {
			t.Run(name+" V"+version, func(t *testing.T) {
				id, access, err := answer(t, handler(), event(t, version, tc.source, tc.client, tc.metadata))
				if err != nil {
					t.Fatal(err)
				}
				if !maps.Equal(id, tc.want) {
					t.Errorf("ID token %v, want %v", id, tc.want)
				}
				if version != "1" && !maps.Equal(access, tc.want) {
					t.Errorf("access token %v, want %v", access, tc.want)
				}
			})
		}
	}
}

// Where mails carry short codes, MAGIC_LINK without a receipt could be either; and no caller can claim a code by its name.
func TestNoReceiptAndShortCodes(t *testing.T) {
	for method, want := range map[string]map[string]string{
		"MAGIC_LINK": nil, "MAGIC_LINK_CODE": nil, "FIDO2": {"sign_in_method": "FIDO2", "auth_methods": "passkey"},
	} {
		h := handler()
		h.MagicLinkCode = true
		id, _, err := answer(t, h, event(t, "1", authentication, "custom only", map[string]string{"signInMethod": method}))
		if err != nil || !maps.Equal(id, want) {
			t.Errorf("%s: %v, %v", method, id, err)
		}
	}
	id, _, err := answer(t, handler(), event(t, "1", authentication, "custom only", map[string]string{"signInMethod": "MAGIC_LINK_CODE"}))
	if err != nil || len(id) != 0 {
		t.Errorf("a caller claimed a code: %v, %v", id, err)
	}
}

func TestLongValues(t *testing.T) {
	for value, want := range map[string]bool{
		strings.Repeat("x", 256): true, strings.Repeat("x", 257): false, strings.Repeat("é", 256): true,
		strings.Repeat("\U0001F511", 128): true, strings.Repeat("\U0001F511", 129): false,
	} {
		_, _, err := answer(t, handler(), event(t, "1", authentication, "client", map[string]string{"consentId": value}))
		if (err == nil) != want {
			t.Errorf("%d bytes: %v", len(value), err)
		}
		if err != nil && strings.Contains(err.Error(), value) {
			t.Error("the error repeats the value")
		}
	}
}

func TestReceiptStoreUnreachable(t *testing.T) {
	h := handler()
	h.Receipts = receipts{err: errors.New("table secret-table")}
	_, _, err := answer(t, h, event(t, "1", authentication, "client", map[string]string{"attemptId": "attempt"}))
	var failure *challenge.Failure
	if !errors.As(err, &failure) || strings.Contains(err.Error(), "secret-table") {
		t.Errorf("got %v", err)
	}
}

// Client metadata must not set what others trust.
func TestReservedClaims(t *testing.T) {
	if err := handler().Validate(); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"sub", "email", "emailVerified", "cognito:groups", "custom:role", "amr", "acr", "authTime", "authMethods", "tokenUse", "clientId", "username", "jwt", ""} {
		h := &pretoken.Handler{PersistedKeys: []string{key}}
		if h.Validate() == nil {
			t.Errorf("%q may be persisted", key)
		}
	}
}

func FuzzHandleJSON(f *testing.F) {
	for _, s := range []string{`{}`, `null`, `[]`, `{"version":"2"}`, `{"version":"1","triggerSource":"TokenGeneration_Authentication","request":{"clientMetadata":{"consentId":"x","attemptId":"attempt"}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = withoutResponse(raw)
		h := handler()
		h.CustomAuthOnlyClients = nil
		got, err := h.HandleJSON(context.Background(), raw)
		var failure *challenge.Failure
		if err != nil {
			if !errors.As(err, &failure) || got != nil {
				t.Errorf("%T, %v", got, err)
			}
			return
		}
		// Whatever the caller sends: only listed keys and proven methods become claims.
		out, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			Response map[string]struct {
				claimSet
				ID     claimSet `json:"idTokenGeneration"`
				Access claimSet `json:"accessTokenGeneration"`
			} `json:"response"`
		}
		if err := json.Unmarshal(out, &e); err != nil {
			t.Fatal(err)
		}
		for _, details := range e.Response {
			for _, set := range []claimSet{details.claimSet, details.ID, details.Access} {
				for claim, v := range set.Claims {
					if claim != "consent_id" && (claim != "auth_methods" || v != "passkey") && (claim != "sign_in_method" || v != "FIDO2") {
						t.Errorf("claims %v", set.Claims)
					}
				}
			}
		}
	})
}

// withoutResponse is the event without answers of its own: Cognito's are empty.
func withoutResponse(raw []byte) []byte {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return raw
	}
	maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool { return strings.EqualFold(name, "response") })
	out, err := json.Marshal(members)
	if err != nil {
		return raw
	}
	return out
}
