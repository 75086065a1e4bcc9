package ratelimit

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Act is a kind of request with budgets of its own.
type Act int

// The acts.
const (
	Mails      Act = iota // mails asked for
	Links                 // links used; its accounts are the mails
	Passkeys              // passkey ceremonies
	Challenges            // challenges that are stored for front ends of others
	Texts                 // codes sent by SMS, which cost money
	Codes                 // codes typed
	acts
	standing // how much a sender has asked for lately, over all acts; see Limiter.share
)

var actNames = [acts]string{"mails", "links", "passkeys", "challenges", "texts", "codes"}

func (a Act) String() string { return actNames[a] }

// Acts lists every act.
func Acts() []Act { return []Act{Mails, Links, Passkeys, Challenges, Texts, Codes} }

// Rate is a token bucket: Burst tokens at once, and one more each Every. The zero Rate is no limit.
type Rate struct {
	Burst int
	Every time.Duration
}

// Off reports whether there is no limit.
func (r Rate) Off() bool { return r == Rate{} }

func (r Rate) size() time.Duration { return time.Duration(r.Burst) * r.Every }

// Budget is the buckets of one act.
type Budget struct {
	Address Rate // per IPv4 address, or IPv6 /64
	Network Rate // per IPv4 /24, or IPv6 /56
	Site    Rate // per IPv6 /48
	Account Rate
	Overall Rate
	Daily   int // acts in 24 hours, overall; 0: no limit
}

// Settings of a [Limiter]. See [Defaults].
type Settings struct {
	Budgets [acts]Budget
	// Reserve is the share of each overall bucket, from 0 to [MaxReserve], that strangers leave to people who are signed in or have
	// proven who they are.
	Reserve float64
	// Trusted networks have no limits per address. Those per account and overall hold.
	Trusted []netip.Prefix
}

// MaxReserve keeps a tenth of the overall buckets for strangers, without whom nobody signs in.
const MaxReserve = 0.9

const (
	maxBurst = 1_000_000
	minEvery = time.Millisecond
	maxSize  = 30 * 24 * time.Hour
)

// Defaults are the settings for a realm that says nothing.
func Defaults() Settings {
	return Settings{
		Budgets: [acts]Budget{
			Mails: {
				Address: Rate{60, 10 * time.Second}, Network: Rate{240, 3 * time.Second}, Site: Rate{960, time.Second},
				Account: Rate{10, time.Minute}, Overall: Rate{1000, 20 * time.Millisecond},
			},
			Links: {
				Address: Rate{60, time.Second}, Network: Rate{240, 250 * time.Millisecond}, Site: Rate{960, 100 * time.Millisecond},
				Account: Rate{10, time.Minute}, Overall: Rate{1000, 10 * time.Millisecond},
			},
			Passkeys: {
				Address: Rate{120, 500 * time.Millisecond}, Network: Rate{480, 125 * time.Millisecond}, Site: Rate{1920, 50 * time.Millisecond},
				Account: Rate{60, 2 * time.Second}, Overall: Rate{1000, 10 * time.Millisecond},
			},
			Challenges: {
				Address: Rate{60, time.Second}, Network: Rate{240, 250 * time.Millisecond}, Site: Rate{960, 100 * time.Millisecond},
				Overall: Rate{1000, 10 * time.Millisecond},
			},
			Texts: {
				Address: Rate{10, 2 * time.Minute}, Network: Rate{40, 30 * time.Second}, Site: Rate{160, 10 * time.Second},
				Account: Rate{4, 5 * time.Minute}, Overall: Rate{100, time.Second}, Daily: 2000,
			},
			Codes: {
				Address: Rate{30, time.Minute}, Network: Rate{120, 15 * time.Second}, Site: Rate{480, 5 * time.Second},
				Account: Rate{12, 5 * time.Minute}, Overall: Rate{500, 50 * time.Millisecond},
			},
		},
		Reserve: 0.25,
	}
}

// Validate reports settings that cannot work. Errors name the option.
func (s Settings) Validate() error {
	for _, act := range Acts() {
		if err := s.Budgets[act].validate(); err != nil {
			return fmt.Errorf("%s: %w", act, err)
		}
	}
	if !(s.Reserve >= 0 && s.Reserve <= MaxReserve) {
		return fmt.Errorf("reserve: %g%% is not between 0%% and %g%%: strangers need the rest to sign in", s.Reserve*100, MaxReserve*100)
	}
	for _, p := range s.Trusted {
		if p.Bits() == 0 {
			return fmt.Errorf("trusted_networks: %s trusts every address: name the networks of your offices", p)
		}
		if p != p.Masked() {
			return fmt.Errorf("trusted_networks: %s has bits behind its prefix length: write %s, or %s for this address alone", p, p.Masked(), p.Addr())
		}
	}
	return nil
}

func (b Budget) validate() error {
	if b.Overall.Off() {
		return errors.New("overall: it cannot be off: it is what protects the user pool")
	}
	if b.Daily < 0 || b.Daily > maxBurst {
		return fmt.Errorf("daily: %d is not between 1 and %d", b.Daily, maxBurst)
	}
	rates := []struct {
		name string
		Rate
	}{{"address", b.Address}, {"network", b.Network}, {"site", b.Site}, {"account", b.Account}, {"overall", b.Overall}}
	for _, r := range rates {
		switch {
		case r.Off():
		case r.Burst < 1 || r.Burst > maxBurst:
			return fmt.Errorf("%s: %d at once is not between 1 and %d", r.name, r.Burst, maxBurst)
		case r.Every < minEvery:
			return fmt.Errorf("%s: one each %s is more than a thousand a second; write %s or longer, or off", r.name, r.Every, minEvery)
		case r.size() > maxSize:
			return fmt.Errorf("%s: %d, then one each %s, takes longer than %s to fill up again", r.name, r.Burst, r.Every, maxSize)
		}
	}
	for i, small := range rates[:2] {
		if large := rates[i+1]; !small.Off() && !large.Off() && (large.Burst < small.Burst || large.Every > small.Every) {
			return fmt.Errorf("%s is tighter than %s, which is a part of it, so %s would never apply", large.name, small.name, small.name)
		}
	}
	return nil
}
