package zoo

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func gitAndCgit(t *testing.T) {
	debian(t, "cgit", "git", "fcgiwrap")
	r := readRecipe(t, "git")
	folder := shortTempDir(t)
	repositories, socket := filepath.Join(folder, "git"), filepath.Join(folder, "cgi.sock")
	output(t, exec.Command("git", "init", "--quiet", "--bare", "--initial-branch=main", filepath.Join(repositories, "zoo.git")))
	config := filepath.Join(folder, "cgitrc")
	write(t, config, r.file("/etc/cgitrc").edit(t, "/srv/git", repositories))
	gateway := exec.Command("fcgiwrap", "-f", "-s", "unix:"+socket)
	// What git would otherwise ask of the machine's own configuration.
	gateway.Env = append(os.Environ(), "HOME="+folder)
	server := start(t, gateway)
	eventually(startTimeout, func() bool {
		_, err := os.Stat(socket)
		return err == nil || !server.running()
	}, func() { t.Fatal("fcgiwrap does not listen") })

	password, hash := machinePassword(t)
	t.Setenv("ANNAS_PASSWORD_HASH", hash)
	d := deploy(t, r.caddyfile(), "/run/fcgiwrap.socket", socket, "/srv/git", repositories, "/etc/cgitrc", config)
	b := d.browse()
	d.signIn(b, d.app+"/zoo.git/about/?x=a%2Fb")

	// Anna clones the empty repository, pushes a large file, and clones it again.
	proxy := tunnel(t, d.web)
	git := func(where, credential string, args ...string) (string, error) {
		command := exec.Command("git", args...)
		command.Dir = where
		command.Env = append(os.Environ(), "HOME="+folder, "HTTPS_PROXY="+proxy, "GIT_SSL_CAINFO="+d.certificate.file, "GIT_TERMINAL_PROMPT=0",
			"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=user.email", "GIT_CONFIG_VALUE_0="+anna, "GIT_CONFIG_KEY_1=user.name", "GIT_CONFIG_VALUE_1=Anna",
			"GIT_ASKPASS="+askPass(t, folder), "GIT_PASSWORD="+credential)
		out, err := command.CombinedOutput()
		return string(out), err
	}
	must := func(where string, args ...string) {
		t.Helper()
		if out, err := git(where, password, args...); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	url := "https://anna%40example.com@git.example.com/zoo.git"
	must(folder, "clone", "--quiet", url, "first")
	first := filepath.Join(folder, "first")
	path, sum := file(t, "large.bin")
	output(t, exec.Command("cp", path, first))
	must(first, "checkout", "-q", "-b", "main")
	must(first, "add", "large.bin")
	must(first, "commit", "--quiet", "--message", "Bring a large animal")
	must(first, "push", "--quiet", "origin", "main")
	must(folder, "clone", "--quiet", url, "second")
	if content, err := os.ReadFile(filepath.Join(folder, "second", "large.bin")); err != nil || digest(content) != sum {
		t.Errorf("the file came back as %s: %v", digest(content), err)
	}
	if out, err := git(folder, "wrong", "clone", "--quiet", url, "third"); err == nil {
		t.Errorf("a wrong password clones: %s", out)
	}

	// The browser reads the history and downloads the file and an archive.
	b.open(d.app + "/zoo.git/log/")
	b.reads("Bring a large animal")
	b.click("a[href*='/zoo.git/commit/']")
	b.reads("large.bin")
	if got := b.download("/zoo.git/plain/large.bin"); got != sum {
		t.Errorf("cgit gives the file as %s, want %s", got, sum)
	}

	// A password opens git's addresses only, a session cgit's only.
	request := d.request(http.MethodGet, d.app+"/zoo.git/log/", nil, "Accept", "application/json")
	request.SetBasicAuth(anna, password)
	if response, _ := d.do(request); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("cgit by password: %s", response.Status)
	}
	for _, path := range []string{"/zoo.git/info/refs?service=git-upload-pack", "/zoo.git/git-receive-pack"} {
		if response, _ := d.get(d.app+path, "Cookie", b.cookies(d.app)); response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s by session: %s", path, response.Status)
		}
	}
	d.signOut(b, d.app+"/zoo.git/log/")
}

// askPass is a program that gives git the password of its environment.
func askPass(t *testing.T, folder string) string {
	t.Helper()
	path := filepath.Join(folder, "ask-pass")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho \"$GIT_PASSWORD\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
