package zoo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// phpFPM runs PHP for the files of a folder, with a recipe's settings of the pool, and returns the path of its socket.
func phpFPM(t *testing.T, settings string) (socket string) {
	t.Helper()
	debian(t, "php-fpm")
	folder := shortTempDir(t)
	socket = filepath.Join(folder, "php.sock")
	config := fmt.Sprintf(`[global]
error_log = /dev/stderr
daemonize = no
[www]
user = root
group = root
listen = %s
pm = static
pm.max_children = 4
catch_workers_output = yes
php_admin_value[session.save_path] = %s
php_admin_flag[log_errors] = on
%s`, socket, folder, settings)
	path := filepath.Join(folder, "fpm.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	server := start(t, exec.Command(phpProgram(t), "--nodaemonize", "--allow-to-run-as-root", "--fpm-config", path))
	eventually(startTimeout, func() bool {
		if !server.running() {
			t.Fatalf("php-fpm ended: %v", server.err)
		}
		_, err := os.Stat(socket)
		return err == nil
	}, func() { t.Fatal("php-fpm does not listen") })
	return socket
}

// phpProgram is Debian's php-fpm, whose name has its version in it.
func phpProgram(t *testing.T) string {
	t.Helper()
	programs, err := filepath.Glob("/usr/sbin/php-fpm[0-9]*")
	if err != nil || len(programs) == 0 {
		t.Fatalf("php-fpm is not there: %v", err)
	}
	return programs[len(programs)-1]
}

// shortTempDir is a folder whose path is short enough for sockets, which take about 100 bytes.
func shortTempDir(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "zoo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

// copied is a copy of a package's files that the application may write to, links followed.
func copied(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), filepath.Base(from))
	output(t, exec.Command("cp", "--recursive", "--dereference", strings.TrimSuffix(from, "/"), to))
	return to
}

// write makes a file, and its folder if need be.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// appendTo adds lines to a file, which it makes if need be.
func appendTo(t *testing.T, path, lines string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	write(t, path, string(text)+lines)
}
