package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// The hosts of a deployment over https, on the ports that browsers take by themselves. The names below .test are nobody's (RFC 6761, section 6.2).
const (
	rpID      = "example.test"              // a site of its own, which may serve the list of related origins
	corporate = "https://auth.example.test" // where the portal is at first
	shop      = "https://auth.shop.test"    // listed as a related origin; where the portal can move
	tools     = "https://tools.example.test"
	shopApp   = "https://app.shop.test"
	neighbour = "https://neighbour.example.test" // these are an attacker's
	otherShop = "https://other.shop.test"
	stranger  = "https://evil.test"
)

// overHTTPS is Caddy with a portal and the two applications, tools and shopApp, of which the second, on another registrable domain than the
// first portal, is the deployment's app.
type overHTTPS struct {
	*deployment
	flags               []chromedp.ExecAllocatorOption
	client              *http.Client
	attacker, plainHTTP *http.ServeMux // what answers at the attacker's hosts, and on port 80 of every host
}

// deployHTTPS starts it with the portal at corporate. list is what the site of the RP ID does. Edits change
// the Caddyfile: old text, new text, and so on.
func deployHTTPS(t *testing.T, list string, edits ...string) *overHTTPS {
	t.Helper()
	folder := t.TempDir()
	port, admin, inbox, legacy := freePort(t), freePort(t), freePort(t), freePort(t)
	d := &overHTTPS{
		deployment: &deployment{
			portal: corporate, app: shopApp,
			inbox:     "http://localhost:" + inbox,
			admin:     "localhost:" + admin,
			legacy:    "127.0.0.1:" + legacy,
			caddyfile: filepath.Join(folder, "Caddyfile"),
			log:       filepath.Join(folder, "caddy.log"),
		},
		attacker: http.NewServeMux(), plainHTTP: http.NewServeMux(),
	}
	attacker, plain := httptest.NewServer(d.attacker), httptest.NewServer(d.plainHTTP)
	t.Cleanup(attacker.Close)
	t.Cleanup(plain.Close)
	roots, pin := certify(t, folder)
	d.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}}
	d.flags = []chromedp.ExecAllocatorOption{
		chromedp.Flag("host-resolver-rules", "MAP *.test:443 127.0.0.1:"+port+", MAP *.test:80 "+plain.Listener.Addr().String()),
		chromedp.Flag("ignore-certificate-errors-spki-list", pin),
		// A browser that tries https by itself would hide whether a site asked for it.
		chromedp.Flag("disable-features", "Translate,BlinkGenPropertyTrees,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable"),
	}
	d.configuration = configuration{source: "testdata/https.caddyfile", edits: edits, words: map[string]string{
		"HTTPS": port, "ADMIN": d.admin, "INBOX": "localhost:" + inbox, "LEGACY": d.legacy, "FOLDER": folder,
		"ATTACKER": attacker.Listener.Addr().String(), "FREE": freePort(t), "LIST": list, "PORTAL": d.portal,
	}}
	d.write(t, d.caddyfile)
	d.startLegacy(t, "-host", "tools.example.test,app.shop.test")
	d.run(t)
	t.Cleanup(func() { d.stop(t) })
	waitForAnswer(t, d.client, d.portal+"/auth/sign-in", d.ended)
	waitForHTTP(t, "http://"+d.legacy+"/api/time", nil)
	return d
}

// move has the portal at another origin from now on.
func (d *overHTTPS) move(t *testing.T, portal string) {
	t.Helper()
	d.portal = portal
	d.words["PORTAL"] = portal
	d.write(t, d.caddyfile)
	d.reload(t)
}

// certify writes a certificate for all the hosts and its key into a folder. pin is what Chromium calls it by.
func certify(t *testing.T, folder string) (roots *x509.CertPool, pin string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: rpID},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{rpID, "*." + rpID, "*.shop.test", strings.TrimPrefix(stranger, "https://")},
	}, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: rpID}}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"certificate.pem": {Type: "CERTIFICATE", Bytes: der},
		"key.pem":         {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots = x509.NewCertPool()
	roots.AddCert(certificate)
	hash := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return roots, base64.StdEncoding.EncodeToString(hash[:])
}

// browse starts a Chromium that finds the hosts and trusts the certificate.
func (d *overHTTPS) browse(t *testing.T) *tab {
	t.Helper()
	b := browseAlone(t, d.flags...)
	b.withoutAutofill()
	return b
}

// ask asks without a browser.
func (d *overHTTPS) ask(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := d.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}
