package caddyauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-cognito/passwordless/internal/session"
)

func init() {
	caddy.RegisterModule(new(AdminAPI))
}

// PoolAdmin administers a user pool that runs in this process.
type PoolAdmin interface {
	// AdministerPool answers one request. Its path is what follows /passwordless/pool/, and what it returns is sent as JSON. It
	// must never be a key, a token or another secret.
	AdministerPool(ctx context.Context, r AdminRequest) (any, error)
	// Subject is the "sub" of a user named by user name or address.
	Subject(ctx context.Context, user string) (string, error)
}

// AdminRequest is one request to a [PoolAdmin].
type AdminRequest struct {
	Method string
	Path   string            // such as "users/alice@example.com"
	Values map[string]string // the query's first values
}

// AdminError is refused with an HTTP status.
type AdminError struct {
	Status int
	Text   string
}

func (e *AdminError) Error() string { return e.Text }

// AdminAPI serves /passwordless/ on Caddy's admin endpoint, for `caddy passwordless`. It shows sessions and describes keys; it never gives
// out keys, tokens or secrets.
type AdminAPI struct{}

// CaddyModule returns the Caddy module information.
func (*AdminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.passwordless", New: func() caddy.Module { return new(AdminAPI) }}
}

const adminRoot = "/passwordless/"

// Routes implements [caddy.AdminRouter].
func (a *AdminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminRoot, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

func (a *AdminAPI) serve(w http.ResponseWriter, r *http.Request) error {
	answer, err := a.answer(r)
	if err != nil {
		status := http.StatusInternalServerError
		var refused *AdminError
		switch {
		case errors.As(err, &refused):
			status = refused.Status
		case errors.Is(err, session.ErrKeyWaits):
			status = http.StatusConflict
		case errors.Is(err, session.ErrInvalid):
			status, err = http.StatusNotFound, errors.New("the user has no such session")
		}
		return caddy.APIError{HTTPStatus: status, Err: err}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(answer)
}

func (a *AdminAPI) answer(r *http.Request) (any, error) {
	// A page in the operator's browser can post plain forms to the admin endpoint, but not with this type and not DELETE.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method == http.MethodPost && (err != nil || media != "application/json") {
		return nil, &AdminError{http.StatusUnsupportedMediaType, "the Content-Type must be application/json"}
	}
	values := make(map[string]string)
	for name, list := range r.URL.Query() {
		values[name] = list[0]
	}
	rt, err := adminRealm(values["realm"])
	if err != nil {
		return nil, err
	}
	path := strings.TrimPrefix(r.URL.Path, adminRoot)
	if below, ok := strings.CutPrefix(path, "pool/"); ok {
		if rt.admin == nil {
			return nil, &AdminError{http.StatusNotFound, "the user pool of this realm is not administered here; use the AWS console or CLI"}
		}
		return rt.admin.AdministerPool(r.Context(), AdminRequest{r.Method, below, values})
	}
	switch r.Method + " " + path {
	case "GET keys":
		return rt.adminKeys(), nil
	case "POST keys/rotate":
		if err := rt.sessions.Keys.Rotate(r.Context()); err != nil {
			return nil, err
		}
		return rt.adminKeys(), nil
	case "GET sessions", "DELETE sessions":
		return rt.adminSessions(r.Context(), r.Method, values)
	}
	return nil, &AdminError{http.StatusNotFound, "there is no " + r.Method + " " + r.URL.Path}
}

// adminRealm is the named realm of the running configuration; without a name, the only one or the default.
func adminRealm(name string) (*realm, error) {
	module, err := caddy.ActiveContext().AppIfConfigured(appName)
	app, ok := module.(*App)
	if err != nil || !ok {
		return nil, &AdminError{http.StatusNotFound, "the running configuration has no global option `passwordless`"}
	}
	names := slices.Sorted(maps.Keys(app.Realms))
	switch {
	case name == "" && len(names) == 1:
		name = names[0]
	case name == "":
		name = DefaultRealm
	}
	if !slices.Contains(names, name) {
		return nil, &AdminError{http.StatusNotFound, fmt.Sprintf("no realm is named %q; choose one with --realm: %s", name, strings.Join(names, ", "))}
	}
	return app.realm(name)
}

// Interface guards
var _ caddy.AdminRouter = (*AdminAPI)(nil)
