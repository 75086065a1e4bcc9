package zoo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func registry(t *testing.T) {
	debian(t, "docker-registry", "skopeo")
	r := readRecipe(t, "docker-registry")
	folder, address, pool := t.TempDir(), "localhost:"+freePort(t), "localhost:"+freePort(t)
	config := filepath.Join(folder, "config.yml")
	write(t, config, r.file("/etc/docker/registry/config.yml").edit(t, "localhost:5000", address, "/var/lib/docker-registry", filepath.Join(folder, "data")))
	server := start(t, exec.Command("docker-registry", "serve", config))
	answers(t, direct, "http://"+address+"/v2/", server)

	d := deploy(t, r.caddyfile(), "localhost:5000", address, "localhost:8029", pool)
	b := d.browse()
	d.signIn(b, d.app+"/v2/_catalog")
	b.reads(`{"repositories":[]}`)

	// An image of one large layer is pushed and pulled by a program that has a token and no cookie.
	layer, sum := file(t, "layer")
	image, pulled := imageOf(t, layer, sum), filepath.Join(folder, "pulled")
	d.member("program@example.com")
	token := d.accessToken("program@example.com", pool)
	skopeo := func(args ...string) (string, error) {
		command := exec.Command("skopeo", append([]string{"--insecure-policy", "copy", "--preserve-digests"}, args...)...)
		command.Env = append(os.Environ(), "HTTPS_PROXY="+tunnel(t, d.web), "SSL_CERT_FILE="+d.certificate.file)
		out, err := command.CombinedOutput()
		return string(out), err
	}
	remote := "docker://images.example.com/zoo/lion:latest"
	if out, err := skopeo("--dest-registry-token", token, "dir:"+image, remote); err != nil {
		t.Fatalf("push: %v: %s", err, out)
	}
	if out, err := skopeo("--src-registry-token", token, remote, "dir:"+pulled); err != nil {
		t.Fatalf("pull: %v: %s", err, out)
	}
	if content, err := os.ReadFile(filepath.Join(pulled, sum)); err != nil || digest(content) != sum {
		t.Errorf("the layer came back as %s: %v", digest(content), err)
	}
	for _, wrong := range []string{token[:len(token)-8] + "AAAAAAAA", "none"} {
		if out, err := skopeo("--src-registry-token", wrong, remote, "dir:"+t.TempDir()); err == nil {
			t.Errorf("a wrong token pulls: %s", out)
		}
	}

	// The browser sees it, and deletes it with a fresh passkey.
	b.open(d.app + "/v2/zoo/lion/tags/list")
	b.reads("latest")
	if got := b.download("/v2/zoo/lion/blobs/sha256:" + sum); got != sum {
		t.Errorf("the browser gets the layer as %s, want %s", got, sum)
	}
	d.addPasskey(b)
	b.open(d.app + "/v2/_catalog")
	deletes := fmt.Sprintf("fetch('/v2/zoo/lion/blobs/sha256:%s', {method: 'DELETE'})", sum)
	refused := ask[string](b, deletes+".then(r => r.text())")
	var answer struct {
		Reason string `json:"reason"`
		URL    string `json:"step_up_url"`
	}
	if err := json.Unmarshal([]byte(refused), &answer); err != nil || answer.Reason != "step_up" {
		t.Fatalf("deleting without a step-up is answered %.300s", refused)
	}
	b.open(answer.URL)
	b.arriveBelow(d.portal + "/auth/step-up")
	b.click("#passkey-button")
	b.backAt(d.app)
	if status := ask[int](b, deletes+".then(r => r.status)"); status != http.StatusAccepted {
		t.Errorf("deleting after the step-up is answered %d", status)
	}
	d.signOut(b, d.app+"/v2/_catalog")
	if response, _ := d.get(d.app+"/v2/_catalog", "Authorization", "Bearer "+token); response.StatusCode != http.StatusOK {
		t.Errorf("somebody else's sign-out ended the program's token: %s", response.Status)
	}
}

// imageOf is an image of one layer in skopeo's folder format.
func imageOf(t *testing.T, layer, sum string) string {
	t.Helper()
	folder := t.TempDir()
	size := int64(large)
	config := `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:` + sum + `"]},"history":[{}]}`
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
		"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":%d,"digest":"sha256:%s"},
		"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","size":%d,"digest":"sha256:%s"}]}`, len(config), digest([]byte(config)), size, sum)
	write(t, filepath.Join(folder, "version"), "Directory Transport Version: 1.1\n")
	write(t, filepath.Join(folder, "manifest.json"), strings.TrimSpace(manifest))
	write(t, filepath.Join(folder, digest([]byte(config))), config)
	if err := os.Link(layer, filepath.Join(folder, sum)); err != nil {
		t.Fatal(err)
	}
	return folder
}
