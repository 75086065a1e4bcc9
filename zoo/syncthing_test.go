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

func syncthing(t *testing.T) {
	debian(t, "syncthing")
	r := readRecipe(t, "syncthing")
	folder, address := t.TempDir(), "localhost:"+freePort(t)
	environment := append(os.Environ(), "HOME="+folder, "STNOUPGRADE=1")
	generate := exec.Command("syncthing", "generate", "--home="+folder, "--no-default-folder")
	generate.Env = environment
	output(t, generate)
	// It speaks to nobody but this test.
	replaceIn(t, filepath.Join(folder, "config.xml"),
		"<listenAddress>default</listenAddress>", "<listenAddress>tcp://127.0.0.1:"+freePort(t)+"</listenAddress>",
		"<globalAnnounceEnabled>true", "<globalAnnounceEnabled>false", "<localAnnounceEnabled>true", "<localAnnounceEnabled>false",
		"<relaysEnabled>true", "<relaysEnabled>false", "<natEnabled>true", "<natEnabled>false", "<urAccepted>0", "<urAccepted>-1",
		"<crashReportingEnabled>true", "<crashReportingEnabled>false")
	command := exec.Command("syncthing", "serve", "--home="+folder, "--gui-address="+address, "--no-browser", "--no-restart")
	command.Env = environment
	server := start(t, command)
	answers(t, direct, "http://"+address+"/", server)

	d := deploy(t, r.caddyfile(), "localhost:8384", address)
	d.member(anna, "admins")
	b := d.browse()
	d.signInStepUp(b, d.app+"/")
	b.reads("This Device")

	// A folder is made, as the page itself makes it.
	call := func(method, path, body string) string {
		t.Helper()
		return ask[string](b, fmt.Sprintf(`(async () => {
			const [name, token] = document.cookie.split('; ').find(c => c.startsWith('CSRF-Token-')).split('=');
			const response = await fetch(%q, {method: %q, headers: {['X-' + name]: token}, body: %s});
			return response.status + ' ' + await response.text();
		})()`, path, method, body))
	}
	shared := filepath.Join(folder, "shared")
	write(t, filepath.Join(shared, "lion.txt"), "roar")
	made := call("PUT", "/rest/config/folders/zoo", quoted(t, fmt.Sprintf(`{"id": "zoo", "label": "The zoo", "path": %q, "type": "sendreceive"}`, shared)))
	if !strings.HasPrefix(made, "200") {
		t.Fatalf("making a folder is answered %.200s", made)
	}
	b.reads("The zoo")

	// Two megabytes of patterns go in and come out.
	var patterns []string
	for i := range 40_000 {
		patterns = append(patterns, fmt.Sprintf("/animals/number/%032d", i))
	}
	stored := call("POST", "/rest/db/ignores?folder=zoo", quoted(t, fmt.Sprintf(`{"ignore": ["%s"]}`, strings.Join(patterns, `","`))))
	if !strings.HasPrefix(stored, "200") {
		t.Fatalf("storing patterns is answered %.200s", stored)
	}
	if got := call("GET", "/rest/db/ignores?folder=zoo", "null"); !strings.Contains(got, patterns[0]) || !strings.Contains(got, patterns[len(patterns)-1]) {
		t.Errorf("the patterns came back with %d bytes: %.200s", len(got), got)
	}

	// The page waits for events; once its session ends it gets none.
	ask[bool](b, `(() => {
		const [name, token] = document.cookie.split('; ').find(c => c.startsWith('CSRF-Token-')).split('=');
		window.waited = 0;
		fetch('/rest/events?events=ConfigSaved&since=1000000&timeout=300', {headers: {['X-' + name]: token}})
			.then(r => { window.waited = r.status === 401 ? 1 : r.text().then(() => { window.waited = 2; }, () => { window.waited = 1; }); }, () => { window.waited = 1; });
		return true;
	})()`)
	second := b.beside()
	d.signOut(second, d.app+"/rest/noauth/health")
	if response, _ := d.get(d.app+"/rest/system/status", "Accept", "application/json"); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a session: %s", response.Status)
	}
}
