package verifylambda

import (
	"net/url"
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

// mayUse is the rule of browsers: Web Authentication Level 3, section 5.1.4.1, step 7.
func mayUse(u *url.URL, id string) bool {
	host := strings.ToLower(u.Hostname())
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	return (u.Scheme == "https" || u.Scheme == "http" && local) && (host == id || strings.HasSuffix(host, "."+id))
}
