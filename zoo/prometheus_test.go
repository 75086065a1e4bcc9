package zoo

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func prometheus(t *testing.T) {
	debian(t, "prometheus")
	r := readRecipe(t, "prometheus")
	folder, address := t.TempDir(), "localhost:"+freePort(t)
	config := filepath.Join(folder, "prometheus.yml")
	write(t, config, "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: prometheus\n    static_configs:\n      - targets: ['"+address+"']\n")
	server := start(t, exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(folder, "data"),
		"--web.listen-address="+address, "--web.external-url=https://prometheus.example.com", "--web.enable-admin-api"))
	answers(t, direct, "http://"+address+"/-/healthy", server)

	password, hash := machinePassword(t)
	t.Setenv("PROMTOOLS_PASSWORD_HASH", hash)
	d := deploy(t, r.caddyfile(), "localhost:9090", address)

	// The load balancer's check needs no session, and opens nothing else.
	if response, body := d.get(d.app + "/-/healthy"); response.StatusCode != http.StatusOK || !strings.Contains(body, "Healthy") {
		t.Errorf("the health check gets %s %q", response.Status, body)
	}
	for _, path := range []string{"/classic/config", "/-/healthy/../config", "/-/ready", "/metrics", "/api/v1/query?query=up"} {
		if response, _ := d.get(d.app+path, "Accept", "application/json"); response.StatusCode/100 == 2 {
			t.Errorf("%s is open: %s", path, response.Status)
		}
	}

	b := d.browse()
	d.signIn(b, d.app+"/classic/graph?g0.expr=up&g0.tab=1")
	b.reads(`up{instance="` + address + `"`)

	// promtool knows a password only.
	promtool := func(credential string) (string, error) {
		command := exec.Command("promtool", "query", "instant", "https://"+credential+"@prometheus.example.com", "up")
		command.Env = append(os.Environ(), "HTTPS_PROXY="+tunnel(t, d.web), "SSL_CERT_FILE="+d.certificate.file)
		out, err := command.CombinedOutput()
		return string(out), err
	}
	if out, err := promtool("promtool:" + password); err != nil || !strings.Contains(out, `up{instance="`+address+`"`) {
		t.Errorf("promtool: %v: %s", err, out)
	}
	if out, err := promtool("promtool:wrong"); err == nil {
		t.Errorf("promtool gets in with a wrong password: %s", out)
	}

	// Large in both directions: a query of 2 MiB, and an answer of many samples.
	length := ask[int](b, `fetch('/api/v1/query', {method: 'POST', body: new URLSearchParams({query: 'up' + ' '.repeat(2 << 20)})}).then(r => r.text()).then(t => JSON.parse(t).status === 'success' ? t.length : t)`)
	if length == 0 {
		t.Error("the large query got an empty answer")
	}
	var answer struct{ Status string }
	// Functions of constants: every step has a value, whatever was scraped so far.
	samples := ask[string](b, `(async () => {
		const end = Math.floor(Date.now() / 1000);
		const query = Array.from({length: 40}, (_, i) => 'label_replace(vector(' + i + ' / 7), "n", "' + i + '", "", "")').join(' or ');
		return await (await fetch('/api/v1/query_range?' + new URLSearchParams({query, start: end - 10000, end, step: 1}))).text();
	})()`)
	if err := json.Unmarshal([]byte(samples), &answer); err != nil || answer.Status != "success" || len(samples) < 8<<20 {
		t.Errorf("the large answer has %d bytes, status %q: %v", len(samples), answer.Status, err)
	}

	// Its configuration, and what changes it, need a passkey of now.
	snapshot := `fetch('/api/v1/admin/tsdb/snapshot', {method: 'POST'}).then(r => r.status)`
	d.addPasskey(b)
	b.open(d.app + "/classic/graph")
	if status := ask[int](b, snapshot); status != http.StatusUnauthorized {
		t.Errorf("a snapshot without a step-up: %d", status)
	}
	d.stepUp(b, d.app+"/classic/config")
	b.reads("scrape_interval")
	if status := ask[int](b, snapshot); status != http.StatusOK {
		t.Errorf("a snapshot after the step-up: %d", status)
	}
	request := d.request(http.MethodPost, d.app+"/api/v1/admin/tsdb/snapshot", nil)
	request.SetBasicAuth("promtool", password)
	if response, _ := d.do(request); response.StatusCode != http.StatusForbidden {
		t.Errorf("a snapshot by password: %s", response.Status)
	}
	d.signOut(b, d.app+"/classic/graph")
}
