package embedded

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Other programs find the keys as OpenID Connect Discovery 1.0 says (section 4): the document's issuer is the URL that was asked for, and its keys
// are where it says they are.
func TestDiscoveryLeadsToTheKeys(t *testing.T) {
	address := freePort(t)
	pool := opened(t, &UserPool{Path: t.TempDir(), Protocol: address}, realmSettings(t))
	defer func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	}()
	if !strings.HasPrefix(pool.Issuer, "http://"+address+"/local_") {
		t.Fatalf("issuer %s", pool.Issuer)
	}
	if len(pool.FormerIssuers) != 1 || !strings.HasPrefix(pool.FormerIssuers[0], "http://passwordless.internal/local_") {
		t.Errorf("former issuers %q", pool.FormerIssuers)
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	read(t, pool.Issuer+"/.well-known/openid-configuration", "", &document)
	if document.Issuer != pool.Issuer {
		t.Errorf("the document of %s names %s", pool.Issuer, document.Issuer)
	}
	var keys struct {
		Keys []struct{ Kid string }
	}
	read(t, document.JWKSURI, "", &keys)
	if len(keys.Keys) == 0 {
		t.Error("no keys")
	}
}

// read gets a JSON document as a program does that is not part of the server.
func read(t *testing.T, address, host string, document any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		request.Host = host
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", address, answer.Status)
	}
	if err := json.NewDecoder(answer.Body).Decode(document); err != nil {
		t.Fatal(err)
	}
}

// A proxy with TLS in front of the protocol: the issuer is its origin, and requests under its name are answered.
func TestIssuerBehindAProxy(t *testing.T) {
	address := freePort(t)
	p := &UserPool{Path: t.TempDir(), Protocol: address, Issuer: "https://pool.example.com"}
	pool := opened(t, p, realmSettings(t))
	defer func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	}()
	_, id, _ := strings.Cut(pool.Issuer, "https://pool.example.com/")
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	read(t, "http://"+address+"/"+id+"/.well-known/openid-configuration", "pool.example.com", &document)
	if id == "" || document.Issuer != pool.Issuer || document.JWKSURI != pool.Issuer+"/.well-known/jwks.json" {
		t.Errorf("%+v, issuer %s", document, pool.Issuer)
	}
	if !strings.HasPrefix(pool.JWKSURL, "http://passwordless.internal/") {
		t.Errorf("the server itself reads its keys from %s", pool.JWKSURL)
	}
}

// Without an address there is nothing that others could reach; without a fixed port it is unknown when tokens are signed.
func TestIssuerWithoutAnAddress(t *testing.T) {
	for _, protocol := range []string{"", "127.0.0.1:0"} {
		pool := opened(t, &UserPool{Path: t.TempDir(), Protocol: protocol}, realmSettings(t))
		if !strings.HasPrefix(pool.Issuer, "http://passwordless.internal/") || len(pool.FormerIssuers) != 0 {
			t.Errorf("%q: issuer %s, former %q", protocol, pool.Issuer, pool.FormerIssuers)
		}
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestIssuerOption(t *testing.T) {
	parse := func(options string) error {
		var p UserPool
		if err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser("embedded {\n" + options + "\n}")); err != nil {
			return err
		}
		return provision(t, &p)
	}
	if err := parse("protocol localhost:9229\nissuer https://pool.example.com:8443"); err != nil {
		t.Error(err)
	}
	if err := parse("issuer https://pool.example.com"); err == nil || !strings.Contains(err.Error(), "write protocol localhost:9229") {
		t.Errorf("without protocol: %v", err)
	}
	for _, wrong := range []string{
		"pool.example.com", "https://pool.example.com/", "https://pool.example.com/pool", "https://Pool.example.com", "HTTPS://pool.example.com",
		"https://u:p@pool.example.com", "https://pool.example.com?x", "https://pool.example.com#x", "ftp://pool.example.com", "https://", "https://:8443",
	} {
		if err := parse("protocol localhost:9229\nissuer " + wrong); err == nil || !strings.Contains(err.Error(), "is not an origin") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
