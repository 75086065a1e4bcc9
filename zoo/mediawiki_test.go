package zoo

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
)

func mediawiki(t *testing.T) {
	debian(t, "mediawiki", "php-sqlite3", "php-intl", "php-cli", "php-xml", "php-mbstring")
	r := readRecipe(t, "mediawiki")
	folder := t.TempDir()
	images, settings := filepath.Join(folder, "images"), filepath.Join(folder, "LocalSettings.php")
	output(t, exec.Command("mkdir", images))
	output(t, exec.Command("php", "/usr/share/mediawiki/maintenance/install.php", "--confpath", folder, "--dbtype", "sqlite", "--dbpath", folder,
		"--dbname", "wiki", "--server", "https://wiki.example.com", "--scriptpath", "", "--pass", "a long word of nobody", "Wiki", "Founder"))
	lines := r.file("/etc/mediawiki/LocalSettings.php").edit(t, "/var/lib/mediawiki/images", images)
	appendTo(t, settings, lines)
	socket := phpFPM(t, r.file("/etc/php/8.2/fpm/pool.d/www.conf").edit(t))

	d := deploy(t, r.caddyfile(), "/etc/mediawiki/LocalSettings.php", settings, "/var/lib/mediawiki/images", images, "/run/php/php8.2-fpm.sock", socket)
	d.member(anna, "admins")
	b := d.browse()
	d.signIn(b, d.app+"/index.php?title=The_zoo&action=edit")
	b.until("mw.config.get('wgUserName') === 'Anna'")
	// The editor takes its field out of the page and puts it back, which typing would not survive.
	b.until("document.querySelector('#wpTextbox1') !== null && (document.querySelector('#wpTextbox1').value = 'The lion roars every night.') !== ''")
	b.click("#wpSave")
	b.reads("The lion roars every night.")

	path, sum := file(t, "large.bin")
	b.open(d.app + "/index.php?title=Special:Upload")
	b.choose("#wpUploadFile", path)
	b.fill("#wpDestFile", "Large.bin")
	b.click("[name=wpUpload]")
	b.reads("File:Large.bin")
	address := ask[string](b, "new URL(document.querySelector('.fullMedia a').href).pathname")
	if got := b.download(address); got != sum {
		t.Errorf("the file came back as %s, want %s", got, sum)
	}
	for _, private := range []string{"/LocalSettings.php", "/maintenance/update.php", "/includes/AutoLoader.php"} {
		if status := ask[int](b, fmt.Sprintf("fetch(%q).then(r => r.status)", private)); status != http.StatusNotFound {
			t.Errorf("%s answers %d", private, status)
		}
	}

	sysop := "mw.config.get('wgUserGroups').includes('sysop')"
	if ask[bool](b, sysop) {
		t.Error("the administration is open on the wiki's host")
	}
	d.addPasskey(b)
	d.stepUp(b, "https://wiki-admin.example.com/index.php?title=Special:UserRights/Anna")
	b.until(sysop)
	b.see("#mw-userrights-form2")
	b.open(d.app + "/index.php?title=The_zoo")
	b.until("!" + sysop)
	b.click("#pt-sign-out a")
	b.arriveBelow(d.portal + "/auth/sign-out")
	d.signOut(b, d.app+"/index.php?title=The_zoo&action=history")
}
