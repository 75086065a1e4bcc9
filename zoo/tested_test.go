package zoo

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

var passed = map[string]bool{} // by name of the recipe

// writeTested writes the table that docs/recipes/tested.md is.
func writeTested(t *testing.T, path string) {
	t.Helper()
	var page strings.Builder
	page.WriteString("# What was tested\n\n")
	page.WriteString("`make test-zoo` wrote this page. It ran each recipe with the real application and a real browser: sign-in, what the\n" +
		"table says, sign-out, and that requests and open streams then end.\n\n")
	fmt.Fprintf(&page, "%s, %s, %s, Caddy %s.\n\n", time.Now().UTC().Format("2 January 2006"), debianRelease(t), chromiumVersion(t), caddyVersion(t))
	page.WriteString("| recipe | version | tested | result |\n|---|---|---|---|\n")
	for _, s := range specimens() {
		result := "passed"
		if !passed[s.name] {
			result = "**failed**"
		}
		fmt.Fprintf(&page, "| [%s](%s) | %s | %s | %s |\n", s.name, s.address(), versions[s.name], s.does, result)
	}
	if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func debianRelease(t *testing.T) string {
	t.Helper()
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`PRETTY_NAME="([^"]*)"`).FindSubmatch(release)
	if name == nil {
		t.Fatal("/etc/os-release has no PRETTY_NAME")
	}
	return string(name[1])
}

func chromiumVersion(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("chromium", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	version, _, _ := strings.Cut(string(out), " built")
	return strings.TrimSpace(version)
}

func caddyVersion(t *testing.T) string {
	t.Helper()
	modules := output(t, exec.Command("go", "version", "-m", "../bin/caddy"))
	version := regexp.MustCompile(`\tgithub.com/caddyserver/caddy/v2\t(v\S+)`).FindStringSubmatch(modules)
	if version == nil {
		t.Fatalf("bin/caddy does not say which Caddy it is:\n%s", modules)
	}
	return version[1]
}
