package ratelimit

import (
	"net/netip"
	"slices"
	"time"
)

// Limiter applies settings to counters.
type Limiter struct {
	Settings Settings
	Counters Counters
}

// Sender counts an act for an address and the networks around it, and for nothing that others share. It comes first, before anything
// that costs us: malformed, forged and refused requests are the sender's own. Zero means go on, else it is how long to wait.
func (l *Limiter) Sender(now time.Time, act Act, address string) time.Duration {
	return l.Counters.Take(now, l.senderCharges(act, l.prefixes(address), ""))
}

// Stranger counts an act that somebody unknown wants of the user pool or a store, for the accounts that they name and overall. Sender comes before.
//
// How much of these buckets a stranger leaves to others depends on how much was asked lately from the same address and the networks around
// it: nothing but the reserve at the first request, nearly everything after many. To keep a newcomer out, a flood has to come from more
// newcomers than the bucket holds, and then from as many each second as it is filled with.
func (l *Limiter) Stranger(now time.Time, act Act, address string, accounts ...string) time.Duration {
	from := l.prefixes(address)
	share := l.share(now, from)
	budget := l.Settings.Budgets[act]
	charges := l.accountCharges(act, accounts, share*float64(budget.Account.Burst)/2)
	reserve := l.Settings.Reserve
	charges = append(charges, l.overallCharges(act, (reserve+(1-reserve)*share)*float64(budget.Overall.Burst))...)
	for _, p := range from {
		charges = append(charges, p.standing())
	}
	return l.Counters.Take(now, charges)
}

// SignedIn counts an act of somebody who is signed in. They do not share their address's buckets with strangers, and the reserve is theirs.
func (l *Limiter) SignedIn(now time.Time, act Act, address string, accounts ...string) time.Duration {
	charges := l.senderCharges(act, l.prefixes(address), "signed in ")
	charges = append(charges, l.accountCharges(act, accounts, 0)...)
	return l.Counters.Take(now, append(charges, l.overallCharges(act, 0)...))
}

// Proven counts an act of somebody who has just shown what only the owner of the account has: a verified assertion, a mail. The reserve is
// theirs, too. Sender comes before.
func (l *Limiter) Proven(now time.Time, act Act, accounts ...string) time.Duration {
	return l.Counters.Take(now, append(l.accountCharges(act, accounts, 0), l.overallCharges(act, 0)...))
}

// senderCharges are for the prefixes; people who are signed in have other buckets.
func (l *Limiter) senderCharges(act Act, from []prefix, kind string) []Charge {
	b := l.Settings.Budgets[act]
	rates := [...]Rate{scopeAddress: b.Address, scopeNetwork: b.Network, scopeSite: b.Site}
	var charges []Charge
	for _, p := range from {
		if r := rates[p.scope]; !r.Off() {
			charges = append(charges, Charge{Act: act, scope: p.scope, Key: kind + p.key, Rate: r})
		}
	}
	return charges
}

func (l *Limiter) accountCharges(act Act, accounts []string, keep float64) []Charge {
	r := l.Settings.Budgets[act].Account
	if r.Off() {
		return nil
	}
	var charges []Charge
	for _, account := range accounts {
		charges = append(charges, Charge{Act: act, scope: scopeAccount, Key: account, Rate: r, Keep: keep})
	}
	return charges
}

func (l *Limiter) overallCharges(act Act, keep float64) []Charge {
	b := l.Settings.Budgets[act]
	charges := []Charge{{Act: act, scope: scopeOverall, Rate: b.Overall, Keep: keep}}
	if b.Daily > 0 {
		charges = append(charges, Charge{Act: act, scope: scopeDay, Rate: Rate{b.Daily, 24 * time.Hour / time.Duration(b.Daily)}})
	}
	return charges
}

// maxShare lets a sender have something however much they ask, while nobody else wants it.
const maxShare = 0.9

// share is how much of a shared bucket these senders leave to others, from 0 to maxShare.
func (l *Limiter) share(now time.Time, from []prefix) float64 {
	asked := 0.0 // lately, by the prefix that asked most for its size
	for _, p := range from {
		asked = max(asked, l.Counters.Used(now, p.standing())/float64(p.weight))
	}
	return min(asked/(1+asked), maxShare)
}

// prefix is an address or a network around it.
type prefix struct {
	scope  scope
	key    string
	weight int // how many people it stands for
}

// One request is forgotten after calm, one of a network's after a fraction of it; more than maxStanding people's worth is not told apart.
const (
	calm        = 5 * time.Minute
	maxStanding = 32
)

func (p prefix) standing() Charge {
	return Charge{Act: standing, scope: p.scope, Key: p.key, Rate: Rate{maxStanding * p.weight, calm / time.Duration(p.weight)}, Soft: true}
}

// prefixes are what an address counts for: nothing where it is trusted. Single customers have as many IPv6 addresses as they like of a /64, often
// of a /56, and a /48 for the asking.
func (l *Limiter) prefixes(address string) []prefix {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return []prefix{{scopeAddress, "unknown", 1}}
	}
	addr = addr.Unmap().WithZone("")
	if l.trusts(addr) {
		return nil
	}
	cut := func(bits int) string { return netip.PrefixFrom(addr, bits).Masked().String() }
	if addr.Is4() {
		return []prefix{{scopeAddress, cut(32), 1}, {scopeNetwork, cut(24), 8}}
	}
	return []prefix{{scopeAddress, cut(64), 1}, {scopeNetwork, cut(56), 8}, {scopeSite, cut(48), 32}}
}

// Trusts reports whether an address has no limits of its own.
func (l *Limiter) Trusts(address string) bool {
	addr, err := netip.ParseAddr(address)
	return err == nil && l.trusts(addr.Unmap().WithZone(""))
}

func (l *Limiter) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(l.Settings.Trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// Strict is the limiter with the same counts for requests whose address need not be the client's: no network is trusted.
func (l *Limiter) Strict() *Limiter {
	strict := *l
	strict.Settings.Trusted = nil
	return &strict
}
