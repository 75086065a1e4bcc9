// Command traefik builds the whole of Traefik for the tests with the tag "traefik": from e2e, `go run ./traefik` makes ../bin/traefik.
//
// The module as published lacks the dashboard's built pages, which its Go code embeds, so it builds nowhere as a dependency. It is copied, given an
// empty page instead, and built as its own main module, with the versions that its own go.mod and go.sum name.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	module = "github.com/traefik/traefik/v3@v3.5.0"
	sum    = "h1:LcEVhZkBC0uXp8vNwn+4zCWKmZTnPo95euw6ejmmWPk=" // as a go.sum has it
)

func main() {
	log.SetFlags(0)
	out := flag.String("out", "../bin/traefik", "the program to make")
	flag.Parse()
	path, err := filepath.Abs(*out)
	if err == nil {
		err = build(path)
	}
	if err != nil {
		log.Fatalf("building Traefik: %v", err)
	}
}

// build makes the program anew; the build cache makes a second time short.
func build(out string) error {
	folder, err := os.MkdirTemp("", "traefik")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	source, err := published(folder)
	if err != nil {
		return err
	}
	work := filepath.Join(folder, "traefik")
	if err := os.CopyFS(work, os.DirFS(source)); err != nil {
		return err
	}
	pages := filepath.Join(work, "webui", "static")
	if err := os.Mkdir(pages, 0o755); err != nil {
		return fmt.Errorf("the module may have the dashboard by now; then it can be built without a copy: %w", err)
	}
	if err := os.WriteFile(filepath.Join(pages, "index.html"), []byte("<!doctype html>\n"), 0o600); err != nil {
		return err
	}
	command := exec.Command("go", "build", "-mod=readonly", "-tags=", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", out, "./cmd/traefik")
	command.Dir = work
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	return command.Run()
}

// published is the folder of the module cache with the module's source, which is the expected one. It downloads what is missing, and asks from a
// folder that is in no module.
func published(folder string) (string, error) {
	command := exec.Command("go", "mod", "download", "-json", module)
	command.Dir, command.Stderr = folder, os.Stderr
	output, failed := command.Output()
	var answer struct{ Dir, Sum, Error string }
	if err := json.Unmarshal(output, &answer); err != nil {
		return "", errors.Join(failed, err)
	}
	switch {
	case answer.Error != "":
		return "", errors.New(answer.Error)
	case failed != nil:
		return "", failed
	case answer.Sum != sum:
		return "", fmt.Errorf("%s has the checksum %s, want %s", module, answer.Sum, sum)
	}
	return answer.Dir, nil
}
