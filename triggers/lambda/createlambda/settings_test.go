package createlambda

import (
	"log/slog"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-cognito/passwordless/triggers/lambda/environment"
)

// existing are the variables that the stack of an existing deployment sets.
var existing = map[string]string{
	"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "LOG_LEVEL": "INFO",
	"ALLOWED_ORIGINS": "https://app.example.com,http://localhost:5173", "ALLOWED_APPLICATION_ORIGINS": "",
	"MAGIC_LINK_ENABLED": "TRUE", "SES_FROM_ADDRESS": "no-reply@example.com", "KMS_KEY_ID": "alias/links", "DYNAMODB_SECRETS_TABLE": "Secrets",
	"SECONDS_UNTIL_EXPIRY": "900", "MIN_SECONDS_BETWEEN": "60", "STACK_ID": "arn:aws:cloudformation:eu-west-1:123456789012:stack/x/y",
	"FIDO2_ENABLED": "TRUE", "DYNAMODB_AUTHENTICATORS_TABLE": "Authenticators", "USER_VERIFICATION": "required", "EXPOSE_USER_CREDENTIAL_IDS": "",
	"SIGN_IN_TIMEOUT": "120000", "RELYING_PARTY_ID": "example.com", "SMS_OTP_STEP_UP_ENABLED": "TRUE", "OTP_LENGTH": "6", "ORIGINATION_NUMBER": "",
}

func with(more map[string]string) *environment.Reader {
	all := maps.Clone(existing)
	maps.Copy(all, more)
	return environment.New(func(name string) string { return all[name] })
}

// The environment of an existing deployment is enough, and its defaults are ours.
func TestExistingDeployment(t *testing.T) {
	withDefaults := map[string]string{"SECONDS_UNTIL_EXPIRY": "", "MIN_SECONDS_BETWEEN": "", "USER_VERIFICATION": "", "SIGN_IN_TIMEOUT": "", "OTP_LENGTH": ""}
	for name, more := range map[string]map[string]string{"as set": nil, "by default": withDefaults} {
		env := with(more)
		h, secret, err := New(env, slog.New(slog.DiscardHandler), Options{})
		if err != nil || env.Err() != nil {
			t.Fatal(name, err, env.Err())
		}
		if m := h.MagicLink; m.Lifetime != 15*time.Minute || m.Between != time.Minute || m.Code || m.Product != "example.com" || m.Salt != existing["STACK_ID"] ||
			!reflect.DeepEqual(m.AllowedRedirects, []string{"https://app.example.com", "http://localhost:5173"}) {
			t.Errorf("%s: %+v", name, m)
		}
		if p := h.Passkeys; p.Timeout != 2*time.Minute || p.UserVerification != "required" || p.ExposeCredentialIDs || p.RelyingPartyID != "example.com" {
			t.Errorf("%s: %+v", name, p)
		}
		if s := h.SMS; s.Length != 6 || s.FirstFactor != nil || s.AllowUnverifiedPhones {
			t.Errorf("%s: %+v", name, s)
		}
		if secret.table == nil || secret.fixed != nil {
			t.Errorf("%s: the secret is not that of the table", name)
		}
	}
}

// Whatever is wrong is named, all at once.
func TestWhatIsWrongIsNamed(t *testing.T) {
	for name, bad := range map[string]string{
		"SECONDS_UNTIL_EXPIRY": "soon", "MIN_SECONDS_BETWEEN": "-1", "MAGIC_LINKS_OUTSTANDING": "4", "OTP_LENGTH": "3", "SIGN_IN_TIMEOUT": "0",
		"USER_VERIFICATION": "maybe", "MAGIC_LINK_CODE_ENABLED": "perhaps", "SES_FROM_ADDRESS": "no address", "SENDER_ID": "much too long a name",
		"TRIGGER_SECRET": "c2hvcnQ=", "STACK_ID": "", "KMS_KEY_ID": "", "DYNAMODB_SECRETS_TABLE": "", "DYNAMODB_AUTHENTICATORS_TABLE": "", "ALLOWED_ORIGINS": "",
	} {
		env := with(map[string]string{name: bad})
		if _, _, err := New(env, slog.New(slog.DiscardHandler), Options{}); err != nil {
			t.Error(name, err)
		}
		if err := env.Err(); err == nil || !strings.Contains(err.Error(), name) || name == "TRIGGER_SECRET" && strings.Contains(err.Error(), bad) {
			t.Errorf("%s=%s: %v", name, bad, err)
		}
	}
	env := with(map[string]string{"AWS_REGION": ""})
	if _, _, err := New(env, slog.New(slog.DiscardHandler), Options{}); err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("%v", err)
	}
}

// The countries and the day's budget of messages come from the environment, and hold in each function.
func TestLimitsOfMessages(t *testing.T) {
	env := with(map[string]string{"SMS_CALLING_CODES": "+49, +43", "SMS_PER_DAY_FOR_ALL": "500"})
	h, _, err := New(env, slog.New(slog.DiscardHandler), Options{})
	if err != nil || env.Err() != nil {
		t.Fatal(err, env.Err())
	}
	if s := h.SMS; !reflect.DeepEqual(s.CallingCodes, []string{"+49", "+43"}) || s.AllPerDay != 500 {
		t.Errorf("countries %q, %d a day", s.CallingCodes, s.AllPerDay)
	}
}
