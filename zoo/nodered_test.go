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

// nodeRED runs with Node 18 and later; version 5 needs Node 22.
const nodeRED = "4.1.8"

func nodered(t *testing.T) {
	programs := npm(t, "node-red", nodeRED)
	r := readRecipe(t, "node-red")
	folder, port := t.TempDir(), freePort(t)
	write(t, filepath.Join(folder, "settings.js"), r.file("settings.js").edit(t, "1880", port))
	command := exec.Command(filepath.Join(programs, "node-red"), "--userDir", folder)
	command.Env = append(os.Environ(), "NODE_RED_CREDENTIAL_SECRET=of this test")
	server := start(t, command)
	answers(t, direct, "http://127.0.0.1:"+port+"/admin/", server)

	d := deploy(t, r.caddyfile(), "localhost:1880", "localhost:"+port)
	d.member(anna, "developers")
	b := d.browse()
	d.signIn(b, d.app+"/files") // nothing is there yet, and Node-RED says so
	d.addPasskey(b)
	d.stepUp(b, d.app+"/admin/")
	b.until("window.RED?.comms !== undefined && RED.settings?.user?.username === 'anna@example.com'")

	// A flow that keeps what it is sent, gives it back, and tells the editor by its socket.
	flow, err := json.Marshal([]map[string]any{
		{"id": "tab", "type": "tab", "label": "files"},
		{"id": "put", "type": "http in", "z": "tab", "x": 0, "y": 0, "url": "/files", "method": "put", "wires": [][]string{{"keep", "said"}}},
		{"id": "keep", "type": "function", "z": "tab", "x": 0, "y": 0, "func": "flow.set('file', msg.payload); msg.payload = 'kept'; return msg;", "outputs": 1, "wires": [][]string{{"out"}}},
		{"id": "said", "type": "function", "z": "tab", "x": 0, "y": 0, "func": "return {payload: msg.payload.length};", "outputs": 1, "wires": [][]string{{"shown"}}},
		{"id": "shown", "type": "debug", "z": "tab", "x": 0, "y": 0, "active": true, "tosidebar": true, "complete": "payload", "wires": []string{}},
		{"id": "get", "type": "http in", "z": "tab", "x": 0, "y": 0, "url": "/files", "method": "get", "wires": [][]string{{"give"}}},
		{"id": "give", "type": "function", "z": "tab", "x": 0, "y": 0, "func": "const file = flow.get('file'); msg.payload = file ?? 'none yet'; msg.headers = {'content-type': file ? 'application/octet-stream' : 'text/html'}; return msg;", "outputs": 1, "wires": [][]string{{"out"}}},
		{"id": "out", "type": "http response", "z": "tab", "x": 0, "y": 0, "wires": []string{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	deployed := ask[int](b, `fetch('/admin/flows', {method: 'POST', headers: {'Content-Type': 'application/json', 'Node-RED-API-Version': 'v1'}, body: `+quoted(t, string(flow))+`}).then(r => r.status)`)
	if deployed != http.StatusNoContent {
		t.Fatalf("deploying the flow is answered %d", deployed)
	}

	b.until("fetch('/files').then(r => r.ok)") // the flows start after the answer

	// A socket beside the editor's own, which is watched.
	ask[bool](b, `new Promise(done => {
		window.said = []; window.hasEnded = false;
		const socket = new WebSocket('wss://flows.example.com/admin/comms');
		socket.onopen = () => { socket.send(JSON.stringify({subscribe: 'debug'})); done(true); };
		socket.onmessage = m => window.said.push(m.data);
		socket.onclose = () => { window.hasEnded = true; };
	})`)
	path, sum := file(t, "large.bin")
	second := b.beside()
	second.open(d.app + "/files")
	ask[bool](second, `new Promise(done => {
		document.body.innerHTML = '<input type=file id=file>';
		done(true);
	})`)
	second.choose("#file", path)
	if status := ask[int](second, `fetch('/files', {method: 'PUT', headers: {'Content-Type': 'application/octet-stream'}, body: document.querySelector('#file').files[0]}).then(r => r.status)`); status != http.StatusOK {
		t.Fatalf("the upload is answered %d", status)
	}
	if got := second.download("/files"); got != sum {
		t.Errorf("the file came back as %s, want %s", got, sum)
	}
	b.until("window.said.some(m => m.includes('33554432'))")

	// A new configuration of Caddy's does not end it; sign-out does.
	d.reload()
	ask[int](second, `fetch('/files', {method: 'PUT', headers: {'Content-Type': 'text/plain'}, body: 'after'}).then(r => r.status)`)
	b.until(`window.said.some(m => m.includes('"msg":"5"'))`)
	if ask[bool](b, "window.hasEnded") {
		t.Error("the socket did not outlive a new configuration")
	}
	d.signOut(second, d.app+"/files")
	b.until("window.hasEnded")
	if response, body := d.get(d.app+"/admin/flows", "X-Passwordless-Email", anna, "X_Passwordless_Email", anna, "Accept", "application/json"); response.StatusCode != http.StatusUnauthorized || strings.Contains(body, "http in") {
		t.Errorf("a header of its own gets a stranger %s", response.Status)
	}
}

// quoted is a text as JavaScript has it.
func quoted(t *testing.T, text string) string {
	t.Helper()
	literal, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(literal)
}
