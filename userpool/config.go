package userpool

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Config describes one app client of one user pool.
type Config struct {
	// UserPoolID is the pool, such as "eu-west-1_Ab12Cd34E". Required.
	UserPoolID string

	// ClientID is the app client. Required.
	ClientID string

	// ClientSecret is the app client's secret. Empty for a client without one.
	ClientSecret string

	// Region is the pool's AWS region. Default: what stands before the "_" of UserPoolID.
	Region string

	// Endpoint replaces the service's address, for tests and for pools other than Cognito: an http or https URL without
	// query. Default: the region's endpoint, in the partition of the region.
	Endpoint string

	// Issuer is the "iss" of the pool's tokens. Default: that of a Cognito pool, https://cognito-idp.<region>.<suffix>/<id>.
	Issuer string

	// HTTPClient sends the requests. It is copied; redirects are never followed and answers are limited to 1 MiB.
	// Default: a client with proxy settings of the environment, 5 s to connect and 20 s for a whole request.
	HTTPClient *http.Client

	// Rand is the source of passwords for SignUp. Default: crypto/rand.Reader.
	Rand io.Reader

	// Now is kept for callers that share one clock over their configuration; the client itself reads no clock.
	Now func() time.Time
}

// The patterns of Cognito's API reference, with regions told apart:
// https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UserPoolType.html
var (
	poolIDPattern   = regexp.MustCompile(`^([A-Za-z0-9-]+)_([A-Za-z0-9]+)$`)
	regionPattern   = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
	clientIDPattern = regexp.MustCompile(`^[A-Za-z0-9_+]{1,128}$`)
)

const maxPoolIDLength = 55

// complete checks the configuration and fills in the defaults of Region.
func (c Config) complete() (Config, error) {
	if c.UserPoolID == "" {
		return c, errors.New("user pool id is missing: write it as <region>_<id>, such as eu-west-1_Ab12Cd34E")
	}
	parts := poolIDPattern.FindStringSubmatch(c.UserPoolID)
	if parts == nil || len(c.UserPoolID) > maxPoolIDLength {
		return c, fmt.Errorf("user pool id %q is not of the form <region>_<id>, such as eu-west-1_Ab12Cd34E", c.UserPoolID)
	}
	if c.ClientID == "" {
		return c, errors.New("client id is missing: take it from the user pool's app client")
	}
	if !clientIDPattern.MatchString(c.ClientID) {
		return c, fmt.Errorf("client id %q has characters that no app client id has: letters, digits, _ and + are allowed", c.ClientID)
	}
	if c.Region == "" {
		c.Region = parts[1]
	}
	if err := checkEndpoint(c.Endpoint); err != nil {
		return c, err
	}
	// A pool behind an endpoint of its own need not live in an AWS region.
	if c.Endpoint == "" && !regionPattern.MatchString(c.Region) {
		return c, fmt.Errorf("%q is not an AWS region such as eu-west-1: correct the user pool id %q, or give the region or an endpoint", c.Region, c.UserPoolID)
	}
	return c, nil
}

func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(endpoint, "?#") {
		return fmt.Errorf("endpoint %q is not an http or https URL without user, query and fragment, such as https://cognito-idp.eu-west-1.amazonaws.com", endpoint)
	}
	return nil
}
