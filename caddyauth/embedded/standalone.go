package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddy-cognito/passwordless/internal/localpool"
)

// standalone is a pool on a port of its own, for other software and its tests.
type standalone struct {
	Listen         string
	Data           string   // file or folder
	RPIDs          []string // relying parties
	Origins        []string
	RedirectURIs   []string
	Hosts          []string // names, beside the loopback ones, under which it may be reached
	SignUp         string
	NamedBy        []string // attributes that are user names
	Aliases        []string // attributes beside user names that people choose
	ChosenNames    bool
	Custom         []string // attributes that administrators may set
	WritableCustom []string // attributes that users may set, too
	Inbox          string
	AdminKey       string            // ID of the key that signs administrators' operations; its secret is in the environment
	Triggers       map[string]string // functions in the place of the pool's own triggers, by name
	Lambda         string            // endpoint of the API that invokes them; "": Amazon's
	PreToken       string            // version of pre_token_generation's event
	Public         bool              // may listen where other machines can reach it
}

// adminSecretVariable holds the secret of --admin-key: on the command line every user of the machine could read it.
const adminSecretVariable = "PASSWORDLESS_ADMIN_SECRET" // #nosec G101 -- a name

// ready is printed, as one line of JSON, when the protocol is served.
type ready struct {
	Endpoint   string `json:"endpoint"`
	UserPoolID string `json:"user_pool_id"`
	ClientID   string `json:"client_id"`
}

// signUpModes are what --sign-up may be: a pool for tests has no list of domains.
var signUpModes = []string{"open", "invitation", "closed"}

// config checks the flags. It comes before the file is made, for a file keeps what it was made with.
func (s *standalone) config() (localpool.Config, error) {
	if s.Data == "" {
		return localpool.Config{}, errors.New("say where the data is to be kept, as in --data ./pool")
	}
	path, err := dataPath(s.Data)
	if err != nil {
		return localpool.Config{}, fmt.Errorf("--data: %w", err)
	}
	for flag, address := range map[string]string{"--listen": s.Listen, "--inbox": s.Inbox} {
		if address == "" {
			continue
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return localpool.Config{}, fmt.Errorf("%s: %q is not a host and port; write 127.0.0.1:9229", flag, address)
		}
		if !s.Public && !localpool.LoopbackAddress(host) {
			return localpool.Config{}, fmt.Errorf("%s: other machines could reach %q, and this pool is for tests: use 127.0.0.1, or add --public if you mean it", flag, address)
		}
	}
	if host, _, _ := net.SplitHostPort(s.Listen); host != "" && !localpool.LoopbackAddress(host) && !net.ParseIP(host).IsUnspecified() {
		s.Hosts = append(s.Hosts, host)
	}
	c := localpool.Config{
		Path: path, RedirectURIs: s.RedirectURIs, PublicClient: true, SMSStepUp: true, SignUp: localpool.SignUpPolicy{Mode: s.SignUp}, InboxHosts: s.Hosts,
		CustomAttributes: s.Custom, WritableCustomAttributes: s.WritableCustom,
	}
	if s.SignUp != "" && !slices.Contains(signUpModes, s.SignUp) {
		return localpool.Config{}, fmt.Errorf("--sign-up: %q is not a mode: use %s", s.SignUp, strings.Join(signUpModes, ", "))
	}
	if s.AdminKey != "" {
		secret := os.Getenv(adminSecretVariable)
		if secret == "" {
			return localpool.Config{}, fmt.Errorf("--admin-key: its secret is missing: put it into the environment variable %s", adminSecretVariable)
		}
		c.AdminKeys = map[string]string{s.AdminKey: secret}
	}
	switch {
	case len(s.NamedBy) > 0 && (s.ChosenNames || len(s.Aliases) > 0):
		return localpool.Config{}, errors.New("--username-attributes: people have user names that are such an attribute, or choose one and have --alias-attributes beside it, not both")
	case s.ChosenNames || len(s.Aliases) > 0:
		c.Names = localpool.Names{Chosen: true, With: s.Aliases}
	default:
		c.Names = localpool.Names{With: s.NamedBy}
	}
	for _, id := range s.RPIDs {
		c.AddRelyingParty(id, s.Origins)
	}
	return c, nil
}

