package userpool

import (
	"net/http"
	"strings"
	"testing"
)

func TestPartitions(t *testing.T) {
	for region, host := range map[string]string{
		"eu-west-1":       "cognito-idp.eu-west-1.amazonaws.com",
		"us-east-1":       "cognito-idp.us-east-1.amazonaws.com",
		"cn-north-1":      "cognito-idp.cn-north-1.amazonaws.com.cn",
		"us-gov-west-1":   "cognito-idp.us-gov-west-1.amazonaws.com",
		"us-iso-east-1":   "cognito-idp.us-iso-east-1.c2s.ic.gov",
		"us-isob-east-1":  "cognito-idp.us-isob-east-1.sc2s.sgov.gov",
		"eu-isoe-west-1":  "cognito-idp.eu-isoe-west-1.cloud.adc-e.uk",
		"us-isof-south-1": "cognito-idp.us-isof-south-1.csp.hci.ic.gov",
		"eusc-de-east-1":  "cognito-idp.eusc-de-east-1.amazonaws.eu",
		"mx-central-1":    "cognito-idp.mx-central-1.amazonaws.com",
	} {
		t.Run(region, func(t *testing.T) {
			var asked string
			transport := roundTripper(func(r *http.Request) (*http.Response, error) {
				asked = r.URL.String()
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
			})
			c, err := New(Config{UserPoolID: region + "_Ab12Cd34E", ClientID: "1", HTTPClient: &http.Client{Transport: transport}})
			if err != nil {
				t.Fatal(err)
			}
			if want := "https://" + host + "/" + region + "_Ab12Cd34E"; c.Issuer() != want || c.JWKSURL() != want+"/.well-known/jwks.json" {
				t.Errorf("issuer %s, keys %s, want %s", c.Issuer(), c.JWKSURL(), want)
			}
			if err := c.Revoke(t.Context(), "r"); err != nil {
				t.Fatal(err)
			}
			if asked != "https://"+host+"/" {
				t.Errorf("request went to %s", asked)
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The endpoint moves requests and keys, not the name of the issuer; the environment of the machine moves nothing.
func TestEndpoint(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL", "https://elsewhere.example")
	t.Setenv("AWS_REGION", "us-east-2")
	c, err := New(Config{UserPoolID: "eu-west-1_Ab12Cd34E", ClientID: "1", Endpoint: "http://127.0.0.1:9229/"})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.JWKSURL(); got != "http://127.0.0.1:9229/eu-west-1_Ab12Cd34E/.well-known/jwks.json" {
		t.Errorf("keys at %s", got)
	}
	if got := c.Issuer(); got != "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E" {
		t.Errorf("issuer %s", got)
	}
	c, err = New(Config{UserPoolID: "local_Ab12Cd34E", ClientID: "1", Endpoint: "http://passwordless.internal", Issuer: "http://passwordless.internal/local_Ab12Cd34E"})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Issuer(); got != "http://passwordless.internal/local_Ab12Cd34E" {
		t.Errorf("issuer %s", got)
	}
}

func TestConfigErrors(t *testing.T) {
	good := Config{UserPoolID: "eu-west-1_Ab12Cd34E", ClientID: "1example23456789"}
	cases := []struct {
		name, want string
		change     func(*Config)
	}{
		{"no pool", "user pool id is missing", func(c *Config) { c.UserPoolID = "" }},
		{"pool without region", "not of the form <region>_<id>", func(c *Config) { c.UserPoolID = "Ab12Cd34E" }},
		{"pool as ARN", "not of the form <region>_<id>", func(c *Config) { c.UserPoolID = "arn:aws:cognito-idp:eu-west-1:1:userpool/eu-west-1_A" }},
		{"pool leaves its path", "not of the form <region>_<id>", func(c *Config) { c.UserPoolID = "eu-west-1_../x" }},
		{"pool too long", "not of the form <region>_<id>", func(c *Config) { c.UserPoolID = "eu-west-1_" + strings.Repeat("A", 46) }},
		{"unknown region", `"europe" is not an AWS region`, func(c *Config) { c.UserPoolID = "europe_Ab12Cd34E" }},
		{"region is a host", "is not an AWS region", func(c *Config) { c.Region = "evil.example/" }},
		{"no client", "client id is missing", func(c *Config) { c.ClientID = "" }},
		{"client with spaces", "no app client id has", func(c *Config) { c.ClientID = "a b" }},
		{"endpoint without scheme", "not an http or https URL", func(c *Config) { c.Endpoint = "127.0.0.1:9229" }},
		{"endpoint with user", "not an http or https URL", func(c *Config) { c.Endpoint = "https://a:b@example.com" }},
		{"endpoint with query", "not an http or https URL", func(c *Config) { c.Endpoint = "https://example.com/?" }},
		{"endpoint as file", "not an http or https URL", func(c *Config) { c.Endpoint = "file:///etc/passwd" }},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			cfg := good
			tc.change(&cfg)
			if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
