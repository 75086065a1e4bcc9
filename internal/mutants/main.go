// Mutants changes the given packages in one place after another and runs their tests, which should notice. It prints the changes that survive. Files
// on disk stay as they are: each mutant is an overlay of go test.
//
// Usage: mutants [-files regexp] package...
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// limit is what a mutant's tests may take: one that loops for ever is noticed by that.
const limit = 5 * time.Minute

// mutant is one change of a file: the bytes from begin to end become text.
type mutant struct {
	file       string
	line       int
	begin, end int
	text, what string
}

func main() {
	files := flag.String("files", "", "regular expression of the files to change; all of the package if empty")
	flag.Parse()
	wanted, err := regexp.Compile(*files)
	if err == nil && flag.NArg() == 0 {
		err = errors.New("name a package, such as ./internal/token")
	}
	for _, folder := range flag.Args() {
		if err == nil {
			err = run(folder, wanted)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(folder string, wanted *regexp.Regexp) error {
	scratch, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	if noticed, out := test(folder, "-count=1"); noticed {
		return fmt.Errorf("the tests of %s fail as they are:\n%s", folder, out)
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return err
	}
	killed, invalid, survived := 0, 0, 0
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") || !wanted.MatchString(filepath.Base(path)) {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found, err := mutantsOf(path, source)
		if err != nil {
			return err
		}
		for _, m := range found {
			changed := slices.Concat(source[:m.begin], []byte(m.text), source[m.end:])
			overlay, err := overlayOf(scratch, path, changed)
			if err != nil {
				return err
			}
			switch noticed, out := test(folder, "-overlay", overlay); {
			case !noticed:
				survived++
				fmt.Printf("%s:%d: %s\n", m.file, m.line, m.what)
			case strings.Contains(out, "[build failed]"):
				invalid++
			default:
				killed++
			}
		}
	}
	fmt.Printf("%s: %d killed, %d survived, %d do not compile\n", folder, killed, survived, invalid)
	return nil
}

// overlayOf writes the changed file and the overlay that puts it in the place of the one at path.
func overlayOf(scratch, path string, changed []byte) (string, error) {
	from, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	to, overlay := filepath.Join(scratch, "mutant.go"), filepath.Join(scratch, "overlay.json")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {from: to}})
	if err != nil {
		return "", err
	}
	return overlay, errors.Join(os.WriteFile(to, changed, 0o600), //nolint:gosec // both are in a folder made for this run
		os.WriteFile(overlay, text, 0o600))
}

// test reports whether the package's tests fail, and what they print.
func test(folder string, options ...string) (noticed bool, out string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	args := append([]string{"test", "-vet=off", "-failfast", "-ldflags=-s -w"}, options...)
	printed, err := exec.CommandContext(ctx, "go", append(args, folder)...).CombinedOutput() //nolint:gosec // the folder is what the developer asked for
	return err != nil, string(printed)
}

// swapped are the operators that stand for a decision, and what a mutant has instead.
var swapped = map[token.Token]string{
	token.EQL: "!=", token.NEQ: "==", token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">", token.LAND: "||", token.LOR: "&&",
	token.ADD: "-", token.SUB: "+",
}

// mutantsOf are the changes of one file: each operator that decides is swapped, each condition of an if is taken for false, and each side of && and ||
// is left out.
func mutantsOf(path string, source []byte) ([]mutant, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var found []mutant
	text := func(n ast.Node) string {
		return string(source[set.Position(n.Pos()).Offset:set.Position(n.End()).Offset])
	}
	add := func(begin, end token.Pos, to, what string) {
		at := set.Position(begin)
		found = append(found, mutant{path, at.Line, at.Offset, set.Position(end).Offset, to, strings.Join(strings.Fields(what), " ")})
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt:
			add(n.Cond.Pos(), n.Cond.End(), "false && ("+text(n.Cond)+")", "if "+text(n.Cond)+" → if false")
		case *ast.BinaryExpr:
			to, ok := swapped[n.Op]
			if !ok {
				break
			}
			add(n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), to, text(n)+" → "+to)
			if n.Op == token.LAND || n.Op == token.LOR {
				add(n.Pos(), n.End(), text(n.X), text(n)+" → "+text(n.X))
				add(n.Pos(), n.End(), text(n.Y), text(n)+" → "+text(n.Y))
			}
		}
		return true
	})
	return found, nil
}
