package triggers_test

import "testing"

// Settings that cannot work are told at the start, not at the first sign-in.
func TestSettingsThatCannotWork(t *testing.T) {
	for name, spoil := range map[string]func(p *pool){
		"short secret":                func(p *pool) { p.create.Secret = p.create.Secret[:31] },
		"no mailer":                   func(p *pool) { p.create.MagicLink.Mailer = nil },
		"no redirects":                func(p *pool) { p.create.MagicLink.AllowedRedirects = nil },
		"redirect with userinfo":      func(p *pool) { p.create.MagicLink.AllowedRedirects = []string{"https://a@b.example/"} },
		"redirect without a scheme":   func(p *pool) { p.create.MagicLink.AllowedRedirects = []string{"auth.example.com"} },
		"redirect with a query":       func(p *pool) { p.create.MagicLink.AllowedRedirects = []string{"https://a.example/?x"} },
		"hourly limit, no limiter":    func(p *pool) { p.create.MagicLink.PerHour = 5 },
		"negative lifetime":           func(p *pool) { p.create.MagicLink.Lifetime = -1 },
		"passkeys without a store":    func(p *pool) { p.create.Passkeys.Credentials = nil },
		"SMS without a limiter":       func(p *pool) { p.create.SMS.Limiter = nil },
		"SMS origin with userinfo":    func(p *pool) { p.create.SMS.Origins = []string{"https://a@b.example"} },
		"SMS origin without a scheme": func(p *pool) { p.create.SMS.Origins = []string{"auth.example.com"} },
		"negative messages a day":     func(p *pool) { p.create.SMS.PerDay = -1 },
		"short codes, no operations":  func(p *pool) { p.verify.MagicLink.Operations = nil },
		"short codes, no limiter":     func(p *pool) { p.verify.MagicLink.Limiter = nil },
		"negative tries of codes":     func(p *pool) { p.verify.MagicLink.PerHour = -1 },
		"negative tries by SMS":       func(p *pool) { p.verify.SMS.PerHour = -1 },
		"codes of three digits":       func(p *pool) { p.create.SMS.Length = 3 },
		"nothing to create":           func(p *pool) { p.create.MagicLink, p.create.Passkeys, p.create.SMS = nil, nil, nil },
		"no keys":                     func(p *pool) { p.verify.MagicLink.Keys = nil },
		"no checker":                  func(p *pool) { p.verify.Passkeys.Checker = nil },
		"no token verifier":           func(p *pool) { p.verify.SMS.Tokens = nil },
		"nothing to verify":           func(p *pool) { p.verify.MagicLink, p.verify.Passkeys, p.verify.SMS = nil, nil, nil },
		"enforcing passkeys, all off": func(p *pool) { p.verify.Passkeys, p.verify.EnforceFIDO2IfAvailable = nil, true },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t)
			spoil(p)
			if p.create.Validate() == nil && p.verify.Validate() == nil {
				t.Error("no error")
			}
		})
	}
}
