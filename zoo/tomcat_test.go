package zoo

import (
	"archive/zip"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func tomcat(t *testing.T) {
	debian(t, "tomcat10", "tomcat10-admin", "default-jre-headless")
	r := readRecipe(t, "tomcat")
	base, port := t.TempDir(), freePort(t)
	conf := filepath.Join(base, "conf")
	output(t, exec.Command("cp", "--recursive", "--dereference", "/etc/tomcat10", conf))
	write(t, filepath.Join(conf, "tomcat-users.xml"), r.file("tomcat-users.xml").edit(t))
	replaceIn(t, filepath.Join(conf, "server.xml"), `port="8080"`, `address="127.0.0.1" port="`+port+`"`)
	replaceIn(t, filepath.Join(conf, "web.xml"), "    <session-config>\n        <session-timeout>30</session-timeout>\n    </session-config>\n", r.file("conf/web.xml").edit(t))
	write(t, filepath.Join(base, "webapps", "ROOT", "index.html"), "<title>Welcome</title><h1>Welcome to the zoo</h1>")
	for _, folder := range []string{"logs", "temp", "work"} {
		if err := os.MkdirAll(filepath.Join(base, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command("/usr/share/tomcat10/bin/catalina.sh", "run")
	command.Env = append(os.Environ(), "CATALINA_HOME=/usr/share/tomcat10", "CATALINA_BASE="+base)
	server := start(t, command)
	answers(t, direct, "http://127.0.0.1:"+port+"/", server)

	t.Setenv("TOMCAT_PASSWORD", "tomcat")
	d := deploy(t, r.caddyfile(), "localhost:8080", "localhost:"+port)
	d.member(anna, "admins")
	b := d.browse()
	d.signIn(b, d.app+"/")
	b.reads("Welcome to the zoo")

	// An application of 32 MiB is deployed in the manager, and gives its file back.
	war, sum := application(t)
	d.addPasskey(b)
	d.stepUp(b, d.app+"/manager/html")
	b.reads("Tomcat Web Application Manager")
	b.choose("input[type=file][name=deployWar]", war)
	b.click("form[enctype='multipart/form-data'] input[type=submit]")
	b.reads("OK")
	b.see("a[href='/lions/']")
	if got := b.download("/lions/large.bin"); got != sum {
		t.Errorf("the file came back as %s, want %s", got, sum)
	}
	b.click("form[action*='/manager/html/stop?path=/lions'] input")
	b.reads("Stopped application at context path [/lions]")
	if status := ask[int](b, "fetch('/lions/large.bin', {cache: 'no-store'}).then(r => r.status)"); status != http.StatusNotFound {
		t.Errorf("the stopped application answers %d", status)
	}

	// Spellings by which Tomcat, not Caddy, would know the manager.
	for _, path := range []string{"/manager;x/html", "/;/manager/html", "/lions/..;/manager/html", "/%6danager/html", "/MANAGER/html", "//manager/html"} {
		if response, body := d.get(d.app+path, "Cookie", b.cookies(d.app), "Accept", "text/html"); response.StatusCode == http.StatusOK && path != "/%6danager/html" && path != "/MANAGER/html" {
			t.Errorf("%s answers %s: %.200s", path, response.Status, body)
		}
	}
	d.signOut(b, d.app+"/manager/html")
}

// replaceIn changes a configuration file of the package: old text, new text, and so on.
func replaceIn(t *testing.T, path string, edits ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, example(text).edit(t, edits...))
}

// application is a web archive with one large file.
func application(t *testing.T) (path, sum string) {
	t.Helper()
	content, sum := file(t, "large.bin")
	path = filepath.Join(t.TempDir(), "lions.war")
	war, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer war.Close()
	archive := zip.NewWriter(war)
	for name, from := range map[string]string{"large.bin": content, "WEB-INF/web.xml": ""} {
		text := []byte(`<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0"/>`)
		if from != "" {
			if text, err = os.ReadFile(from); err != nil {
				t.Fatal(err)
			}
		}
		entry, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return path, sum
}
