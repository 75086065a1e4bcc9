package environment_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
)

func reader(variables map[string]string) *environment.Reader {
	return environment.New(func(name string) string { return variables[name] })
}

// What the CDK construct of existing deployments sets.
func TestValuesOfExistingDeployments(t *testing.T) {
	r := reader(map[string]string{
		"ALLOWED_ORIGINS": "https://a.example.com, https://b.example.com,", "MAGIC_LINK_ENABLED": "TRUE", "EXPOSE_USER_CREDENTIAL_IDS": "",
		"SECONDS_UNTIL_EXPIRY": "900", "SIGN_IN_TIMEOUT": "120000", "USER_VERIFICATION": "preferred", "SES_REGION": "",
	})
	if got := r.List("ALLOWED_ORIGINS"); !slices.Equal(got, []string{"https://a.example.com", "https://b.example.com"}) {
		t.Errorf("origins %q", got)
	}
	if r.List("ALLOWED_APPLICATION_ORIGINS") != nil {
		t.Error("a list out of nothing")
	}
	if !r.Flag("MAGIC_LINK_ENABLED") || r.Flag("EXPOSE_USER_CREDENTIAL_IDS") || r.Flag("FIDO2_ENABLED") {
		t.Error("flags")
	}
	if r.Seconds("SECONDS_UNTIL_EXPIRY", time.Second) != 15*time.Minute || r.Seconds("MIN_SECONDS_BETWEEN", time.Minute) != time.Minute ||
		r.Milliseconds("SIGN_IN_TIMEOUT", time.Second) != 2*time.Minute {
		t.Error("times")
	}
	if r.OneOf("USER_VERIFICATION", "required", "preferred") != "preferred" || r.OneOf("OTHER", "required", "preferred") != "required" {
		t.Error("choices")
	}
	if r.Text("SES_REGION", "eu-west-1") != "eu-west-1" || r.Number("OTP_LENGTH", 6, 4, 10) != 6 {
		t.Error("defaults")
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

// One start tells of everything that wants mending, by the variables' names.
func TestComplaints(t *testing.T) {
	r := reader(map[string]string{"FIDO2_ENABLED": "false", "OTP_LENGTH": "3", "SECONDS_UNTIL_EXPIRY": "15m", "USER_VERIFICATION": "always", "SPACES": "  "})
	r.Flag("FIDO2_ENABLED")
	r.Number("OTP_LENGTH", 6, 4, 10)
	r.Seconds("SECONDS_UNTIL_EXPIRY", time.Minute)
	r.OneOf("USER_VERIFICATION", "required", "preferred", "discouraged")
	r.Required("SES_FROM_ADDRESS", "a verified sender")
	r.Required("SPACES", "something")
	r.Check("RELYING_PARTY_ID", errors.New("it is an address"))
	r.Check("FINE", nil)
	err := r.Err()
	if !errors.Is(err, environment.ErrInvalid) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "FINE") {
		t.Fatal(err)
	}
	for _, want := range []string{
		`FIDO2_ENABLED is "false": set it to TRUE for on, and leave it empty for off`,
		`OTP_LENGTH is "3": set it to a whole number from 4 to 10, or leave it empty for 6`,
		`SECONDS_UNTIL_EXPIRY is "15m"`, `USER_VERIFICATION is "always": set it to one of required, preferred, discouraged`,
		"SES_FROM_ADDRESS is missing: set it to a verified sender", "SPACES is missing", "RELYING_PARTY_ID will not do: it is an address",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add("TRUE")
	f.Add(" a ,, b")
	f.Add("-1")
	f.Fuzz(func(t *testing.T, value string) {
		r := reader(map[string]string{"V": value})
		for _, part := range r.List("V") {
			if part == "" || strings.TrimSpace(part) != part || strings.Contains(part, ",") {
				t.Errorf("part %q", part)
			}
		}
		if n := r.Number("V", 5, 1, 9); n < 1 || n > 9 {
			t.Errorf("number %d", n)
		}
		if on := r.Flag("V"); on && r.Text("V", "") == "" {
			t.Error("on without a value")
		}
	})
}
