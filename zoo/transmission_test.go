package zoo

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func transmission(t *testing.T) {
	debian(t, "transmission-daemon")
	r := readRecipe(t, "transmission")
	folder, port := t.TempDir(), freePort(t)
	downloads := filepath.Join(folder, "downloads")
	write(t, filepath.Join(folder, "settings.json"), r.file("settings.json").edit(t, "9091", port, "/var/lib/transmission-daemon/downloads", downloads))
	server := start(t, exec.Command("transmission-daemon", "--foreground", "--config-dir", folder, "--no-dht", "--no-lpd", "--no-portmap", "--no-utp",
		"--bind-address-ipv4", "127.0.0.1", "--peerport", freePort(t)))
	answers(t, direct, "http://127.0.0.1:"+port+"/transmission/web/", server)

	d := deploy(t, r.caddyfile(), "localhost:9091", "localhost:"+port)
	d.member(anna, "family")
	b := d.browse()
	d.signIn(b, d.app+"/")
	b.until("location.pathname === '/transmission/web/'")

	// The first call is answered 409 with an ID, with which it is made again.
	rpc := func(call string) string {
		t.Helper()
		return ask[string](b, `(async () => {
			const send = id => fetch('/transmission/rpc', {method: 'POST', headers: {'X-Transmission-Session-Id': id}, body: `+call+`});
			let response = await send('');
			if (response.status !== 409) return 'the first call: ' + response.status;
			response = await send(response.headers.get('X-Transmission-Session-Id'));
			return response.status + ' ' + await response.text();
		})()`)
	}
	// A file that is there already, and a torrent of it with a long comment: that much goes up and comes down.
	content := make([]byte, large)
	write(t, filepath.Join(downloads, "lion.bin"), string(content))
	comment := strings.Repeat("roar ", 1<<20)
	torrent := metainfo("lion.bin", content, comment)
	added := rpc(quoted(t, fmt.Sprintf(`{"method": "torrent-add", "arguments": {"metainfo": %q}}`, base64.StdEncoding.EncodeToString(torrent))))
	if !strings.Contains(added, `"result":"success"`) {
		t.Fatalf("adding a torrent is answered %.300s", added)
	}
	if got := rpc(quoted(t, `{"method": "torrent-get", "arguments": {"fields": ["comment"]}}`)); !strings.Contains(got, comment) {
		t.Errorf("the comment came back with %d bytes: %.300s", len(got), got)
	}
	b.reads("lion.bin")
	b.until(`(async () => {
		const send = id => fetch('/transmission/rpc', {method: 'POST', headers: {'X-Transmission-Session-Id': id}, body: '{"method": "torrent-get", "arguments": {"fields": ["percentDone"]}}'});
		const response = await send((await send('')).headers.get('X-Transmission-Session-Id'));
		return (await response.json()).arguments.torrents[0].percentDone === 1;
	})()`)
	d.signOut(b, d.app+"/transmission/web/")
	if _, err := os.Stat(filepath.Join(folder, "torrents")); err != nil {
		t.Error(err)
	}
}

// metainfo is a torrent of one file, without a tracker.
func metainfo(name string, content []byte, comment string) []byte {
	const piece = 1 << 18
	var pieces bytes.Buffer
	for i := 0; i < len(content); i += piece {
		sum := sha1.Sum(content[i:min(len(content), i+piece)])
		pieces.Write(sum[:])
	}
	var torrent bytes.Buffer
	fmt.Fprintf(&torrent, "d7:comment%d:%s4:infod6:lengthi%de4:name%d:%s12:piece lengthi%de6:pieces%d:", len(comment), comment, len(content), len(name), name, piece, pieces.Len())
	torrent.Write(pieces.Bytes())
	torrent.WriteString("7:privatei1eee")
	return torrent.Bytes()
}
