// Command zipper builds the Lambdas: for each trigger and processor a static program named bootstrap, alone in a zip file that is the same
// byte for byte wherever it is built with the same Go.
package main

import (
	"archive/zip"
	"compress/flate"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// epoch is the time of every file: the earliest that the zip format knows.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func main() {
	log.SetFlags(0)
	log.SetPrefix("zipper: ")
	root := flag.String("root", ".", "the repository's root")
	out := flag.String("out", "dist", "folder for the zip files")
	architectures := flag.String("arch", "arm64,amd64", "processors, as Go names them")
	only := flag.String("triggers", "", "triggers to build, with commas; all where empty")
	flag.Parse()
	triggers, err := chosen(*root, *only)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.MkdirAll(*out, 0o750); err != nil {
		log.Fatal(err)
	}
	for _, trigger := range triggers {
		for _, architecture := range strings.Split(*architectures, ",") {
			file := filepath.Join(*out, trigger+"-"+architecture+".zip")
			if err := ship(*root, trigger, architecture, file); err != nil {
				log.Fatal(err)
			}
			log.Print(file)
		}
	}
}

// chosen are the names given, or those of the programs in triggers/cmd.
func chosen(root, names string) ([]string, error) {
	if names != "" {
		return strings.Split(names, ","), nil
	}
	programs, err := filepath.Glob(filepath.Join(root, "triggers", "cmd", "*", "main.go"))
	if err == nil && len(programs) == 0 {
		err = fmt.Errorf("no programs in %s: set -root to the repository's root", filepath.Join(root, "triggers", "cmd"))
	}
	triggers := make([]string, len(programs))
	for i, program := range programs {
		triggers[i] = filepath.Base(filepath.Dir(program))
	}
	return triggers, err
}

func ship(root, trigger, architecture, file string) error {
	folder, err := os.MkdirTemp("", "zipper")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	program := filepath.Join(folder, "bootstrap")
	if err := build(root, trigger, architecture, program); err != nil {
		return err
	}
	to, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := pack(to, program); err != nil {
		_ = to.Close()
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return to.Close()
}

// build keeps out of the program what differs between machines: paths, version control, build IDs.
func build(root, trigger, architecture, program string) error {
	program, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	// #nosec G204 -- the arguments are those of the Makefile
	command := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-ldflags", "-s -w -buildid=",
		"-o", program, "./triggers/cmd/"+trigger)
	command.Dir = root
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture, "GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s for %s: %w\n%s", trigger, architecture, err, out)
	}
	return nil
}

// pack writes a zip file with the program as bootstrap, executable by everybody.
func pack(to io.Writer, program string) error {
	from, err := os.Open(program)
	if err != nil {
		return err
	}
	defer from.Close()
	z := zip.NewWriter(to)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate, Modified: epoch}
	header.SetMode(0o755)
	w, err := z.CreateHeader(header)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, from); err != nil {
		return err
	}
	return z.Close()
}
