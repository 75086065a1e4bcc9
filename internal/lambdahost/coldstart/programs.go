package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// ours measures the program out of the zip file that is shipped.
func ours(root, folder, trigger string, payload []byte, runs int) (cost, error) {
	// #nosec G204 -- the arguments are those of this program
	command := exec.Command("go", "run", "./internal/zipper", "-out", folder, "-arch", architecture, "-triggers", trigger)
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		return cost{}, fmt.Errorf("building %s: %w\n%s", trigger, err, out)
	}
	file, program := filepath.Join(folder, trigger+"-"+architecture+".zip"), filepath.Join(folder, trigger)
	if err := unpack(file, program); err != nil {
		return cost{}, fmt.Errorf("unpacking %s: %w", file, err)
	}
	c := cost{}
	var err error
	if c.Zip, err = size(file); err != nil {
		return c, err
	}
	if c.Program, err = size(program); err != nil {
		return c, err
	}
	return median(c, runs, payload, false, program)
}

func unpack(file, program string) error {
	z, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer func() { _ = z.Close() }()
	from, err := z.Open("bootstrap")
	if err != nil {
		return err
	}
	content, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	return os.WriteFile(program, content, 0o700) // #nosec G306 -- a program
}

// node measures a module of the npm package, bundled into one file. The SDK stays outside as it does in Lambda, whose runtime has it.
func node(root, folder, module string, payload []byte, runs int, fails bool) (cost, error) {
	modules, err := filepath.Abs(filepath.Join(root, "bin", "npm", "node_modules"))
	if err != nil {
		return cost{}, err
	}
	// Beside the bundle, Node finds the SDK.
	if err := os.Symlink(modules, filepath.Join(folder, "node_modules")); err != nil && !errors.Is(err, os.ErrExist) {
		return cost{}, err
	}
	bundle := filepath.Join(folder, module+".mjs")
	from := filepath.Join(modules, "amazon-cognito-passwordless-auth", "dist", "cdk", "custom-auth", module+".js")
	// #nosec G204 -- the arguments are those of this program
	command := exec.Command(filepath.Join(modules, ".bin", "esbuild"), from, "--bundle", "--platform=node", "--target=node20", "--format=esm",
		"--external:@aws-sdk/*", "--outfile="+bundle, "--log-level=warning")
	if out, err := command.CombinedOutput(); err != nil {
		return cost{}, fmt.Errorf("bundling %s (`make test-tools` installs the parts): %w\n%s", module, err, out)
	}
	c := cost{}
	if c.Program, err = size(bundle); err != nil {
		return c, err
	}
	loop := filepath.Join(root, "internal", "lambdahost", "coldstart", "node.mjs")
	if loop, err = filepath.Abs(loop); err != nil {
		return c, err
	}
	program, err := exec.LookPath("node")
	if err != nil {
		return c, fmt.Errorf("the other side needs Node: run `make test-tools` (%w)", err)
	}
	return median(c, runs, payload, fails, program, loop, bundle)
}
