package zoo

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func netdata(t *testing.T) {
	debian(t, "netdata-core", "netdata-web")
	r := readRecipe(t, "netdata")
	folder, port := t.TempDir(), freePort(t)
	config := filepath.Join(folder, "netdata.conf")
	directories := ""
	for _, name := range []string{"cache", "lib", "log", "config", "home"} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
		directories += fmt.Sprintf("\t%s = %s\n", name, filepath.Join(folder, name))
	}
	write(t, config, "[global]\n\trun as user = root\n[directories]\n"+directories+"[plugins]\n\tenable running new plugins = no\n\tapps = no\n[ml]\n\tenabled = no\n"+
		r.file("/etc/netdata/netdata.conf").edit(t, "19999", port))
	server := start(t, exec.Command("netdata", "-D", "-c", config, "-P", filepath.Join(folder, "pid")))
	answers(t, direct, "http://127.0.0.1:"+port+"/api/v1/info", server)

	d := deploy(t, r.caddyfile(), "localhost:19999", "localhost:"+port)
	if response, body := d.get("https://status.example.com/api/v1/badge.svg?chart=system.load"); response.StatusCode != http.StatusOK || !strings.Contains(body, "<svg") {
		t.Errorf("the badge: %s %.100s", response.Status, body)
	}
	for _, path := range []string{"/api/v1/info", "/api/v1/badge.svg/../info", "//api/v1/info", "/api/v1/badge.svg%2f..%2finfo"} {
		if response, body := d.get("https://status.example.com" + path); response.StatusCode == http.StatusOK && strings.Contains(body, "version") {
			t.Errorf("the status page's host gives %s: %.100s", path, body)
		}
	}
	if response, _ := d.get(d.app+"/api/v1/info", "Accept", "application/json"); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a session: %s", response.Status)
	}
	b := d.browse()
	d.signIn(b, d.app+"/")
	b.until("document.body.innerText.includes('System Overview')")

	// The dashboard asks for more each second.
	ask[bool](b, "(performance.setResourceTimingBufferSize(10000), performance.clearResourceTimings(), true)")
	b.until("performance.getEntriesByType('resource').filter(e => e.name.includes('/api/v1/')).length > 5")
	if size := ask[int](b, "fetch('/api/v1/allmetrics?format=json&help=yes').then(r => r.text()).then(t => t.length)"); size < 100_000 {
		t.Errorf("all metrics have %d bytes", size)
	}
	for _, path := range []string{"/netdata.conf", "//netdata.conf", "/host/localhost/netdata.conf"} {
		if got := ask[string](b, fmt.Sprintf("fetch(location.origin + %q).then(r => r.text())", path)); strings.Contains(got, "[global]") {
			t.Errorf("%s shows the configuration", path)
		}
	}

	second := b.beside()
	second.open(d.app + "/")
	second.until("document.body.innerText.includes('System Overview')")
	d.signOut(b, d.app+"/")
	second.until("fetch('/api/v1/info').then(r => r.status === 401)")
}
