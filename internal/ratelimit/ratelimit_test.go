package ratelimit

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

var start = time.Unix(1_800_000_000, 0)

func TestTokensComeBack(t *testing.T) {
	m := NewMemory()
	c := []Charge{{Key: "a", Rate: Rate{3, time.Second}}}
	for range 3 {
		if wait := m.Take(start, c); wait != 0 {
			t.Fatalf("waits %s", wait)
		}
	}
	if wait := m.Take(start, c); wait != time.Second {
		t.Errorf("waits %s, want 1s", wait)
	}
	if wait := m.Take(start.Add(time.Second), c); wait != 0 {
		t.Errorf("the token did not come back: %s", wait)
	}
	if used := m.Used(start.Add(2*time.Second), c[0]); used != 2 {
		t.Errorf("%g tokens are used, want 2", used)
	}
	if used := m.Used(start.Add(time.Hour), c[0]); used != 0 {
		t.Errorf("%g tokens are used after an hour", used)
	}
}

// A refused request takes nothing of any bucket.
func TestRefusedTakesNothing(t *testing.T) {
	m := NewMemory()
	small, large := Charge{Key: "small", Rate: Rate{1, time.Minute}}, Charge{Key: "large", Rate: Rate{10, time.Minute}}
	m.Take(start, []Charge{small})
	for range 20 {
		if m.Take(start, []Charge{large, small}) == 0 {
			t.Fatal("not refused")
		}
	}
	if used := m.Used(start, large); used != 0 {
		t.Errorf("%g tokens were taken", used)
	}
}

// Limits changed by a reload hold at once, for buckets that are in use, too; so does a clock that was set back.
func TestChangedLimitsAndClocks(t *testing.T) {
	m := NewMemory()
	tight := []Charge{{Key: "a", Rate: Rate{2, time.Hour}}}
	m.Take(start, tight)
	m.Take(start, tight)
	wide := []Charge{{Key: "a", Rate: Rate{10, time.Second}}}
	for range 10 {
		if wait := m.Take(start, wide); wait != 0 {
			t.Fatalf("the wider limit makes wait %s", wait)
		}
	}
	if m.Take(start, wide) == 0 {
		t.Error("the wider limit does not hold")
	}
	m.Take(start.Add(24*time.Hour), wide)
	if wait := m.Take(start, wide); wait != 0 {
		t.Errorf("after the clock was set back: %s", wait)
	}
}

// The clock of the computer is set back an hour. Attackers get no new budget by it, nobody is locked out by what they did before, and
// tokens go on coming back.
func TestClockSetBackAnHour(t *testing.T) {
	l := &Limiter{Defaults(), NewMemory()}
	for l.Sender(start, Mails, "203.0.113.1") == 0 {
	}
	if l.Proven(start, Codes, "anna") > 0 {
		t.Fatal("anna's code was refused")
	}
	later := start.Add(5 * time.Minute) // anna's bucket is full, the attacker's half empty
	for l.Sender(later, Mails, "203.0.113.1") == 0 {
	}
	back := later.Add(-time.Hour)
	if l.Sender(back, Mails, "203.0.113.1") == 0 {
		t.Error("the attacker's bucket is full again")
	}
	for i := range 12 {
		if wait := l.Proven(back, Codes, "anna"); wait > 0 {
			t.Fatalf("anna waits %s for code %d", wait, i)
		}
	}
	if wait := l.Sender(back.Add(10*time.Second), Mails, "203.0.113.1"); wait > 0 {
		t.Errorf("10 seconds later a token is not back for %s", wait)
	}
	// Times of concurrent calls that are a little out of order make the clock no faster.
	for i := range 100 {
		for _, at := range []time.Duration{11 * time.Second, 11*time.Second - 900*time.Millisecond} {
			if l.Sender(back.Add(at), Mails, "203.0.113.1") == 0 {
				t.Fatalf("calls out of order give a token back, at %d", i)
			}
		}
	}
}

