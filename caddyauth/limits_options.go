package caddyauth

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/internal/ratelimit"
)

// Limits bound what the portal does for strangers, accounts and all together, in each process.
type Limits struct {
	// Mails asked for.
	Mails *Budget `json:"mails,omitempty"`

	// Links used. The account of this act is the mail.
	Links *Budget `json:"links,omitempty"`

	// Passkey ceremonies: challenges, sign-ins, step-ups, re-authentications and calls of the FIDO2 API.
	Passkeys *Budget `json:"passkeys,omitempty"`

	// Challenges of the FIDO2 API for front ends of others, which are stored. There is no account.
	Challenges *Budget `json:"challenges,omitempty"`

	// Codes sent by SMS. The number counts as an account, too.
	Texts *Budget `json:"texts,omitempty"`

	// Codes typed.
	Codes *Budget `json:"codes,omitempty"`

	// Share of each overall limit that strangers leave to people who are signed in or have proven who they are, in percent, 0 to 90.
	// Default: 25.
	Reserve *int `json:"reserve,omitempty"`

	// Networks without limits per address, such as "192.0.2.0/28": offices behind one address. The limits per account and overall
	// hold. Default: none.
	TrustedNetworks []string `json:"trusted_networks,omitempty"`
}

// Budget is the limits of one act. What is left out has its default, see docs/limits.md.
type Budget struct {
	// Per IPv4 address, or IPv6 /64.
	Address *RateLimit `json:"address,omitempty"`

	// Per IPv4 /24, or IPv6 /56.
	Network *RateLimit `json:"network,omitempty"`

	// Per IPv6 /48.
	Site *RateLimit `json:"site,omitempty"`

	// Per account.
	Account *RateLimit `json:"account,omitempty"`

	// For all together.
	Overall *RateLimit `json:"overall,omitempty"`

	// For all together in 24 hours; 0 means no limit. Default: 2000 for texts, else none.
	Daily *int `json:"daily,omitempty"`
}

// RateLimit is a token bucket, or none.
type RateLimit struct {
	// How many at once.
	Burst int `json:"burst,omitempty"`

	// How long until there is one more.
	Every caddy.Duration `json:"every,omitempty"`

	// No limit. Default: false.
	Off bool `json:"off,omitempty"`
}

// budgets are the acts by option name. Both sides are in the order of the acts.
func (l *Limits) budgets() []**Budget {
	return []**Budget{&l.Mails, &l.Links, &l.Passkeys, &l.Challenges, &l.Texts, &l.Codes}
}

type namedRate struct {
	name string
	rate **RateLimit
}

func (b *Budget) rates() []namedRate {
	return []namedRate{{"address", &b.Address}, {"network", &b.Network}, {"site", &b.Site}, {"account", &b.Account}, {"overall", &b.Overall}}
}

// parseLimits joins the options and the defaults.
func (r *Realm) parseLimits() error {
	r.limits = ratelimit.Defaults()
	if r.Limits == nil {
		return nil
	}
	if err := r.Limits.over(&r.limits); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	return nil
}

// over puts the options in the place of defaults.
func (l *Limits) over(settings *ratelimit.Settings) error {
	for act, budget := range l.budgets() {
		if *budget == nil {
			continue
		}
		if err := (*budget).over(&settings.Budgets[act]); err != nil {
			return fmt.Errorf("%s: %w", ratelimit.Act(act), err)
		}
	}
	if l.Reserve != nil {
		settings.Reserve = float64(*l.Reserve) / 100
	}
	for _, s := range l.TrustedNetworks {
		network, err := parseNetwork(s)
		if err != nil {
			return fmt.Errorf("trusted_networks: %w", err)
		}
		settings.Trusted = append(settings.Trusted, network)
	}
	return settings.Validate()
}

func (b *Budget) over(budget *ratelimit.Budget) error {
	targets := []*ratelimit.Rate{&budget.Address, &budget.Network, &budget.Site, &budget.Account, &budget.Overall}
	for i, r := range b.rates() {
		given := *r.rate
		switch {
		case given == nil:
		case given.Off && (given.Burst != 0 || given.Every != 0):
			return fmt.Errorf("%s: it is off and has a limit: choose one", r.name)
		case !given.Off && (given.Burst == 0 || given.Every == 0):
			return fmt.Errorf("%s: burst and every belong together, as in 60 and 10s", r.name)
		default:
			*targets[i] = ratelimit.Rate{Burst: given.Burst, Every: time.Duration(given.Every)}
		}
	}
	if b.Daily != nil {
		budget.Daily = *b.Daily
	}
	return nil
}

