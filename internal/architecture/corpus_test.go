package architecture

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	otherKind  = regexp.MustCompile(`^(\.git|bin|dist|data|node_modules)$`)
)

const (
	maxInput  = 8 << 10  // bytes of one input
	maxCorpus = 64 << 10 // bytes of a target's
)

// Every corpus belongs to a fuzz target, which `go test` replays it with: a target that was renamed would lose its inputs unseen. `make fuzz` runs all
// targets, and with KEEP adds to their corpora, which stay small.
func TestCorporaBelongToFuzzTargets(t *testing.T) {
	targets, corpora := make(map[string]bool), make(map[string]int64)
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && otherKind.MatchString(entry.Name()):
			return fs.SkipDir
		case entry.IsDir():
			return nil
		case strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, found := range fuzzTarget.FindAllSubmatch(text, -1) {
				targets[filepath.Join(filepath.Dir(path), "testdata", "fuzz", string(found[1]))] = true
			}
		case filepath.Base(filepath.Dir(filepath.Dir(path))) == "fuzz":
			info, err := entry.Info()
			if err != nil {
				return err
			}
			if info.Size() > maxInput {
				t.Errorf("%s has %d bytes, more than %d", path, info.Size(), maxInput)
			}
			corpora[filepath.Dir(path)] += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(targets) < 50 || len(corpora) == 0 {
		t.Errorf("only %d fuzz targets and %d corpora were found", len(targets), len(corpora))
	}
	for corpus, size := range corpora {
		if !targets[corpus] {
			t.Errorf("%s belongs to no fuzz target", corpus)
		}
		if size > maxCorpus {
			t.Errorf("%s has %d bytes, more than %d", corpus, size, maxCorpus)
		}
	}
}
