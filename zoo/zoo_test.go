package zoo

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var (
	only   = flag.String("only", "", "names of those to run, separated by |; all when empty")
	tested = flag.String("tested", "", "file to write the table of results to, once all have run")
)

// specimen is an application or a proxy, named like its page in docs/recipes.
type specimen struct {
	name string
	page string // if it is not that of the name
	does string // what is tried, for the table of results
	test func(*testing.T)
}

// address is that of the page, seen from docs/recipes.
func (s specimen) address() string {
	if s.page != "" {
		return s.page
	}
	return s.name + ".md"
}

var applications = []specimen{
	{name: "docker-registry", does: "skopeo pushes and pulls an image of 32 MiB by token, browsing, step-up to delete", test: registry},
	{name: "dokuwiki", does: "edit a page, upload and fetch 32 MiB, the wiki's own sign-out, administration on a host with step-up", test: dokuwiki},
	{name: "git", does: "cgit in the browser; git clones and pushes 32 MiB by password", test: gitAndCgit},
	{name: "jupyter", does: "a kernel's socket over a new configuration and to sign-out, upload and fetch 32 MiB, step-up for terminals", test: jupyter},
	{name: "mediawiki", does: "edit a page, upload and fetch 32 MiB, administration on a host with step-up", test: mediawiki},
	{name: "netdata", does: "the dashboard's steady requests to sign-out, addresses with `//`, a badge without a session", test: netdata},
	{name: "node-red", does: "the editor's socket over a new configuration and to sign-out, 32 MiB through a flow, step-up for the editor", test: nodered},
	{name: "phpmyadmin", does: "fixed passwords, import and export 16 MiB, administration on a host with step-up", test: phpmyadmin},
	{name: "prometheus", does: "graph, promtool by password, health check without a session, large query and answer, step-up for the administration", test: prometheus},
	{name: "rabbitmq", does: "queues with `%2F` in their addresses, a message of 5 MiB, fixed passwords, administration on a host with step-up", test: rabbitmq},
	{name: "radicale", does: "web page, CalDAV and CardDAV by password, a card of 4 MiB, forged headers", test: radicale},
	{name: "syncthing", does: "make a folder, patterns of 2 MiB, events to sign-out, step-up at sign-in", test: syncthing},
	{name: "tomcat", does: "deploy 32 MiB in the manager and fetch it, step-up and fixed password for the manager, odd paths", test: tomcat},
	{name: "transmission", does: "the 409 dance, a torrent of 5 MiB and its file of 32 MiB", test: transmission},
	{name: "wordpress", does: "write a post, upload and fetch 32 MiB, forged requests, WordPress' own sign-out, administration on a host with step-up", test: wordpress},
}

// What is tried behind each proxy is the same story.
const story = "sign-in and back to the very page, forged headers, odd paths, large headers and forms, sign-out"

var proxies = []specimen{
	{name: "nginx", page: "../forwardauth.md#nginx", does: story + ", somebody else's consent", test: nginxAsks},
	{name: "haproxy", does: story + ", somebody else's consent", test: haproxyAsks},
	{name: "caddy", page: "../forwardauth.md#caddy", does: story, test: caddyAsks},
	{name: "traefik", page: "../forwardauth.md#traefik", does: story, test: traefikAsks},
	{name: "nginx-tls", page: "../guides/behind-another-proxy.md#nginx", does: story, test: nginxEndsTLS},
	{name: "apache-tls", page: "../guides/behind-another-proxy.md#apache", does: story, test: apacheEndsTLS},
}

// specimens are all.
func specimens() []specimen {
	return append(slices.Clone(applications), proxies...)
}

// TestZoo runs one after the other: together they would not fit small machines.
func TestZoo(t *testing.T) {
	wanted := chosen(t)
	for _, s := range specimens() {
		if len(wanted) == 0 || slices.Contains(wanted, s.name) {
			passed[s.name] = t.Run(s.name, s.test)
		}
	}
	if *tested != "" && len(wanted) == 0 {
		writeTested(t, *tested)
	}
}

// chosen are the names of -only; a misspelt one fails the test, which would otherwise pass by doing nothing.
func chosen(t *testing.T) []string {
	t.Helper()
	if *only == "" {
		return nil
	}
	names := strings.Split(*only, "|")
	for _, name := range names {
		if !slices.ContainsFunc(specimens(), func(s specimen) bool { return s.name == name }) {
			t.Fatalf("nothing in the zoo is called %q", name)
		}
	}
	return names
}

// Every page is tested, everything tested has a page, and the index leads to all of them.
func TestEveryRecipeIsTested(t *testing.T) {
	index, err := os.ReadFile(recipes + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range specimens() {
		page, _, _ := strings.Cut(s.address(), "#")
		if _, err := os.Stat(recipes + page); err != nil {
			t.Error(err)
		}
		if !strings.Contains(string(index), "("+s.address()+")") {
			t.Errorf("docs/recipes/README.md does not lead to %s", s.address())
		}
	}
	pages, err := filepath.Glob(recipes + "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		if name == "README" || name == "tested" {
			continue
		}
		if !slices.ContainsFunc(specimens(), func(s specimen) bool { return s.name == name }) {
			t.Errorf("docs/recipes/%s.md is not tested", name)
		}
	}
}
