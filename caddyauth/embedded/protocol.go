package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-cognito/passwordless/internal/localpool"
)

// AdminKey signs the operations of administrators, as an access key of AWS does.
type AdminKey struct {
	// The access key ID.
	ID string `json:"id,omitempty"`

	// The secret access key, 16 characters or more; use a placeholder such as `{env.POOL_ADMIN_SECRET}`.
	Secret string `json:"secret,omitempty"`
}

// provisionProtocol checks the listener of the protocol and the administrators' key.
func (p *UserPool) provisionProtocol() error {
	if p.AdminKey != nil {
		if p.Protocol == "" {
			return errors.New("admin_key: nobody reaches the operations of administrators without protocol; write protocol localhost:9229")
		}
		repl := caddy.NewReplacer()
		for name, field := range map[string]*string{"ID": &p.AdminKey.ID, "secret": &p.AdminKey.Secret} {
			value, err := repl.ReplaceOrErr(*field, true, true)
			if err != nil {
				return fmt.Errorf("admin_key: %s: %w", name, err)
			}
			*field = value
		}
		if err := localpool.CheckAdminKey(p.AdminKey.ID, p.AdminKey.Secret); err != nil {
			return fmt.Errorf("admin_key: %w", err)
		}
	}
	if p.Protocol == "" {
		return nil
	}
	address, err := caddy.ParseNetworkAddress(p.Protocol)
	if err != nil {
		return fmt.Errorf("protocol: %w", err)
	}
	if !strings.HasPrefix(address.Network, "tcp") || address.PortRangeSize() != 1 || !localpool.LoopbackAddress(address.Host) {
		return fmt.Errorf("protocol: %q is not one port of this machine; write protocol localhost:9229", p.Protocol)
	}
	p.protocol = address
	return nil
}

// serveProtocol lets other programs on this machine speak to the pool: the AWS CLI, an SDK. It answers to loopback names and that of the issuer
// only, because a foreign page may have pointed its own name here (DNS rebinding).
func (p *UserPool) serveProtocol(ctx context.Context, pool *localpool.Pool, signUpWait func(address string) time.Duration) (stop func() error, err error) {
	if p.Protocol == "" {
		return func() error { return nil }, nil
	}
	listening, err := p.protocol.Listen(ctx, 0, net.ListenConfig{})
	if err != nil {
		return nil, fmt.Errorf("user_pool embedded: protocol: %w", err)
	}
	listener, ok := listening.(net.Listener)
	if !ok {
		return nil, fmt.Errorf("user_pool embedded: protocol: %q is no stream address", p.Protocol)
	}
	handler, names := p.crossOrigin(limitSignUps(pool.Handler(), signUpWait)), &standalone{Hosts: p.publicHosts()}
	p.logger.InfoContext(ctx, "the user pool's protocol is served", slog.String("address", "http://"+listener.Addr().String()),
		slog.String("user_pool_id", pool.UserPoolID()), slog.String("client_id", pool.ClientID()))
	return serveHTTP(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !names.allowed(r.Host) {
			http.Error(w, "this pool answers to loopback names and that of its issuer only", http.StatusMisdirectedRequest)
			return
		}
		handler.ServeHTTP(w, r)
	}), p.logger), nil
}

// limitSignUps holds sign-ups to the realm's limits, as the portal does: each makes an account.
func limitSignUps(next http.Handler, wait func(address string) time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			address = r.RemoteAddr
		}
		next.ServeHTTP(w, r.WithContext(localpool.LimitSignUps(r.Context(), func() time.Duration { return wait(address) })))
	})
}

// unmarshalAdminKey reads `admin_key <id> <secret>`.
func (p *UserPool) unmarshalAdminKey(d *caddyfile.Dispenser) error {
	p.AdminKey = new(AdminKey)
	if !d.AllArgs(&p.AdminKey.ID, &p.AdminKey.Secret) {
		return d.Err("admin_key takes an ID and a secret, such as admin_key operator {env.POOL_ADMIN_SECRET}")
	}
	return nil
}