// Attack: a flood of made-up keys, to push the attacker's own empty bucket out, or to fill those of others.
func TestMadeUpKeysEraseNothing(t *testing.T) {
	f := newFlood(t, Defaults())
	attacker, victim := "198.51.100.1", "victim@example.com"
	for f.l.Sender(f.now, Mails, attacker) == 0 {
	}
	allowed := 0
	for i := range 200_000 {
		address := fmt.Sprintf("2001:db8:%x:%x::1", i>>8, i&0xff<<8)
		if f.l.Sender(f.now, Mails, address) == 0 && f.l.Stranger(f.now, Mails, address, fmt.Sprint("made up ", i)) == 0 {
			allowed++
		}
	}
	if f.l.Sender(f.now, Mails, attacker) == 0 {
		t.Error("the attacker's bucket was forgotten")
	}
	if most := f.l.Settings.Budgets[Mails].Overall.Burst; allowed > most*3/4 {
		t.Errorf("strangers got %d of %d and left no reserve", allowed, most)
	}
	if used := f.l.Counters.Used(f.now, Charge{Act: Mails, scope: scopeAccount, Key: victim, Rate: f.l.Settings.Budgets[Mails].Account}); used >= 1 {
		t.Errorf("an account that was never named has %g tokens taken", used)
	}
	for _, byScope := range f.l.Counters.(*Memory).tables {
		for _, table := range byScope {
			if table != nil && len(table[0]) > cells {
				t.Errorf("a table grew to %d cells", len(table[0]))
			}
		}
	}
}

func TestPrefixes(t *testing.T) {
	l := &Limiter{Settings: Defaults()}
	l.Settings.Trusted = []netip.Prefix{mustPrefix("192.0.2.0/28"), mustPrefix("2001:db8:7::/48")}
	for address, want := range map[string]string{
		"198.51.100.9": "198.51.100.9/32 198.51.100.0/24", "::ffff:198.51.100.9": "198.51.100.9/32 198.51.100.0/24",
		"2001:db8:1:2345::9%eth0": "2001:db8:1:2345::/64 2001:db8:1:2300::/56 2001:db8:1::/48",
		"x":                       "unknown", "": "unknown",
		"192.0.2.15": "", "192.0.2.16": "192.0.2.16/32 192.0.2.0/24", "2001:db8:7:8::1": "",
	} {
		var got []string
		for _, p := range l.prefixes(address) {
			got = append(got, p.key)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q counts for %q, want %q", address, got, want)
		}
	}
}

// Attack: many addresses of one network, each below its own limit.
func TestNetworksHaveLimits(t *testing.T) {
	for name, c := range map[string]struct {
		address func(i int) string
		most    int
	}{
		"IPv4 /24":           {func(i int) string { return fmt.Sprintf("198.51.100.%d", i%256) }, 240},
		"IPv6 /64":           {func(i int) string { return fmt.Sprintf("2001:db8::%x", i) }, 60},
		"IPv6 /56":           {func(i int) string { return fmt.Sprintf("2001:db8:0:%x::1", i%256) }, 240},
		"IPv6 /48":           {func(i int) string { return fmt.Sprintf("2001:db8:0:%x::1", i%256*256) }, 960},
		"no address at all":  {func(int) string { return "?" }, 60},
		"IPv4 within IPv6":   {func(i int) string { return fmt.Sprintf("::ffff:198.51.100.%d", i%256) }, 240},
		"one address, zones": {func(i int) string { return fmt.Sprintf("fe80::1%%eth%d", i) }, 60},
	} {
		l := &Limiter{Defaults(), NewMemory()}
		allowed := 0
		for i := range 5000 {
			if l.Sender(start, Mails, c.address(i)) == 0 {
				allowed++
			}
		}
		if allowed != c.most {
			t.Errorf("%s: %d, want %d", name, allowed, c.most)
		}
	}
}

