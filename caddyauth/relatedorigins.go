package caddyauth

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(new(RelatedOrigins))
}

// relatedOriginsPath is where browsers ask (https://www.w3.org/TR/webauthn-3/#sctn-related-origins).
const relatedOriginsPath = "/.well-known/webauthn"

// RelatedOrigins serves /.well-known/webauthn: the web origins that may use passkeys of the relying party whose ID is the host of
// the request, as the realm's `relying_party` and `related_origins` list them. Put it on the site of the RP ID itself. Other requests pass.
type RelatedOrigins struct {
	// Name of the realm. Default: "default".
	Realm string `json:"realm,omitempty"`

	documents map[string][]byte // by RP ID
}

// CaddyModule returns the Caddy module information.
func (*RelatedOrigins) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.passwordless_related_origins", New: func() caddy.Module { return new(RelatedOrigins) }}
}

// Provision makes the documents from the realm's relying parties.
func (o *RelatedOrigins) Provision(ctx caddy.Context) error {
	if o.Realm == "" {
		o.Realm = DefaultRealm
	}
	app, err := appOf(ctx, o.Realm)
	if err != nil {
		return fmt.Errorf("passwordless_related_origins: %w", err)
	}
	return o.prepare(app.Realms[o.Realm])
}

func (o *RelatedOrigins) prepare(config *Realm) error {
	o.documents = make(map[string][]byte)
	for _, rp := range config.passkeys.RelyingParties {
		document := struct {
			Origins []string `json:"origins"`
		}{Origins: []string{}}
		for _, origin := range slices.Concat(rp.Origins, rp.Related) {
			if strings.HasPrefix(origin, "https://") || strings.HasPrefix(origin, "http://") {
				document.Origins = append(document.Origins, origin)
			}
		}
		encoded, err := json.Marshal(document)
		if err != nil {
			return err
		}
		o.documents[strings.ToLower(rp.ID)] = append(encoded, '\n')
	}
	return nil
}

// ServeHTTP answers /.well-known/webauthn and passes everything else on.
func (o *RelatedOrigins) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.URL.Path != relatedOriginsPath {
		return next.ServeHTTP(w, r)
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	document, ok := o.documents[strings.ToLower(host)]
	if !ok {
		return next.ServeHTTP(w, r)
	}
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "This address answers GET and HEAD.", http.StatusMethodNotAllowed)
		return nil
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(document)
	return err
}

// parseRelatedOrigins sets up the directive. Syntax:
//
//	passwordless_related_origins [<matcher>] {
//		realm <name>
//	}
func parseRelatedOrigins(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	o := new(RelatedOrigins)
	if err := o.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return o, nil
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens; see parseRelatedOrigins for the syntax.
func (o *RelatedOrigins) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	return unmarshalBlock(d, "passwordless_related_origins", map[string]func() error{
		"realm": func() error { return stringArgument(d, &o.Realm) },
	})
}

// Interface guards
var (
	_ caddy.Provisioner           = (*RelatedOrigins)(nil)
	_ caddyhttp.MiddlewareHandler = (*RelatedOrigins)(nil)
	_ caddyfile.Unmarshaler       = (*RelatedOrigins)(nil)
)
