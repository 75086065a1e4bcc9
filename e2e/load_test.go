package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// beside starts a second node: another Caddy of the same sites, on another address of this machine, with the first one's storage.
func (d *deployment) beside(t *testing.T) {
	t.Helper()
	folder := t.TempDir()
	second := *d
	second.admin = "localhost:" + freePort(t)
	second.caddyfile, second.log = filepath.Join(folder, "Caddyfile"), filepath.Join(folder, "caddy.log")
	// The embedded pool is of one process alone; the second node needs its own for the sign-ins that nobody makes there.
	second.edits = append(slices.Clone(d.edits), "default_bind 127.0.0.1", "default_bind 127.0.0.2", "./data/pool.db", "./data/second.db")
	second.words = maps.Clone(d.words)
	second.words["localhost:2019"], second.words["localhost:8025"] = second.admin, "localhost:"+freePort(t)
	second.write(t, second.caddyfile)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of the second node's log:\n%s", tail(second.log))
		}
	})
	second.start(t)
	t.Cleanup(func() { second.stop(t) })
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	_, port, _ := strings.Cut(strings.TrimPrefix(d.portal, "http://"), ":")
	eventually(ctx, func() bool {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.2:"+port)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, func() { t.Fatal("the second node does not listen") })
}

// load is somebody's requests to one node, without a pause.
type load struct {
	node            string // IP address
	answered        atomic.Int64
	refused, failed atomic.Int64 // answers other than 200; no answer
	last            atomic.Value
}

// run asks until the context ends.
func (l *load) run(ctx context.Context, url, cookie string) {
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(l.node, port))
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second, CheckRedirect: client.CheckRedirect}
	for ctx.Err() == nil {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			panic(err)
		}
		r.Header.Set("Accept", "application/json")
		r.Header.Set("Cookie", cookie)
		response, err := client.Do(r)
		if err != nil {
			l.failed.Add(1)
			l.last.Store(err.Error())
			continue
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			l.answered.Add(1)
		} else {
			l.refused.Add(1)
			l.last.Store(response.Status)
		}
	}
}

// goesOn waits for further answers.
func (l *load) goesOn(t *testing.T, n int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	from := l.answered.Load()
	eventually(ctx, func() bool { return l.answered.Load() >= from+n }, func() {
		t.Fatalf("%s does not answer any more; last: %v", l.node, l.last.Load())
	})
}

// held is what a process keeps: goroutines and open files.
func (d *deployment) held(t *testing.T) (goroutines, files int) {
	t.Helper()
	_, body := get(t, "http://"+d.admin+"/debug/pprof/goroutine?debug=1")
	if _, err := fmt.Sscanf(body, "goroutine profile: total %d", &goroutines); err != nil {
		t.Fatalf("%v: %.200s", err, body)
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.caddy.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return goroutines, len(open)
}

// Two nodes share a storage and are busy, while one of them reads its configuration anew 20 times and is started anew 3 times: the
// other one answers every request, nobody is signed out, and no goroutine or file is left behind.
//
//nolint:paralleltest // it leaves nothing of the machine to others
func TestReloadAndRestartUnderLoad(t *testing.T) {
	const reloads = 20
	first := deploy(t)
	first.beside(t)
	b := browse(t)
	b.open(first.app + "/")
	first.signInByLink(b, anna, first.app+"/")
	b.greets(anna, "/", "")
	cookie := b.cookiesOf("app.localhost")
	b.open("about:blank") // or the browser's own connections would be counted

	first.reload(t) // what is made once only is made by now
	goroutines, files := first.held(t)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	here, there := &load{node: "127.0.0.1"}, &load{node: "127.0.0.2"}
	for _, one := range []*load{here, there} {
		for range 2 {
			wg.Go(func() { one.run(ctx, first.app+"/api/time", cookie) })
		}
		one.goesOn(t, 10)
	}
	for range reloads {
		first.reload(t)
		here.goesOn(t, 5)
		there.goesOn(t, 5)
	}
	// While Caddy hands its listener over, a connection that was just accepted may break. That is not for us to mend, but it has to be rare.
	if n := here.failed.Load(); n > here.answered.Load()/500 {
		t.Errorf("%d of %d requests failed on the node that was reloaded: %v", n, here.answered.Load(), here.last.Load())
	}
	stop()
	wg.Wait()

	settled, cancel := context.WithTimeout(t.Context(), 120*time.Second)
	defer cancel()
	var g, f int
	eventually(settled, func() bool {
		g, f = first.held(t)
		return g < goroutines+5 && f < files+5 // closing connections takes a while
	}, func() {
		t.Errorf("%d reloads leave %d goroutines and %d files, which were %d and %d", reloads, g, f, goroutines, files)
	})
	t.Logf("after the reloads %d goroutines and %d files, before %d and %d", g, f, goroutines, files)

	ctx, stop = context.WithCancel(t.Context())
	defer stop()
	for range 2 {
		wg.Go(func() { there.run(ctx, first.app+"/api/time", cookie) })
	}
	for range 3 {
		first.restart(t)
		there.goesOn(t, 5)
		if response, body := get(t, first.app+"/api/time", "Accept", "application/json", "Cookie", cookie); response.StatusCode != http.StatusOK {
			t.Errorf("after a restart: %s %s", response.Status, body)
		}
	}
	stop()
	wg.Wait()
	for _, one := range []*load{here, there} {
		if n := one.refused.Load(); n > 0 {
			t.Errorf("%d requests were refused on %s, beside %d: %v", n, one.node, one.answered.Load(), one.last.Load())
		}
	}
	if n := there.failed.Load(); n > 0 {
		t.Errorf("%d requests failed on the other node, beside %d: %v", n, there.answered.Load(), there.last.Load())
	}
	t.Logf("answered by the node that was reloaded: %d, by the other one: %d", here.answered.Load(), there.answered.Load())
}
