package zoo

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func radicale(t *testing.T) {
	debian(t, "radicale", "python3-radicale")
	r := readRecipe(t, "radicale")
	folder, address := t.TempDir(), "localhost:"+freePort(t)
	config := filepath.Join(folder, "config")
	write(t, config, r.file("/etc/radicale/config").edit(t, "localhost:5232", address, "/var/lib/radicale", folder))
	server := start(t, exec.Command("/usr/bin/radicale", "--config", config))
	answers(t, direct, "http://"+address+"/.web/", server)

	password, hash := machinePassword(t)
	t.Setenv("ANNAS_PASSWORD_HASH", hash)
	d := deploy(t, r.caddyfile(), "localhost:5232", address)
	b := d.browse()
	d.signIn(b, d.app+"/.web/")

	// The page asks for a name and takes any: the header counts.
	b.fill("#loginscene [data-name=user]", "bob@example.com")
	b.fill("#loginscene [data-name=password]", "anything")
	b.click("#loginscene button")
	b.until(`document.querySelector('#collectionsscene')?.offsetParent != null`)
	if principal := ask[string](b, `fetch('/', {method: 'PROPFIND', headers: {Depth: '0'}, body: '<propfind xmlns="DAV:"><prop><current-user-principal/></prop></propfind>'}).then(r => r.text())`); !strings.Contains(principal, "/anna%40example.com/") {
		t.Errorf("Radicale takes the account for %s", principal)
	}

	// Anna's phone makes a calendar with an event; the browser reads it.
	phone := func(method, path, body string, headers ...string) *http.Response {
		t.Helper()
		request := d.request(method, "https://dav.example.com"+path, strings.NewReader(body), headers...)
		request.SetBasicAuth(anna, password)
		response, text := d.do(request)
		if response.StatusCode >= 300 {
			t.Errorf("%s %s answers %s: %.300s", method, path, response.Status, text)
		}
		return response
	}
	home := "/anna%40example.com/"
	phone("MKCALENDAR", home+"work/", "")
	phone(http.MethodPut, home+"work/event.ics", strings.ReplaceAll(`BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//zoo//EN
BEGIN:VEVENT
UID:event
DTSTAMP:20260101T000000Z
DTSTART:20260102T090000Z
SUMMARY:Feed the animals
END:VEVENT
END:VCALENDAR
`, "\n", "\r\n"), "Content-Type", "text/calendar")
	if event := ask[string](b, `fetch('`+home+`work/event.ics').then(r => r.text())`); !strings.Contains(event, "Feed the animals") {
		t.Errorf("the browser reads %q", event)
	}

	// A large address card goes up in the browser and down to the phone.
	photo := make([]byte, 3<<20)
	_, _ = rand.Read(photo)
	encoded := base64.StdEncoding.EncodeToString(photo)
	phone("MKCOL", home+"people/", `<mkcol xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav"><set><prop><resourcetype><collection/><C:addressbook/></resourcetype></prop></set></mkcol>`)
	card := "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:bob\r\nFN:Bob\r\nN:Bob;;;;\r\nPHOTO;ENCODING=b;TYPE=JPEG:" + encoded + "\r\nEND:VCARD\r\n"
	if status := ask[int](b, fmt.Sprintf(`fetch('%speople/bob.vcf', {method: 'PUT', headers: {'Content-Type': 'text/vcard'}, body: %q}).then(r => r.status)`, home, card)); status != http.StatusCreated {
		t.Errorf("the card is answered %d", status)
	}
	request := d.request(http.MethodGet, "https://dav.example.com"+home+"people/bob.vcf", nil)
	request.SetBasicAuth(anna, password)
	_, text := d.do(request)
	if unfolded := strings.ReplaceAll(text, "\r\n ", ""); !strings.Contains(unfolded, encoded) {
		t.Errorf("the card came back with %d bytes, not as it was", len(text))
	}

	// Nobody is somebody else by a header, on either host, in any spelling.
	for _, name := range []string{"X-Remote-User", "X_Remote_User", "x_remote-user"} {
		request := d.request(http.MethodGet, "https://dav.example.com/bob%40example.com/", nil, name, "bob@example.com")
		request.SetBasicAuth(anna, password)
		if response, _ := d.do(request); response.StatusCode != http.StatusForbidden {
			t.Errorf("with %s anna gets %s at bob's", name, response.Status)
		}
		if response, body := d.get(d.app+"/bob%40example.com/", name, "bob@example.com", "Cookie", b.cookies(d.app)); response.StatusCode != http.StatusForbidden {
			t.Errorf("with %s a browser gets %s at bob's: %.200s", name, response.Status, body)
		}
	}
	if response, _ := d.get("https://dav.example.com" + home); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a password: %s", response.Status)
	}
	d.signOut(b, d.app+"/.web/")
}