// parseNetwork reads a network in CIDR notation, or a single address. IPv4 within IPv6 is IPv4, as it is in clients' addresses.
func parseNetwork(s string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(s)
	if err == nil {
		if embedded := network.Bits() - 96; network.Addr().Is4In6() && embedded >= 0 {
			network = netip.PrefixFrom(network.Addr().Unmap(), embedded)
		}
		return network, nil
	}
	addr, addrErr := netip.ParseAddr(s)
	if addrErr != nil || addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is not a network: write 192.0.2.0/24, 2001:db8::/48 or an address", s)
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}

// unmarshalLimits reads the block. Syntax:
//
//	limits {
//		mails|links|passkeys|challenges|texts|codes {
//			address|network|site|account|overall <burst> <every>|off
//			daily <number>|off
//		}
//		reserve <percent>%
//		trusted_networks <network...>
//	}
func (r *Realm) unmarshalLimits(d *caddyfile.Dispenser) error {
	l := new(Limits)
	r.Limits = l
	options := map[string]func() error{
		"reserve": func() error { return percentArgument(d, &l.Reserve) },
		"trusted_networks": func() error {
			networks := d.RemainingArgs()
			if len(networks) == 0 {
				return d.Err("trusted_networks takes at least one network, as in `trusted_networks 192.0.2.0/28`")
			}
			l.TrustedNetworks = append(l.TrustedNetworks, networks...)
			return refuseCommas(d, "trusted_networks", networks)
		},
	}
	for act, budget := range l.budgets() {
		name := ratelimit.Act(act).String()
		options[name] = func() error {
			if *budget != nil {
				return d.Errf("%s is given twice", name)
			}
			*budget = new(Budget)
			return (*budget).unmarshal(d, name)
		}
	}
	if err := unmarshalBlock(d, "limits", options); err != nil {
		return err
	}
	settings := ratelimit.Defaults()
	if err := l.over(&settings); err != nil && !hasPlaceholder(strings.Join(l.TrustedNetworks, " ")) {
		return d.Errf("limits: %v", err)
	}
	return nil
}

func (b *Budget) unmarshal(d *caddyfile.Dispenser, act string) error {
	options := map[string]func() error{"daily": func() error { return countArgument(d, &b.Daily) }}
	for _, r := range b.rates() {
		options[r.name] = func() error {
			if *r.rate != nil {
				return d.Errf("%s is given twice", r.name)
			}
			limit, err := parseRate(d.RemainingArgs())
			if err != nil {
				return d.Errf("%s: %v", r.name, err)
			}
			*r.rate = limit
			return nil
		}
	}
	return unmarshalBlock(d, act, options)
}

// parseRate reads `<burst> <every>` or `off`.
func parseRate(args []string) (*RateLimit, error) {
	if len(args) == 1 && args[0] == "off" {
		return &RateLimit{Off: true}, nil
	}
	if len(args) != 2 {
		return nil, errors.New("write how many at once and how long until there is one more, as in `60 10s`, or `off`")
	}
	burst, err := strconv.Atoi(args[0])
	if err != nil || burst < 1 {
		return nil, fmt.Errorf("%q is not a number of requests, as in `60 10s`", args[0])
	}
	every, err := caddy.ParseDuration(args[1])
	if err != nil || every <= 0 {
		return nil, fmt.Errorf("%q is not a duration, as in `60 10s`", args[1])
	}
	return &RateLimit{Burst: burst, Every: caddy.Duration(every)}, nil
}

// countArgument reads a number, or `off` for 0.
func countArgument(d *caddyfile.Dispenser, target **int) error {
	option, args := d.Val(), d.RemainingArgs()
	if *target != nil {
		return d.Errf("%s is given twice", option)
	}
	n := 0
	if len(args) != 1 {
		return d.Errf("%s takes a number, or off", option)
	}
	if args[0] != "off" {
		var err error
		if n, err = strconv.Atoi(args[0]); err != nil || n < 1 {
			return d.Errf("%s: %q is not a number of requests, nor off", option, args[0])
		}
	}
	*target = &n
	return nil
}

// percentArgument reads `25%`.
func percentArgument(d *caddyfile.Dispenser, target **int) error {
	option, args := d.Val(), d.RemainingArgs()
	if *target != nil {
		return d.Errf("%s is given twice", option)
	}
	if len(args) == 1 {
		if n, err := strconv.Atoi(strings.TrimSuffix(args[0], "%")); err == nil {
			*target = &n
			return nil
		}
	}
	return d.Errf("%s takes a share in percent, as in `%s 25%%`", option, option)
}
