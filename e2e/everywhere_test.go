package e2e

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// echo is an upstream for WebSockets that sends everything back; ended has an item for each connection that is over.
func echo(t *testing.T) (address string, ended <-chan struct{}) {
	t.Helper()
	over := make(chan struct{}, 16)
	server := httptest.NewServer(websocket.Handler(func(socket *websocket.Conn) {
		_, _ = io.Copy(socket, socket)
		over <- struct{}{}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), over
}

// connect opens a WebSocket from the page and waits until it has answered.
func (b *tab) connect() {
	b.t.Helper()
	b.until(`(() => {
		window.socket = new WebSocket('ws://' + location.host + '/socket');
		socket.onmessage = ({ data }) => { window.answered = data; };
		window.answered = undefined;
		return true;
	})()`)
	b.until("socket.readyState === WebSocket.OPEN")
	b.talks("hello")
}

// talks checks that the WebSocket still answers.
func (b *tab) talks(word string) {
	b.t.Helper()
	ask[bool](b, "(socket.send("+quote(word)+"), true)")
	b.until("window.answered === " + quote(word))
}

// cutOff waits for the page's WebSocket to be closed, after which its requests are refused and opening anything leads to the sign-in page.
func (d *deployment) cutOff(b *tab) {
	b.t.Helper()
	b.until("socket.readyState === WebSocket.CLOSED")
	if status := ask[int](b, "fetch('/api/time').then((response) => response.status)"); status != 401 {
		b.t.Errorf("at %s a script still gets %d", b.location(), status)
	}
	b.open(ask[string](b, "location.origin") + "/reports")
	b.arriveBelow(d.portal + "/auth/sign-in")
}

// One person, two devices, two applications, a WebSocket each at the second one. Signing out at the first application ends that device's session at
// the second, too, and no other; signing out everywhere ends all, WebSockets included.
func TestSignOutReachesEveryApplication(t *testing.T) {
	t.Parallel()
	address, ended := echo(t)
	d, second := deployTwo(t, map[string]string{"ECHO": address}, "second.localhost:8080 {\n", "second.localhost:8080 {\n\treverse_proxy /socket ECHO\n")
	laptop, phone := browse(t), browse(t)
	device := d.signInWithPasskey(laptop)
	laptop.open(d.app + "/")
	work := laptop.beside()
	work.open(second + "/")
	work.arrive(second + "/")
	work.connect()

	phone.withoutAutofill()
	attach(phone, device.passkeys()...)
	away := phone.beside()
	phone.open(d.app + "/")
	phone.click("#passkey-button")
	phone.arrive(d.app + "/")
	away.open(second + "/")
	away.arrive(second + "/")
	away.connect()

	d.signOut(phone)
	d.cutOff(away)
	work.talks("still here")
	<-ended

	phone.open(d.app + "/")
	phone.click("#passkey-button")
	phone.arrive(d.app + "/")
	away.open(second + "/")
	away.arrive(second + "/")
	away.connect()

	laptop.open(d.portal + "/auth/account")
	if sessions := ask[int](laptop, "document.querySelectorAll('.session').length"); sessions != 2 {
		t.Errorf("the account page shows %d sessions", sessions)
	}
	start := time.Now()
	laptop.click("#sign-out-everywhere")
	laptop.arriveBelow(d.portal + "/auth/signed-out")
	for range 2 {
		select {
		case <-ended:
		case <-time.After(stepTimeout):
			t.Fatal("the upstream still has a connection")
		}
	}
	t.Logf("both connections were over %s after the button was pressed", time.Since(start).Round(time.Millisecond))
	d.cutOff(work)
	d.cutOff(away)
	phone.open(d.app + "/")
	phone.arriveBelow(d.portal + "/auth/sign-in")
}
