package zoo

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func wordpress(t *testing.T) {
	debian(t, "wordpress", "php-mysql", "php-cli", "php-gd", "php-xml", "php-mbstring")
	r := readRecipe(t, "wordpress")
	db := mariadb(t)
	db.run("CREATE DATABASE wordpress; CREATE USER wordpress@localhost IDENTIFIED BY 'wordpress'; GRANT ALL ON wordpress.* TO wordpress@localhost;")
	program, content, conf := copied(t, "/usr/share/wordpress"), copied(t, "/var/lib/wordpress/wp-content"), t.TempDir()
	write(t, filepath.Join(conf, "config-default.php"), r.file("/etc/wordpress/config-default.php").edit(t,
		"/run/mysqld/mysqld.sock", db.socket, "/var/lib/wordpress/wp-content", content))
	write(t, filepath.Join(content, "mu-plugins", "passwordless.php"), r.file("/var/lib/wordpress/wp-content/mu-plugins/passwordless.php").edit(t))
	replaceIn(t, filepath.Join(program, "wp-config.php"), "/etc/wordpress/", conf+"/", "'/usr/share/wordpress/'", "'"+program+"/'")
	output(t, exec.Command("rm", "--recursive", filepath.Join(program, "wp-content")))
	if err := os.Symlink(content, filepath.Join(program, "wp-content")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WORDPRESS_DATABASE_PASSWORD", "wordpress")
	install := exec.Command("php", "-r", `define('WP_INSTALLING', true); $_SERVER['HTTP_HOST'] = 'blog.example.com'; require 'wp-load.php';
		require 'wp-admin/includes/upgrade.php'; wp_install('The zoo', 'founder', 'founder@example.com', true, '', wp_generate_password(32));`)
	install.Dir = program
	output(t, install)
	socket := phpFPM(t, r.file("/etc/php/8.2/fpm/pool.d/www.conf").edit(t))

	d := deploy(t, r.caddyfile(), "/usr/share/wordpress", program, "/run/php/php8.2-fpm.sock", socket)
	d.member(anna, "admins")
	b := d.browse()
	d.signIn(b, d.app+"/wp-admin/profile.php")
	if email := ask[string](b, "document.querySelector('#email').value"); email != anna {
		t.Errorf("WordPress takes the account for %q", email)
	}

	// An author writes, and uploads a large file.
	api := func(method, path, body string) string {
		t.Helper()
		return ask[string](b, fmt.Sprintf(`(async () => {
			const nonce = await (await fetch('/wp-admin/admin-ajax.php?action=rest-nonce')).text();
			const response = await fetch(%q, {method: %q, headers: {'X-WP-Nonce': nonce, 'Content-Type': 'application/json'}, body: %s});
			return response.status + ' ' + await response.text();
		})()`, path, method, body))
	}
	if posted := api("POST", "/?rest_route=/wp/v2/posts", `'{"title": "The lion roars", "content": "Every night.", "status": "publish"}'`); !strings.HasPrefix(posted, "201") {
		t.Fatalf("posting is answered %.300s", posted)
	}
	b.open(d.app + "/wp-admin/edit.php")
	b.reads("The lion roars")
	path, sum := file(t, "large.zip")
	b.open(d.app + "/wp-admin/media-new.php?browser-uploader")
	b.choose("#async-upload", path)
	b.click("#html-upload")
	b.until("location.pathname.endsWith('/wp-admin/upload.php') && document.readyState === 'complete'")
	uploads, err := filepath.Glob(filepath.Join(content, "uploads", "*", "*", "large.zip"))
	if err != nil || len(uploads) != 1 {
		t.Fatalf("the uploads are %v: %v", uploads, err)
	}
	if got := b.download("/wp-content" + strings.TrimPrefix(uploads[0], content)); got != sum {
		t.Errorf("the file came back as %s, want %s", got, sum)
	}

	// A forged request of another site's lacks WordPress' own proof; an author administers nothing.
	if forged := ask[int](b, `fetch('/?rest_route=/wp/v2/posts', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{"title": "Forged"}'}).then(r => r.status)`); forged < 400 {
		t.Errorf("a request without the proof is answered %d", forged)
	}
	for _, private := range []string{"/xmlrpc.php", "/wp-config.php"} {
		if status := ask[int](b, fmt.Sprintf("fetch(%q).then(r => r.status)", private)); status != http.StatusNotFound {
			t.Errorf("%s answers %d", private, status)
		}
	}
	if status := ask[int](b, "fetch('/wp-admin/users.php').then(r => r.status)"); status != http.StatusForbidden {
		t.Errorf("an author sees the users: %d", status)
	}
	d.addPasskey(b)
	d.stepUp(b, "https://blog-admin.example.com/wp-admin/users.php")
	b.reads("founder@example.com")
	b.open(d.app + "/wp-admin/")
	b.open(d.app + "/wp-login.php?action=logout")
	b.arriveBelow(d.portal + "/auth/sign-out")
	d.signOut(b, d.app+"/wp-admin/profile.php")
}
