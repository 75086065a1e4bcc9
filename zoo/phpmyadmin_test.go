package zoo

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func phpmyadmin(t *testing.T) {
	debian(t, "phpmyadmin", "php-mysql", "php-xml", "php-mbstring")
	r := readRecipe(t, "phpmyadmin")
	db := mariadb(t)
	accounts := r.find("```sql\n(.*?)```").edit(t)
	for _, password := range []string{"viewer", "administrator"} {
		accounts = strings.Replace(accounts, "'…'", "'"+password+"'", 1)
	}
	db.run(accounts)
	program, folder := copied(t, "/usr/share/phpmyadmin"), t.TempDir()
	config := filepath.Join(folder, "config.inc.php")
	write(t, config, r.file("/etc/phpmyadmin/config.inc.php").edit(t, "/run/mysqld/mysqld.sock", db.socket, "/var/lib/phpmyadmin/tmp", folder))
	replaceIn(t, filepath.Join(program, "libraries", "vendor_config.php"), "/etc/phpmyadmin/config.inc.php", config, "/var/lib/phpmyadmin/tmp/", folder+"/")
	t.Setenv("PHPMYADMIN_SECRET", strings.Repeat("s", 32))
	socket := phpFPM(t, r.file("/etc/php/8.2/fpm/pool.d/www.conf").edit(t))

	t.Setenv("DATABASE_VIEWER_PASSWORD", "viewer")
	t.Setenv("DATABASE_ADMINISTRATOR_PASSWORD", "administrator")
	d := deploy(t, r.caddyfile(), "/usr/share/phpmyadmin", program, "/run/php/php8.2-fpm.sock", socket)
	d.member(anna, "admins")
	b := d.browse()
	d.signIn(b, d.app+"/")
	b.reads("viewer@localhost")
	makes := func() string {
		return ask[string](b, `fetch('/index.php?route=/import', {method: 'POST', body: new URLSearchParams({
			ajax_request: '1', token: CommonParams.get('token'), sql_query: 'CREATE DATABASE zoo', is_js_confirmed: '0', sql_delimiter: ';', server: '1'})}).then(r => r.text())`)
	}
	if made := makes(); !strings.Contains(made, "Access denied") {
		t.Errorf("the viewer makes a database: %.300s", made)
	}

	d.addPasskey(b)
	administration := "https://db-admin.example.com"
	d.stepUp(b, administration+"/")
	b.reads("administrator@localhost")
	if made := makes(); !strings.Contains(made, `"success":true`) {
		t.Errorf("the administrator makes no database: %.300s", made)
	}

	// A large file of statements is imported, and comes back by an export.
	row := strings.Repeat("roar", 1<<18)
	var dump strings.Builder
	dump.WriteString("CREATE TABLE zoo.lions (id INT PRIMARY KEY, says LONGTEXT);\n")
	for i := range 16 {
		fmt.Fprintf(&dump, "INSERT INTO zoo.lions VALUES (%d, '%s');\n", i, row)
	}
	path := filepath.Join(t.TempDir(), "lions.sql")
	if err := os.WriteFile(path, []byte(dump.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	b.open(administration + "/index.php?route=/database/import&db=zoo")
	b.choose("#input_import_file", path)
	ask[bool](b, "(document.querySelector('#buttonGo').click(), true)") // the page is still sliding about
	b.reads("Import has been successfully finished")
	if count := db.run("SELECT COUNT(*), SUM(LENGTH(says)) FROM zoo.lions"); count != fmt.Sprintf("16\t%d", 16*len(row)) {
		t.Errorf("the import has made %s", count)
	}
	b.open(d.app + "/index.php?route=/table/export&db=zoo&table=lions")
	b.see("#buttonGo, input[name='what'], #plugins")
	exported := ask[int](b, `(async () => {
		const form = new FormData(document.querySelector('form[name=dump]'));
		form.set('what', 'csv'); form.set('output_format', 'astext'); form.set('asfile', 'sendit');
		const response = await fetch('/index.php?route=/export', {method: 'POST', body: new URLSearchParams(form)});
		return (await response.text()).length;
	})()`)
	if exported < 16*len(row) {
		t.Errorf("the export has %d bytes", exported)
	}
	for _, private := range []string{"/libraries/vendor_config.php", "/templates/", "/sql/"} {
		if status := ask[int](b, fmt.Sprintf("fetch(%q).then(r => r.status)", private)); status != http.StatusNotFound {
			t.Errorf("%s answers %d", private, status)
		}
	}

	// Passwords of the client's own count nowhere.
	request := d.request(http.MethodGet, d.app+"/", nil, "Cookie", b.cookies(d.app))
	request.SetBasicAuth("administrator", "administrator")
	if _, page := d.do(request); !strings.Contains(page, "viewer@localhost") {
		t.Error("a password of the client's own reached phpMyAdmin")
	}
	d.signOut(b, d.app+"/index.php")
}
