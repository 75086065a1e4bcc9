// Command coldstart measures what starting a trigger costs: the size of its zip file, the processor time from the start of the process to
// its first answer, and its memory. Beside each it measures the same trigger of amazon-cognito-passwordless-auth on Node, bundled by esbuild
// as its CDK construct does, under the same host with the same event. It prints JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/caddy-cognito/passwordless/internal/lambdahost"
)

// pairs are the triggers that need no service to answer their event, and the modules they are compared with.
var pairs = []struct{ trigger, module string }{
	{"define", "define-auth-challenge"},
	{"presignup", "pre-signup"},
}

// cost is that of one program. Times and memory are medians.
type cost struct {
	CPU     time.Duration `json:"cpu"`     // nanoseconds, user and system
	Memory  int64         `json:"memory"`  // bytes, the most resident
	Program int64         `json:"program"` // bytes: binary, or bundle without Node itself
	Zip     int64         `json:"zip"`     // bytes; 0 for Node
}

// comparison is one trigger beside the other side's.
type comparison struct {
	Trigger string `json:"trigger"`
	Ours    cost   `json:"ours"`
	Node    cost   `json:"node"`
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("coldstart: ")
	root := flag.String("root", ".", "the repository's root")
	runs := flag.Int("runs", 9, "starts of each program; the median counts")
	flag.Parse()
	if err := compare(*root, *runs); err != nil {
		log.Fatal(err)
	}
}

func compare(root string, runs int) error {
	if runs < 1 {
		return fmt.Errorf("-runs is %d: set it to 1 or more", runs)
	}
	folder, err := os.MkdirTemp("", "coldstart")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	list := make([]comparison, 0, len(pairs))
	for _, p := range pairs {
		payload, err := os.ReadFile(filepath.Join(root, "triggers", "testdata", p.trigger+".json")) // #nosec G304 -- a file of this repository
		if err != nil {
			return err
		}
		c := comparison{Trigger: p.trigger}
		if c.Ours, err = ours(root, folder, p.trigger, payload, runs); err != nil {
			return err
		}
		if c.Node, err = node(root, folder, p.module, payload, runs); err != nil {
			return err
		}
		list = append(list, c)
	}
	return json.NewEncoder(os.Stdout).Encode(list)
}

// median starts a program several times and fills in what is measured of it.
func median(c cost, runs int, payload []byte, program string, arguments ...string) (cost, error) {
	times, memories := make([]time.Duration, runs), make([]int64, runs)
	for i := range runs {
		var err error
		if times[i], memories[i], err = once(payload, program, arguments...); err != nil {
			return c, fmt.Errorf("%s: %w", program, err)
		}
	}
	slices.Sort(times)
	slices.Sort(memories)
	c.CPU, c.Memory = times[runs/2], memories[runs/2]
	return c, nil
}

// once is one process from its start to its first answer.
func once(payload []byte, program string, arguments ...string) (time.Duration, int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f, err := lambdahost.Start(nil, program, arguments...)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	if _, err := f.Invoke(ctx, lambdahost.Event{RequestID: "first", Payload: payload}); err != nil {
		return 0, 0, fmt.Errorf("%w; it said: %s", err, f.Output())
	}
	memory, err := f.Memory()
	if err != nil {
		return 0, 0, err
	}
	f.Close()
	return f.CPU(), memory, nil
}

func size(file string) (int64, error) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// architecture is that of this machine, on which the programs run.
const architecture = runtime.GOARCH
