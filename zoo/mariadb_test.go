package zoo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// database is a MariaDB of a test's own, reached by its socket.
type database struct {
	t      *testing.T
	socket string
}

func mariadb(t *testing.T) database {
	t.Helper()
	debian(t, "mariadb-server")
	folder := shortTempDir(t)
	db := database{t, filepath.Join(folder, "db.sock")}
	data := filepath.Join(folder, "data")
	output(t, exec.Command("mariadb-install-db", "--no-defaults", "--user=root", "--datadir="+data, "--auth-root-authentication-method=socket", "--skip-test-db"))
	server := start(t, exec.Command("/usr/sbin/mariadbd", "--no-defaults", "--user=root", "--datadir="+data, "--socket="+db.socket,
		"--skip-networking", "--pid-file="+filepath.Join(folder, "pid"), "--max-allowed-packet=64M"))
	eventually(startTimeout, func() bool {
		if !server.running() {
			t.Fatalf("MariaDB ended: %v", server.err)
		}
		_, err := os.Stat(db.socket)
		return err == nil
	}, func() { t.Fatal("MariaDB does not listen") })
	return db
}

// run runs statements as root and returns what they give.
func (db database) run(statements string) string {
	db.t.Helper()
	command := exec.Command("mariadb", "--no-defaults", "--socket="+db.socket, "--batch", "--skip-column-names")
	command.Stdin = strings.NewReader(statements)
	return strings.TrimSpace(output(db.t, command))
}
