package caddyauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/internal/token"
)

// machinePrefix begins the user name by which a machine is known to applications, rules and logs. A person with such a user name
// is refused, so that neither can pass for the other.
const machinePrefix = "client:"

// BearerClients says whose tokens are accepted in addition to those of people who signed in by the realm's own app client.
type BearerClients struct {
	// IDs of further app clients of the realm's user pool. Tokens that people got by one of these are accepted, too.
	// Default: the realm's app client only.
	Clients []string `json:"clients,omitempty"`

	// Machines: IDs of app clients whose tokens by the client credentials grant are accepted, each with the name by which the
	// application knows it ("" means the ID). Such a token names no user; the user name is "client:" and this name. Only for access
	// tokens. Default: none.
	Machines map[string]string `json:"machines,omitempty"`

	all []string // of both kinds
}

// prepareClients checks the lists. use is the kind of token that is accepted, "" for none.
func (b *BearerClients) prepareClients(use string) error {
	b.all = slices.Clone(b.Clients)
	names := make(map[string]string)
	for id, name := range b.Machines {
		if name == "" {
			name = id
		}
		if strings.ContainsFunc(name, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
		}) {
			return fmt.Errorf("machine: %q cannot be a name: use letters, digits, dots, hyphens and underscores", name)
		}
		if other, twice := names[name]; twice {
			return fmt.Errorf("machine: %s and %s have the same name %q", min(id, other), max(id, other), name)
		}
		names[name] = id
		b.all = append(b.all, id)
	}
	for _, id := range b.all {
		if id == "" || len(id) > 128 || strings.ContainsAny(id, ", :/") {
			return fmt.Errorf("%q is not the ID of an app client", id)
		}
	}
	switch {
	case len(b.all) > 0 && use == "":
		return errors.New("clients and machine need `bearer access` or `bearer id`: without it no token is accepted")
	case len(b.Machines) > 0 && use != string(token.Access):
		return errors.New("machine needs access tokens: machines have no ID tokens")
	}
	return nil
}

// caller decides about a genuine token: whether it is a person's or a machine's, and whether it is accepted here. The user name of
// a machine begins with machinePrefix.
func (b *BearerClients) caller(v *token.Verifier, c token.Claims) (username string, err error) {
	if c.Username == "" {
		name, listed := b.Machines[c.ClientID]
		if !listed || c.Use != token.Access || c.Subject != c.ClientID {
			return "", fmt.Errorf("%w: it names no user, and client %q is not a machine here", token.ErrInvalid, c.ClientID)
		}
		if name == "" {
			name = c.ClientID
		}
		return machinePrefix + name, nil
	}
	if !v.Accepts(c, b.Clients...) {
		return "", fmt.Errorf("%w: it is a user's token for client %q, which is not accepted here", token.ErrInvalid, c.ClientID)
	}
	if strings.HasPrefix(c.Username, machinePrefix) {
		return "", fmt.Errorf("%w: its user name begins like a machine's", token.ErrInvalid)
	}
	return c.Username, nil
}

// isMachine reports whether a user name that caller returned is a machine's.
func isMachine(username string) bool { return strings.HasPrefix(username, machinePrefix) }

// unmarshalClients reads `clients <id...>`.
func (b *BearerClients) unmarshalClients(d *caddyfile.Dispenser, args []string) error {
	if len(args) == 0 {
		return d.Err("clients takes at least one app client ID, as in `clients 2example23456789`")
	}
	b.Clients = append(b.Clients, args...)
	return refuseCommas(d, "clients", args)
}

// unmarshalMachine reads `machine <client id> [<name>]`.
func (b *BearerClients) unmarshalMachine(d *caddyfile.Dispenser, args []string) error {
	if len(args) == 0 || len(args) > 2 {
		return d.Err("machine takes an app client ID and, if you like, a name, as in `machine 3example23456789 backup`")
	}
	if _, twice := b.Machines[args[0]]; twice {
		return d.Errf("machine %s is given twice", args[0])
	}
	if b.Machines == nil {
		b.Machines = make(map[string]string)
	}
	b.Machines[args[0]] = ""
	if len(args) == 2 {
		b.Machines[args[0]] = args[1]
	}
	return nil
}
