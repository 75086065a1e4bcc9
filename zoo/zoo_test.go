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
	does string // what is tried, for the table of results
	test func(*testing.T)
}

var applications = []specimen{
	{"docker-registry", "skopeo pushes and pulls an image of 32 MiB by token, browsing, step-up to delete", registry},
	{"dokuwiki", "edit a page, upload and fetch 32 MiB, the wiki's own sign-out, administration on a host with step-up", dokuwiki},
	{"git", "cgit in the browser; git clones and pushes 32 MiB by password", gitAndCgit},
	{"jupyter", "a kernel's socket over a new configuration and to sign-out, upload and fetch 32 MiB, step-up for terminals", jupyter},
	{"mediawiki", "edit a page, upload and fetch 32 MiB, administration on a host with step-up", mediawiki},
	{"netdata", "the dashboard's steady requests to sign-out, addresses with `//`, a badge without a session", netdata},
	{"node-red", "the editor's socket over a new configuration and to sign-out, 32 MiB through a flow, step-up for the editor", nodered},
	{"phpmyadmin", "fixed passwords, import and export 16 MiB, administration on a host with step-up", phpmyadmin},
	{"prometheus", "graph, promtool by password, health check without a session, large query and answer, step-up for the administration", prometheus},
	{"rabbitmq", "queues with `%2F` in their addresses, a message of 5 MiB, fixed passwords, administration on a host with step-up", rabbitmq},
	{"radicale", "web page, CalDAV and CardDAV by password, a card of 4 MiB, forged headers", radicale},
	{"syncthing", "make a folder, patterns of 2 MiB, events to sign-out, step-up at sign-in", syncthing},
	{"tomcat", "deploy 32 MiB in the manager and fetch it, step-up and fixed password for the manager, odd paths", tomcat},
	{"transmission", "the 409 dance, a torrent of 5 MiB and its file of 32 MiB", transmission},
	{"wordpress", "write a post, upload and fetch 32 MiB, forged requests, WordPress' own sign-out, administration on a host with step-up", wordpress},
}

// TestZoo runs one after the other: together they would not fit small machines.
func TestZoo(t *testing.T) {
	wanted := chosen(t)
	for _, s := range applications {
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
		if !slices.ContainsFunc(applications, func(s specimen) bool { return s.name == name }) {
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
	for _, s := range applications {
		if _, err := os.Stat(recipes + s.name + ".md"); err != nil {
			t.Error(err)
		}
		if !strings.Contains(string(index), "("+s.name+".md)") {
			t.Errorf("docs/recipes/README.md does not lead to %s.md", s.name)
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
		if !slices.ContainsFunc(applications, func(s specimen) bool { return s.name == name }) {
			t.Errorf("docs/recipes/%s.md is not tested", name)
		}
	}
}