// Trusted networks have no limits per address, and those per account and overall hold.
func TestTrustedNetworks(t *testing.T) {
	settings := Defaults()
	settings.Trusted = []netip.Prefix{mustPrefix("192.0.2.1/32")}
	l := &Limiter{settings, NewMemory()}
	for i := range 500 {
		if l.Sender(start, Mails, "192.0.2.1") > 0 || l.Stranger(start, Mails, "192.0.2.1", fmt.Sprint(i)) > 0 {
			t.Fatalf("person %d behind the office's NAT was refused", i)
		}
	}
	for range settings.Budgets[Mails].Account.Burst {
		l.Stranger(start, Mails, "192.0.2.1", "one")
	}
	if l.Stranger(start, Mails, "192.0.2.1", "one") == 0 {
		t.Error("the account has no limit")
	}
	for i := range 1000 {
		l.Stranger(start, Mails, "192.0.2.1", fmt.Sprint("more ", i))
	}
	if l.Stranger(start, Mails, "192.0.2.1", "last") == 0 {
		t.Error("there is no overall limit")
	}
	if l.SignedIn(start, Mails, "192.0.2.1", "signed in") > 0 || l.Proven(start, Mails, "proven") > 0 {
		t.Error("the reserve is gone")
	}
}

// The daily budget holds for people who are signed in, too: messages cost money.
func TestDailyBudget(t *testing.T) {
	settings := Defaults()
	settings.Budgets[Texts].Daily = 50
	l := &Limiter{settings, NewMemory()}
	sent := 0
	for i := range 24 * 60 {
		if l.SignedIn(start.Add(time.Duration(i)*time.Minute), Texts, fmt.Sprintf("203.0.%d.%d", i%200, i%250), fmt.Sprint(i)) == 0 {
			sent++
		}
	}
	if sent < 95 || sent > 100 { // a full bucket, and what a day fills in
		t.Errorf("%d messages on the first day, want 50 at once and 50 over the day", sent)
	}
}

func TestSettingsThatCannotWork(t *testing.T) {
	if err := Defaults().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Settings){
		"mails: overall: it cannot be off":       func(s *Settings) { s.Budgets[Mails].Overall = Rate{} },
		"texts: daily: -1 is not":                func(s *Settings) { s.Budgets[Texts].Daily = -1 },
		"links: address: 0 at once":              func(s *Settings) { s.Budgets[Links].Address.Burst = 0 },
		"links: address: 2000000 at once":        func(s *Settings) { s.Budgets[Links].Address.Burst = 2_000_000 },
		"codes: account: one each 1µs":           func(s *Settings) { s.Budgets[Codes].Account.Every = time.Microsecond },
		"codes: account: one each 0s":            func(s *Settings) { s.Budgets[Codes].Account.Every = 0 },
		"codes: account: 12, then one each 240h": func(s *Settings) { s.Budgets[Codes].Account.Every = 240 * time.Hour },
		"passkeys: network is tighter than":      func(s *Settings) { s.Budgets[Passkeys].Network.Burst = 100 },
		"passkeys: site is tighter than":         func(s *Settings) { s.Budgets[Passkeys].Site.Every = time.Second },
		"reserve: 95% is not between 0% and 90%": func(s *Settings) { s.Reserve = 0.95 },
		"trusted_networks: ::/0 trusts every":    func(s *Settings) { s.Trusted = []netip.Prefix{mustPrefix("::/0")} },
		"trusted_networks: 10.1.2.3/8 has bits":  func(s *Settings) { s.Trusted = []netip.Prefix{mustPrefix("10.1.2.3/8")} },
	} {
		s := Defaults()
		change(&s)
		if err := s.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
	s := Defaults()
	for act := range s.Budgets {
		b := &s.Budgets[act]
		b.Address, b.Network, b.Site, b.Account = Rate{}, Rate{}, Rate{}, Rate{}
	}
	l := &Limiter{s, NewMemory()}
	for range 700 {
		if l.Sender(start, Mails, "203.0.113.1") > 0 || l.SignedIn(start, Mails, "203.0.113.1", "a") > 0 {
			t.Fatal("a limit that is off refused")
		}
	}
}

// The cost of a decision does not depend on what was counted before.
func BenchmarkStrangerUnderFlood(b *testing.B) {
	l := &Limiter{Defaults(), NewMemory()}
	now := start
	b.ReportAllocs()
	for i := range b.N {
		now = now.Add(10 * time.Microsecond)
		address := fmt.Sprintf("2001:db8:%x:%x::1", i>>16&0xffff, i&0xffff)
		if l.Sender(now, Mails, address) == 0 {
			l.Stranger(now, Mails, address, address)
		}
	}
}
