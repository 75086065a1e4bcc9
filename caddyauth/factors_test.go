package caddyauth

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// A rule that nobody of the realm could ever meet is told when the configuration is checked, with the option that is missing; one of several factors will do.
func TestRulesOnFactorsThatNobodyHas(t *testing.T) {
	age := caddy.Duration(5 * time.Minute)
	for name, test := range map[string]struct {
		guard Guard
		realm func(*Realm)
		want  string
	}{
		"SMS for who may pass":               {Guard{Allow: []Rule{{Factors: []string{"sms"}}}}, func(r *Realm) { r.SMSStepUp = false }, "allow factor: nobody in this realm has sms: add `sms_step_up`"},
		"SMS as a step-up":                   {Guard{StepUp: []StepUpRule{{MaxAge: age, Factors: []string{"sms"}}}}, func(r *Realm) { r.SMSStepUp = false }, "step_up: nobody in this realm has sms"},
		"link":                               {Guard{StepUp: []StepUpRule{{MaxAge: age, Factors: []string{"magic_link"}}}}, func(r *Realm) { r.MagicLink = nil }, "add `magic_link`"},
		"code without codes":                 {Guard{StepUp: []StepUpRule{{MaxAge: age, Factors: []string{"email_code"}}}}, func(r *Realm) { r.MagicLink = &MagicLink{} }, "add `magic_link { code }`"},
		"code without links":                 {Guard{Allow: []Rule{{Factors: []string{"email_code"}}}}, func(r *Realm) { r.MagicLink = nil }, "add `magic_link { code }`"},
		"all there":                          {Guard{Allow: []Rule{{Factors: []string{"sms"}}, {Factors: []string{"email_code"}}}}, func(*Realm) {}, ""},
		"one of two":                         {Guard{StepUp: []StepUpRule{{MaxAge: age, Factors: []string{"sms", "passkey"}}}}, func(r *Realm) { r.SMSStepUp = false }, ""},
		"any factor":                         {Guard{StepUp: []StepUpRule{{MaxAge: age}}}, func(r *Realm) { r.SMSStepUp = false }, ""},
		"nobody is refused, which is a rule": {Guard{Deny: []Rule{{Factors: []string{"sms"}}}}, func(r *Realm) { r.SMSStepUp = false }, ""},
		"tokens of other clients":            {Guard{Bearer: "access", StepUp: []StepUpRule{{MaxAge: age, Factors: []string{"sms"}}}}, func(r *Realm) { r.SMSStepUp = false }, ""},
	} {
		g := newGuarded(t, test.realm)
		guard := test.guard
		guard.logger = zap.NewNop()
		err := guard.bind(g.app, g.app.Realms[DefaultRealm])
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if err := guard.Cleanup(); err != nil {
			t.Error(err)
		}
	}
}
