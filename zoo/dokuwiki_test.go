package zoo

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func dokuwiki(t *testing.T) {
	debian(t, "dokuwiki")
	r := readRecipe(t, "dokuwiki")
	program, conf, data := copied(t, "/usr/share/dokuwiki"), copied(t, "/etc/dokuwiki"), copied(t, "/var/lib/dokuwiki/data")
	plugin := "/usr/share/dokuwiki/lib/plugins/authpasswordless/"
	for _, name := range []string{"auth.php", "plugin.info.txt"} {
		write(t, program+"/lib/plugins/authpasswordless/"+name, r.file(plugin+name).edit(t))
	}
	write(t, conf+"/local.php", r.file("/etc/dokuwiki/local.php").edit(t)+fmt.Sprintf("$conf['savedir'] = '%s';\n", data))
	write(t, conf+"/acl.auth.php", r.file("/etc/dokuwiki/acl.auth.php").edit(t))
	// Debian's package reads its configuration from where this constant says.
	where := filepath.Join(t.TempDir(), "where.php")
	write(t, where, fmt.Sprintf("<?php define('DOKU_MAIN_CONF', '%s/');\n", conf))
	socket := phpFPM(t, r.file("/etc/php/8.2/fpm/pool.d/www.conf").edit(t)+"php_admin_value[auto_prepend_file] = "+where+"\n")

	d := deploy(t, r.caddyfile(), "/usr/share/dokuwiki", program, "/run/php/php8.2-fpm.sock", socket)
	d.member(anna, "admins")
	b := d.browse()
	d.signIn(b, d.app+"/doku.php?id=start&do=edit")

	// A page is written, under the account's name.
	b.fill("#wiki__text", "====== The zoo ======\n")
	b.click("[name='do[save]']")
	b.until("document.querySelector('#the_zoo') !== null")
	b.open(d.app + "/doku.php?id=start&do=revisions")
	b.reads(anna)

	path, sum := file(t, "large.zip")
	b.open(d.app + "/lib/exe/mediamanager.php?ns=wiki")
	b.choose(".qq-upload-button input[type=file]", path)
	b.click("#mediamanager__upload_button")
	b.see(".qq-upload-success")
	if got := b.download("/lib/exe/fetch.php?media=wiki:large.zip"); got != sum {
		t.Errorf("the file came back as %s, want %s", got, sum)
	}

	// Files that are none of the browser's business, and an administration that is not on this host, whatever asks for it.
	for _, private := range []string{"/conf/local.php", "/data/pages/start.txt", "/inc/init.php", "/INC/init.php"} {
		if status := ask[int](b, fmt.Sprintf("fetch(%q).then(r => r.status)", private)); status != 404 {
			t.Errorf("%s answers %d", private, status)
		}
	}
	administers := `fetch('/doku.php', {method: 'POST', body: new URLSearchParams({do: 'admin', page: 'config'})}).then(r => r.text()).then(t => t.includes('config__manager'))`
	if ask[bool](b, administers) {
		t.Error("the administration is open on the wiki's host")
	}
	d.addPasskey(b)
	administration := "https://wiki-admin.example.com"
	d.stepUp(b, administration+"/doku.php?id=start&do=admin&page=config")
	b.see("#config__manager")
	if !ask[bool](b, administers) {
		t.Error("the administration is closed to an administrator")
	}

	// DokuWiki's own button leads to the portal's sign-out.
	b.open(d.app + "/doku.php?id=start")
	b.click(".action.logout a")
	b.arriveBelow(d.portal + "/auth/sign-out")
	d.signOut(b, d.app+"/doku.php?id=start")
	if _, err := os.Stat(data + "/media/wiki/large.zip"); err != nil {
		t.Error(err)
	}
}
