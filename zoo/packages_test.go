package zoo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// debian installs the packages that are missing, starts none of their services, and notes the version of the first one.
func debian(t *testing.T, packages ...string) {
	t.Helper()
	var missing []string
	for _, name := range packages {
		if debianVersion(name) == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		t.Logf("installing %s with apt-get", strings.Join(missing, " "))
		if os.Getuid() != 0 {
			t.Fatalf("not installed, and only root can: apt-get install --no-install-recommends %s", strings.Join(missing, " "))
		}
		defer withoutServices(t)()
		apt(t, "update", "-qq")
		apt(t, append([]string{"install", "-qq", "--yes", "--no-install-recommends"}, missing...)...)
	}
	version := debianVersion(packages[0])
	if version == "" {
		t.Fatalf("apt-get has not installed %s", packages[0])
	}
	noteVersion(t, "Debian "+packages[0]+" "+version)
}

func apt(t *testing.T, args ...string) {
	t.Helper()
	command := exec.Command("apt-get", args...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	output(t, command)
}

// debianVersion is the version of an installed package, or nothing.
func debianVersion(name string) string {
	out, err := exec.Command("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", name).Output()
	if err != nil {
		return "" // unknown to dpkg
	}
	version, installed := strings.CutPrefix(string(out), "installed ")
	if !installed {
		return ""
	}
	return version
}

// servicePolicy is the program that Debian's packages ask whether they may start their services.
const servicePolicy = "/usr/sbin/policy-rc.d"

// withoutServices denies services to packages until the function it returns is called.
func withoutServices(t *testing.T) (allow func()) {
	t.Helper()
	before, err := os.ReadFile(servicePolicy)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	existed := err == nil
	if err := os.WriteFile(servicePolicy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return func() {
		var err error
		if existed {
			err = os.WriteFile(servicePolicy, before, 0o755)
		} else {
			err = os.Remove(servicePolicy)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// npm installs a package of this version into bin/npm-zoo, if it is not there, and returns the folder of its programs.
func npm(t *testing.T, name, version string) (programs string) {
	t.Helper()
	prefix, err := filepath.Abs("../bin/npm-zoo/" + name)
	if err != nil {
		t.Fatal(err)
	}
	done := filepath.Join(prefix, "installed")
	if installed, err := os.ReadFile(done); err != nil || string(installed) != version {
		t.Logf("installing %s %s with npm", name, version)
		output(t, exec.Command("npm", "install", "--prefix", prefix, "--no-audit", "--no-fund", "--loglevel=error", name+"@"+version))
		if err := os.WriteFile(done, []byte(version), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	noteVersion(t, fmt.Sprintf("npm %s %s", name, version))
	return filepath.Join(prefix, "node_modules", ".bin")
}

var (
	versionsLock sync.Mutex
	versions     = map[string]string{} // by name of the recipe
)

// noteVersion has the table of results say what was tested.
func noteVersion(t *testing.T, version string) {
	_, name, _ := strings.Cut(t.Name(), "/")
	versionsLock.Lock()
	defer versionsLock.Unlock()
	if versions[name] == "" { // what an application needs besides comes later
		versions[name] = version
	}
}
