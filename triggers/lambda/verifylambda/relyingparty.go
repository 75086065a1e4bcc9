package verifylambda

import (
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-cognito/passwordless/passkey"
)

// relyingParties gives each ID the origins that may use it: those on its own domain or below, over https, and every application. Other
// origins of the list serve magic links only.
func relyingParties(ids, origins, applications []string) []passkey.RelyingParty {
	list := make([]passkey.RelyingParty, 0, len(ids))
	for _, id := range ids {
		rp := passkey.RelyingParty{ID: id}
		for _, o := range origins {
			if u, err := url.Parse(o); err == nil && mayUse(u, id) {
				rp.Origins = append(rp.Origins, u.Scheme+"://"+strings.ToLower(u.Host))
			}
		}
		rp.Origins = append(rp.Origins, applications...)
		list = append(list, rp)
	}
	return list
}

// relate adds related origins, each written as an ID, = and an origin on another domain. It returns the first that names no ID of ours.
func relate(list []passkey.RelyingParty, related []string) (wrong string) {
	for _, pair := range related {
		id, origin, _ := strings.Cut(pair, "=")
		i := slices.IndexFunc(list, func(rp passkey.RelyingParty) bool { return rp.ID == id })
		if i < 0 || origin == "" {
			return pair
		}
		list[i].Related = append(list[i].Related, origin)
	}
	return ""
}

// mayUse is the rule of browsers: Web Authentication Level 3, section 5.1.4.1, step 7.
func mayUse(u *url.URL, id string) bool {
	host := strings.ToLower(u.Hostname())
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	return (u.Scheme == "https" || u.Scheme == "http" && local) && (host == id || strings.HasSuffix(host, "."+id))
}
