package embedded

import (
	"context"
	"errors"
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
	if p.Inbox == "" && p.mailer != nil {
		return func() error { return nil }, nil
	}
	if p.Inbox == "" {
		p.logger.WarnContext(ctx, "sign-in links and codes go to an inbox that nobody can open; add an inbox address, such as localhost:8025")
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
	server := &http.Server{
		Handler:           inbox,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(p.logger.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			p.logger.Error("the inbox stopped", slog.Any("error", err))
		}
	}()
	p.logger.InfoContext(ctx, "inbox is open", slog.String("address", "http://"+listener.Addr().String()))
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			return errors.Join(fmt.Errorf("closing the inbox: %w", err), server.Close())
		}
		return nil
	}, nil
}
