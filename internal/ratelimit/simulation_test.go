package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// flood is a simulated life of a realm under attack. Time is a variable; chance has a fixed seed.
type flood struct {
	*testing.T
	l   *Limiter
	now time.Time
	rng *rand.Rand
}

func newFlood(t *testing.T, settings Settings) *flood {
	return &flood{T: t, l: &Limiter{settings, NewMemory()}, now: time.Unix(1_800_000_000, 0), rng: rand.New(rand.NewPCG(1, 2))}
}

// attackers: IPv4 over many /24s, and IPv6 out of one /56 and one /48.
func attackers() []string {
	var list []string
	for i := range 250 {
		list = append(list, fmt.Sprintf("198.%d.%d.7", 18+i%2, i))
	}
	for i := range 125 {
		list = append(list, fmt.Sprintf("2001:db8:aa:%x::1", i)) // one /56 and a bit
	}
	for i := range 125 {
		list = append(list, fmt.Sprintf("2001:db8:bb:%x::1", i*500)) // /64s all over one /48
	}
	return list
}

// attack lets every attacker try once at everything that a stranger may do.
func (f *flood) attack(addresses []string, allowed map[Act]int) {
	f.rng.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	for _, address := range addresses {
		for _, act := range []Act{Mails, Links, Passkeys, Challenges, Codes} {
			if f.l.Sender(f.now, act, address) > 0 {
				continue
			}
			account := fmt.Sprintf("made-up-%d@example.com", f.rng.IntN(1<<30))
			if act != Links && f.l.Stranger(f.now, act, address, account) == 0 {
				allowed[act]++
			}
		}
	}
}

// tally counts who got what they wanted.
type tally map[string][2]int

func (t tally) count(who string, wait time.Duration) {
	n := t[who]
	n[1]++
	if wait == 0 {
		n[0]++
	}
	t[who] = n
}

func (t tally) check(test *testing.T) {
	test.Helper()
	for who, n := range t {
		test.Logf("%s: %d of %d", who, n[0], n[1])
		if n[1] < 100 || float64(n[0]) < 0.99*float64(n[1]) {
			test.Errorf("%s: %d of %d, want 99 %% of at least 100", who, n[0], n[1])
		}
	}
}

// byLink and byPasskey are what the portal counts in one sign-in.
func (f *flood) byLink(address, account string) time.Duration {
	return max(
		f.l.Sender(f.now, Mails, address), f.l.Stranger(f.now, Mails, address, account),
		f.l.Sender(f.now, Links, address), f.l.Proven(f.now, Links, "flow "+account),
	)
}

func (f *flood) byPasskey(address, account string) time.Duration {
	return max(f.l.Sender(f.now, Passkeys, address), f.l.Proven(f.now, Passkeys, "user "+account))
}

func (f *flood) byNamedPasskey(address, account string) time.Duration {
	return max(
		f.l.Sender(f.now, Passkeys, address), f.l.Stranger(f.now, Passkeys, address, account),
		f.l.Sender(f.now, Passkeys, address), f.l.Stranger(f.now, Passkeys, address),
	)
}

// Attack: 500 addresses ask for everything five times a second each, from the first second on, while people sign in from home and from an office,
// and those who are signed in step up.
func TestHonestPeopleSignInUnderFlood(t *testing.T) {
	settings := Defaults()
	settings.Trusted = append(settings.Trusted, mustPrefix("192.0.2.0/28"))
	f := newFlood(t, settings)
	addresses, allowed, result := attackers(), map[Act]int{}, tally{}
	const span = 4 * time.Minute
	for tick := range int(span / (200 * time.Millisecond)) {
		f.now = f.now.Add(200 * time.Millisecond)
		f.attack(addresses, allowed)
		home := func() string { return fmt.Sprintf("203.0.%d.%d", f.rng.IntN(100), 1+f.rng.IntN(250)) }
		mobile := func() string { return fmt.Sprintf("2001:db8:%x:%x::1", 0x1000+f.rng.IntN(4000), f.rng.IntN(65536)) }
		who := fmt.Sprintf("person-%d@example.com", tick)
		switch tick % 10 {
		case 0:
			result.count("by link from home", f.byLink(home(), who))
		case 1:
			result.count("by link on the move", f.byLink(mobile(), who))
		case 2:
			result.count("by passkey from home", f.byPasskey(home(), who))
		case 3:
			result.count("by named passkey from home", f.byNamedPasskey(home(), who))
		case 4:
			result.count("by link in the office", f.byLink("192.0.2.1", who))
		case 5:
			result.count("by named passkey in the office", f.byNamedPasskey("192.0.2.1", who))
		case 6:
			result.count("step-up by passkey", max(f.l.SignedIn(f.now, Passkeys, "192.0.2.1", who), f.l.SignedIn(f.now, Passkeys, home(), who)))
		case 7:
			address := addresses[f.rng.IntN(len(addresses))] // behind the same NAT as an attacker
			result.count("step-up beside an attacker", f.l.SignedIn(f.now, Passkeys, address, who))
		case 8:
			result.count("sign-in challenge of another front end", max(f.l.Sender(f.now, Challenges, home()), f.l.Stranger(f.now, Challenges, home())))
		case 9:
			result.count("code typed for a step-up", f.l.SignedIn(f.now, Codes, home(), who))
		}
	}
	result.check(t)
	for act, n := range allowed {
		b := f.l.Settings.Budgets[act].Overall
		if most := b.Burst + int(span/b.Every); n > most {
			t.Errorf("the flood got %d %s, more than the %d that all have", n, act, most)
		}
	}
}

// Attack: 59 addresses of one /24 ask for four challenges a second each.
func TestChallengeFloodFromOneNetwork(t *testing.T) {
	f := newFlood(t, Defaults())
	result := tally{}
	for tick := range 4 * 60 {
		f.now = f.now.Add(250 * time.Millisecond)
		for i := range 59 {
			address := fmt.Sprintf("198.51.100.%d", 1+i)
			if f.l.Sender(f.now, Challenges, address) == 0 {
				f.l.Stranger(f.now, Challenges, address)
			}
			if f.l.Sender(f.now, Passkeys, address) == 0 {
				f.l.Stranger(f.now, Passkeys, address, "somebody@example.com")
			}
		}
		honest := fmt.Sprintf("203.0.113.%d", tick%250)
		result.count("passkey", f.byPasskey(honest, honest))
		result.count("named passkey", f.byNamedPasskey(fmt.Sprintf("192.0.%d.1", tick%250), honest))
		result.count("challenge", max(f.l.Sender(f.now, Challenges, honest), f.l.Stranger(f.now, Challenges, honest)))
		result.count("step-up", f.l.SignedIn(f.now, Passkeys, honest, honest))
	}
	result.check(t)
}

// Attack: strangers name one account at every request, to lock its owner out.
func TestOwnerIsNotLockedOutByStrangers(t *testing.T) {
	f := newFlood(t, Defaults())
	const owner = "owner@example.com"
	result := tally{}
	addresses := attackers()[:20]
	for tick := range 10 * 60 * 10 { // ten minutes
		f.now = f.now.Add(100 * time.Millisecond)
		for _, address := range addresses {
			if f.l.Sender(f.now, Passkeys, address) == 0 {
				f.l.Stranger(f.now, Passkeys, address, owner)
			}
		}
		if tick%50 == 49 {
			result.count("owner", f.byNamedPasskey(fmt.Sprintf("203.0.%d.9", tick/50), owner))
		}
	}
	result.check(t)
}
