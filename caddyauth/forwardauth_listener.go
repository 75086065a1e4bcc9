package caddyauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"go.uber.org/zap"
)

// A proxy takes 200 for consent, and 200 is what Caddy answers where no route matches or none of those that match writes an answer. So
// each listener that a proxy asks has to end in forward auth or in a denial, whatever the request's host and path are.

// checkListeners refuses a configuration in which a listener that a proxy asks answers some request with 200 by itself. The app is nil
// outside of a whole configuration.
func checkListeners(app *caddyhttp.App, logger *zap.Logger) error {
	if app == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		server := app.Servers[name]
		walk := listenerWalk{named: server.NamedRoutes}
		end := walk.routes(server.Routes)
		if !walk.asks {
			continue
		}
		if server.Errors != nil {
			walk.inErrors = true
			walk.routes(server.Errors.Routes)
		}
		listen := strings.Join(server.Listen, " ")
		switch {
		case walk.err != nil:
			return walk.err
		case end.continues:
			return fmt.Errorf("on %s, Caddy answers requests that match no route with an empty 200, which the proxy takes for consent: take the matcher, path and host "+
				"away from around passwordless_forward_auth, or end the listener in `respond 403` for all hosts, as in `http://:9091 { respond 403 }`", listen)
		case walk.dropped:
			return fmt.Errorf("on %s, Caddy answers requests that match a site but nothing within it with an empty 200, which the proxy takes for consent: end each site of "+
				"this listener in `respond 403`", listen)
		case end.allowed:
			return fmt.Errorf("on %s, requests that passwordless_forward_auth does not see get an answer other than a denial, which the proxy may take for consent: "+
				"end the listener in `respond 403`", listen)
		case walk.answers:
			logger.Warn("a listener that a proxy asks serves something else, too: its 200 would mean consent; give passwordless_forward_auth a port of its own, and have the proxy "+
				"require the header X-Passwordless-Answer", zap.String("listener", listen))
		}
	}
	return nil
}

// httpApp is the HTTP app that a module is provisioned for, nil if there is none.
func httpApp(ctx caddy.Context) *caddyhttp.App {
	for _, module := range ctx.Modules() {
		if app, ok := module.(*caddyhttp.App); ok {
			return app
		}
	}
	return nil
}

// listenerWalk goes through the routes of a server, which may be provisioned in part.
type listenerWalk struct {
	named    map[string]*caddyhttp.Route
	invoked  []string // named routes on the way here
	asks     bool     // there is forward auth
	dropped  bool     // a terminal route writes nothing for some request
	answers  bool     // something else answers some request
	inErrors bool     // in routes for errors, where a plain answer has the error's status
	err      error
}

// ends says how routes end for requests that match nothing that has a matcher, or, for continues, for any request.
type ends struct {
	continues bool // some request comes to what follows
	allowed   bool // the last resort is neither forward auth nor a denial
}

func (l *listenerWalk) routes(routes caddyhttp.RouteList) ends {
	leaky := make(map[string]bool) // groups of which a route lets requests go on
	for i := range routes {
		route := &routes[i]
		end := l.handlers(route)
		if end.continues && route.Terminal {
			l.dropped, end.continues = true, false
		}
		conditional := len(route.MatcherSetsRaw)+len(route.MatcherSets) > 0
		if conditional || end.continues || route.Group != "" && leaky[route.Group] {
			leaky[route.Group] = leaky[route.Group] || end.continues
			l.answers = l.answers || end.allowed
			continue
		}
		return end
	}
	return ends{continues: true}
}

// handlers goes through those of one route, up to the first that always answers.
func (l *listenerWalk) handlers(route *caddyhttp.Route) ends {
	for _, handler := range route.Handlers {
		if end := l.handler(handler); !end.continues {
			return end
		}
	}
	for _, raw := range route.HandlersRaw {
		handler, err := decodeHandler(raw)
		if err != nil {
			l.err = errors.Join(l.err, err)
			return ends{}
		}
		if end := l.handler(handler); !end.continues {
			return end
		}
	}
	return ends{continues: true}
}

// decodeHandler reads a handler that is not provisioned yet, as far as [listenerWalk] looks at it.
func decodeHandler(raw json.RawMessage) (any, error) {
	var named struct {
		Handler string `json:"handler"`
	}
	if err := json.Unmarshal(raw, &named); err != nil {
		return nil, fmt.Errorf("reading the handlers beside passwordless_forward_auth: %w", err)
	}
	info, err := caddy.GetModule("http.handlers." + named.Handler)
	if err != nil {
		return nil, fmt.Errorf("reading the handlers beside passwordless_forward_auth: %w", err)
	}
	module := info.New()
	if err := json.Unmarshal(raw, &module); err != nil {
		return nil, fmt.Errorf("reading the handler %s beside passwordless_forward_auth: %w", named.Handler, err)
	}
	return module, nil
}

func (l *listenerWalk) handler(handler any) ends {
	switch h := handler.(type) {
	case *ForwardAuth:
		l.asks = true
		return ends{}
	case *caddyhttp.Subroute:
		if h.Errors != nil {
			within := listenerWalk{named: l.named, inErrors: true}
			within.routes(h.Errors.Routes)
			l.answers = l.answers || within.answers
		}
		return l.routes(h.Routes)
	case *caddyhttp.Invoke:
		return l.invoke(h.Name)
	case *caddyhttp.StaticError:
		return ends{}
	case *caddyhttp.StaticResponse:
		return l.plainAnswer(h)
	case *fileserver.FileServer:
		return ends{continues: h.PassThru, allowed: true}
	}
	switch module, ok := handler.(caddy.Module); {
	case !ok:
	case module.CaddyModule().ID == "http.handlers.reverse_proxy":
		return ends{allowed: true}
	case slices.Contains([]caddy.ModuleID{"http.handlers.passwordless_portal", "http.handlers.passwordless_guard"}, module.CaddyModule().ID):
		l.answers = true
	}
	return ends{continues: true}
}

// plainAnswer looks at the status of `respond`. One in a placeholder may be anything.
func (l *listenerWalk) plainAnswer(h *caddyhttp.StaticResponse) ends {
	if h.Abort || l.inErrors && h.StatusCode == "" {
		return ends{}
	}
	status, err := strconv.Atoi(string(h.StatusCode))
	if err == nil && status >= 300 {
		return ends{}
	}
	if err == nil && status < 200 {
		return ends{continues: true}
	}
	l.answers = l.answers || l.inErrors
	return ends{allowed: true}
}

func (l *listenerWalk) invoke(name string) ends {
	route := l.named[name]
	if route == nil || slices.Contains(l.invoked, name) {
		return ends{} // an error at the request
	}
	l.invoked = append(l.invoked, name)
	defer func() { l.invoked = l.invoked[:len(l.invoked)-1] }()
	return l.routes(caddyhttp.RouteList{*route})
}
