package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// shipped runs this command on the sources and returns the file that it writes. As a program of its own it does not slow down under the race
// detector.
func shipped(t *testing.T, sources, architecture string) string {
	t.Helper()
	out := t.TempDir()
	command := exec.Command("go", "run", ".", "-root", sources, "-out", out, "-arch", architecture, "-triggers", "define")
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return filepath.Join(out, "define-"+architecture+".zip")
}

// Two builds, in two copies of the sources in different places, one of them without version control, give one zip. They share the build
// cache, which keeps apart what depends on a place.
func TestReproducible(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	for _, part := range []string{"go.mod", "go.sum", "triggers", "internal/challenge"} {
		to := filepath.Join(elsewhere, part)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("cp", "-r", filepath.Join(root, part), to).CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
	}
	var first [sha256.Size]byte
	for i, sources := range []string{root, elsewhere} {
		content, err := os.ReadFile(shipped(t, sources, "arm64"))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(content); i == 0 {
			first = sum
		} else if sum != first {
			t.Error("the two builds differ")
		}
	}
}

// What Lambda wants of provided.al2023: an executable named bootstrap, that needs no library.
func TestBootstrap(t *testing.T) {
	for architecture, machine := range map[string]elf.Machine{"arm64": elf.EM_AARCH64, "amd64": elf.EM_X86_64} {
		z, err := zip.OpenReader(shipped(t, "../..", architecture))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = z.Close() }()
		if len(z.File) != 1 || z.File[0].Name != "bootstrap" || z.File[0].Mode() != 0o755 || !z.File[0].Modified.Equal(epoch) {
			t.Fatalf("%+v", z.File[0].FileHeader)
		}
		r, err := z.File[0].Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		program, err := elf.NewFile(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if libraries, err := program.ImportedLibraries(); err != nil || len(libraries) > 0 || program.Machine != machine {
			t.Errorf("%s: %v, %v, %v", architecture, program.Machine, libraries, err)
		}
		if bytes.Contains(content, []byte("net/rpc.")) {
			t.Errorf("%s: the program contains net/rpc", architecture)
		}
	}
}

func TestUnknownTrigger(t *testing.T) {
	if err := ship("../..", "nosuch", "arm64", filepath.Join(t.TempDir(), "x.zip")); err == nil {
		t.Error("no error")
	}
}

// Every program of triggers/cmd is shipped, unless some are named.
func TestChosen(t *testing.T) {
	all, err := chosen("../..", "")
	if err != nil || !slices.Contains(all, "define") || !slices.Contains(all, "presignup") {
		t.Errorf("%v, %v", all, err)
	}
	if some, err := chosen("../..", "define,notify"); err != nil || !slices.Equal(some, []string{"define", "notify"}) {
		t.Errorf("%v, %v", some, err)
	}
	if _, err := chosen(t.TempDir(), ""); err == nil {
		t.Error("nothing to ship is no error")
	}
}
