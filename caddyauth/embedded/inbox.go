package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// stopTime is how long requests under way may take when the inbox closes.
const stopTime = 2 * time.Second

// serveInbox starts the page, if one is configured, and returns what stops it. At a reload the new listener opens before the old one
// closes, as Caddy's own do.
func (p *UserPool) serveInbox(ctx context.Context, inbox http.Handler) (stop func() error, err error) {
	if p.Inbox == "" {
		return func() error { return nil }, nil
	}
	listening, err := p.inbox.Listen(ctx, 0, net.ListenConfig{})
	if err != nil {
		return nil, fmt.Errorf("user_pool embedded: inbox: %w", err)
	}
	listener, ok := listening.(net.Listener)
	if !ok {
		return nil, fmt.Errorf("user_pool embedded: inbox: %q is no stream address", p.Inbox)
	}
	p.logger.InfoContext(ctx, "inbox is open", slog.String("address", "http://"+listener.Addr().String()))
	return serveHTTP(listener, inbox, p.logger), nil
}
