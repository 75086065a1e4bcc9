package embedded

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// provisionIssuer checks the origin that begins the issuer of tokens. It is compared byte by byte by whoever verifies tokens, so it is
// refused rather than tidied up.
func (p *UserPool) provisionIssuer() error {
	if p.Issuer == "" {
		return nil
	}
	if p.Protocol == "" {
		return errors.New("issuer: nobody could read the keys that it names without protocol; write protocol localhost:9229")
	}
	u, err := url.Parse(p.Issuer)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || p.Issuer != u.Scheme+"://"+strings.ToLower(u.Host) {
		return fmt.Errorf("issuer: %q is not an origin; write https://pool.example.com, without a path", p.Issuer)
	}
	return nil
}

// publicURL begins the issuer: the configured origin, or the address of the protocol. It is empty where no other program reaches the pool.
func (p *UserPool) publicURL() string {
	switch {
	case p.Issuer != "":
		return p.Issuer
	case p.Protocol == "" || p.protocol.StartPort == 0: // a port that nobody can know before
		return ""
	}
	return "http://" + p.protocol.JoinHostPort(0)
}

// publicHosts are the names, beside the loopback ones, under which the protocol is reached: that of a proxy in front of it.
func (p *UserPool) publicHosts() []string {
	if u, err := url.Parse(p.Issuer); err == nil && u.Hostname() != "" {
		return []string{u.Hostname()}
	}
	return nil
}
