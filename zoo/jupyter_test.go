package zoo

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func jupyter(t *testing.T) {
	debian(t, "jupyter-notebook", "python3-ipykernel")
	r := readRecipe(t, "jupyter")
	folder, port := t.TempDir(), freePort(t)
	config := filepath.Join(folder, "jupyter_notebook_config.py")
	write(t, config, r.file("jupyter_notebook_config.py").edit(t, "8888", port))
	files := filepath.Join(folder, "files")
	write(t, filepath.Join(files, "zoo.ipynb"), `{"cells": [], "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}, "nbformat": 4, "nbformat_minor": 4}`)
	command := exec.Command("/usr/bin/jupyter-notebook", "--allow-root", "--config", config, "--notebook-dir", files)
	command.Env = append(os.Environ(), "HOME="+folder)
	server := start(t, command)
	answers(t, direct, "http://127.0.0.1:"+port+"/tree", server)

	d := deploy(t, r.caddyfile(), "localhost:8888", "localhost:"+port)
	d.member(anna, "scientists")
	b := d.browse()
	d.signIn(b, d.app+"/notebooks/zoo.ipynb")

	// Code runs in the kernel, over a WebSocket.
	b.until("window.Jupyter?.notebook?.kernel?.is_connected() === true")
	run := func(code string) {
		ask[bool](b, "(() => { const cell = Jupyter.notebook.insert_cell_at_bottom('code'); cell.set_text("+quoted(t, code)+"); cell.execute(); return true; })()")
	}
	run("print('six times seven is', 6 * 7)")
	b.reads("six times seven is 42")

	// A new configuration of Caddy's leaves the socket and the kernel as they are.
	ask[bool](b, "(window.socket = Jupyter.notebook.kernel.ws) !== null")
	run("kept = 'still here'")
	d.reload()
	run("print('and it is', kept)")
	b.reads("and it is still here")
	if !ask[bool](b, "window.socket === Jupyter.notebook.kernel.ws && window.socket.readyState === WebSocket.OPEN") {
		t.Error("the socket did not outlive a new configuration")
	}

	path, sum := file(t, "large.bin")
	second := b.beside()
	second.open(d.app + "/tree")
	second.choose("#alternate_upload input[type=file]", path)
	second.click(".modal.in .btn-primary, .modal.in .btn-danger") // it warns of large files
	second.until("document.querySelector('.modal.in, .modal-backdrop') === null")
	second.click(".upload_button")
	second.until("document.querySelector('#notebook_list .new-file') === null && document.querySelector('#notebook_list').innerText.includes('large.bin')")
	if got := second.download("/files/large.bin"); got != sum {
		t.Errorf("the file came back as %s, want %s", got, sum)
	}

	d.addPasskey(second)
	d.stepUp(second, d.app+"/terminals/new")
	ask[bool](second, `new Promise(done => {
		window.said = '';
		window.shell = new WebSocket('wss://notebook.example.com/terminals/websocket/1');
		window.shell.onmessage = m => { window.said += JSON.parse(m.data)[1] ?? ''; };
		window.shell.onopen = () => { window.shell.send(JSON.stringify(['stdin', 'echo it is $((6 * 7))\r'])); done(true); };
	})`)
	second.until("window.said.includes('it is 42')")

	d.signOut(second, d.app+"/tree")
	b.until("window.socket.readyState === WebSocket.CLOSED")
	if response, _ := d.get(d.app+"/api/contents", "Accept", "application/json"); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a session: %s", response.Status)
	}
}
