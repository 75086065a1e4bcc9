package zoo

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func rabbitmq(t *testing.T) {
	debian(t, "rabbitmq-server")
	r := readRecipe(t, "rabbitmq")
	folder, management := shortTempDir(t), freePort(t)
	write(t, filepath.Join(folder, "rabbitmq.conf"), r.file("/etc/rabbitmq/rabbitmq.conf").edit(t, "15672", management)+
		"listeners.tcp.local = 127.0.0.1:"+freePort(t)+"\n")
	write(t, filepath.Join(folder, "plugins"), "[rabbitmq_management].\n")
	names := freePort(t)
	environment := append(os.Environ(),
		"HOME="+folder, "RABBITMQ_NODENAME=zoo@localhost", "ERL_EPMD_PORT="+names, "RABBITMQ_DIST_PORT="+freePort(t),
		"RABBITMQ_CONFIG_FILE="+filepath.Join(folder, "rabbitmq.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(folder, "plugins"),
		"RABBITMQ_MNESIA_BASE="+folder, "RABBITMQ_LOG_BASE="+folder, "RABBITMQ_CONF_ENV_FILE=/dev/null",
	)
	// Erlang's registry of names, which would otherwise start itself and stay.
	start(t, exec.Command("epmd", "-port", names))
	command := exec.Command("/usr/lib/rabbitmq/bin/rabbitmq-server")
	command.Env = environment
	server := start(t, command)
	answers(t, direct, "http://127.0.0.1:"+management+"/", server)
	for _, line := range []string{"add_user viewer viewer", "set_user_tags viewer monitoring", "set_permissions viewer ^$ ^$ .*"} {
		control := exec.Command("/usr/lib/rabbitmq/bin/rabbitmqctl", strings.Fields(line)...)
		control.Env = environment
		output(t, control)
	}

	t.Setenv("RABBITMQ_VIEWER_PASSWORD", "viewer")
	t.Setenv("RABBITMQ_ADMINISTRATOR_PASSWORD", "administrator")
	d := deploy(t, r.caddyfile(), "localhost:15672", "localhost:"+management)
	d.member(anna, "admins")
	b := d.browse()
	// RabbitMQ's page asks for a name and takes any.
	enter := func() {
		t.Helper()
		b.fill("input[name=username]", "me")
		b.fill("input[name=password]", "me")
		b.click("input[type=submit]")
		b.reads("Overview")
	}
	d.signIn(b, d.app+"/")
	enter()
	administration := "https://rabbitmq-admin.example.com"
	create := `fetch('/api/queues/%2F/zoo', {method: 'PUT', headers: {'Content-Type': 'application/json'}, body: '{"durable": true}'}).then(r => r.status)`
	if status := ask[int](b, create); status != http.StatusUnauthorized { // RabbitMQ's way to say that the viewer may not
		t.Errorf("the viewer makes a queue: %d", status)
	}

	d.addPasskey(b)
	d.stepUp(b, administration+"/")
	if status := ask[int](b, create); status != http.StatusCreated {
		t.Errorf("the administrator makes a queue: %d", status)
	}
	enter()
	b.open(administration + "/#/queues/%2F/zoo")
	b.reads("Queue zoo")

	// A large message goes in and comes out.
	message := make([]byte, 5<<20)
	_, _ = rand.Read(message)
	payload := base64.StdEncoding.EncodeToString(message)
	published := ask[string](b, fmt.Sprintf(`fetch('/api/exchanges/%%2F/amq.default/publish', {method: 'POST', headers: {'Content-Type': 'application/json'},
		body: JSON.stringify({properties: {}, routing_key: 'zoo', payload: %q, payload_encoding: 'base64'})}).then(r => r.text())`, payload))
	if published != `{"routed":true}` {
		t.Errorf("publishing is answered %.200s", published)
	}
	same := ask[bool](b, `(async () => {
		const response = await fetch('/api/queues/%2F/zoo/get', {method: 'POST', headers: {'Content-Type': 'application/json'},
			body: JSON.stringify({count: 1, ackmode: 'ack_requeue_true', encoding: 'base64'})});
		window.message = (await response.json())[0].payload;
		return window.message.length === `+fmt.Sprint(len(payload))+`;
	})()`)
	if !same || ask[string](b, "window.message") != payload {
		t.Error("the message came back changed")
	}
	b.open(d.app + "/#/queues/%2F/zoo")
	b.reads("Queue zoo")
	if status := ask[int](b, "fetch('/api/queues/%2F/zoo').then(r => r.status)"); status != http.StatusOK {
		t.Errorf("a viewer's look at the queue: %d", status)
	}

	// A password of the client's own changes nothing.
	request := d.request(http.MethodGet, d.app+"/api/overview", nil, "Accept", "application/json")
	request.SetBasicAuth("administrator", "administrator")
	if response, _ := d.do(request); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("the administrator's password without a session: %s", response.Status)
	}
	d.signOut(b, d.app+"/api/overview")
}