// triggers makes those that are given by flags.
func (s *standalone) triggers(ctx context.Context, c *localpool.Config) error {
	p := UserPool{PreTokenVersion: s.PreToken, Triggers: make(map[string]*Lambda)}
	for name, function := range s.Triggers {
		p.Triggers[name] = &Lambda{Function: function, Endpoint: s.Lambda}
	}
	if err := p.provisionTriggers(); err != nil {
		return fmt.Errorf("--trigger, --pre-token-version: %w", err)
	}
	c.PreTokenVersion = localpool.PreTokenVersion(p.PreTokenVersion)
	var err error
	c.Triggers, err = p.openTriggers(ctx)
	return err
}

// run serves until ctx ends, and then lets requests under way finish.
func (s *standalone) run(ctx context.Context, out io.Writer, logger *slog.Logger) (err error) {
	config, err := s.config()
	if err != nil {
		return err
	}
	config.Logger = logger
	if err := s.triggers(ctx, &config); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	config.PublicURL = s.publicURL(listener.Addr())
	pool, err := localpool.Open(config)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, pool.Close()) }()

	stops := []func() error{serveHTTP(listener, s.guard(pool.HandlerWithFIDO2()), logger)}
	defer func() {
		for _, stop := range stops {
			err = errors.Join(err, stop())
		}
	}()
	if s.Inbox != "" {
		inbox, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Inbox)
		if err != nil {
			return fmt.Errorf("--inbox: %w", err)
		}
		stops = append(stops, serveHTTP(inbox, pool.Inbox(), logger))
	}
	line := ready{Endpoint: config.PublicURL, UserPoolID: pool.UserPoolID(), ClientID: pool.ClientID()}
	if err := json.NewEncoder(out).Encode(line); err != nil {
		return fmt.Errorf("printing the endpoint: %w", err)
	}
	<-ctx.Done()
	return nil
}

// publicURL names the port that was really taken, for `--listen 127.0.0.1:0`.
func (s *standalone) publicURL(taken net.Addr) string {
	host, _, _ := net.SplitHostPort(s.Listen) // checked by config
	if len(s.Hosts) > 0 {
		host = s.Hosts[0]
	} else if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	_, port, _ := net.SplitHostPort(taken.String()) // of a listener
	return "http://" + net.JoinHostPort(host, port)
}

// corsRequestHeaders are those that AWS SDKs send from browsers.
var corsRequestHeaders = strings.Join([]string{
	"Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "Authorization", "Cache-Control", "Content-Type", "X-Amz-Content-Sha256", "X-Amz-Date",
	"X-Amz-Security-Token", "X-Amz-Target", "X-Amz-User-Agent",
}, ", ")

// guard answers as Cognito does to scripts of any origin (no operation goes by cookies), and refuses names that a foreign page could
// have pointed at this machine (DNS rebinding).
func (s *standalone) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.allowed(r.Host) {
			http.Error(w, "this pool answers to loopback names and those given with --host only", http.StatusMisdirectedRequest)
			return
		}
		if !allowOrigin(w, r, "*") {
			next.ServeHTTP(w, r)
		}
	})
}

func (s *standalone) allowed(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if localpool.LoopbackAddress(host) {
		return true
	}
	return slices.ContainsFunc(s.Hosts, func(h string) bool { return host != "" && strings.EqualFold(h, host) })
}

// serveHTTP serves until the returned function is called.
func serveHTTP(listener net.Listener, handler http.Handler, logger *slog.Logger) (stop func() error) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("a listener stopped", slog.Any("error", err))
		}
	}()
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			return errors.Join(fmt.Errorf("closing a listener: %w", err), server.Close())
		}
		return nil
	}
}
