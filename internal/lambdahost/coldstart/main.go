// Command coldstart measures what starting a trigger costs: the size of its zip file, the processor time from the start of the process to
// its first answer, and its memory. Beside each it measures the same trigger of amazon-cognito-passwordless-auth on Node, bundled by esbuild
// as its CDK construct does, under the same host with the same event. It prints JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/caddy-cognito/passwordless/internal/lambdahost"
)

// pairs are the triggers and the modules they are compared with, with an event that they answer without any service, but for notify.
var pairs = []struct {
	trigger, module, event string
	request                map[string]any // what is different in the event
	fails                  bool           // on Node; ours never do
}{
	{trigger: "define", module: "define-auth-challenge", event: "triggers/testdata/define.json"},
	{trigger: "presignup", module: "pre-signup", event: "triggers/testdata/presignup.json"},
	{
		trigger: "create", module: "create-auth-challenge", event: "triggers/testdata/create.json",
		request: map[string]any{"session": []any{}, "clientMetadata": map[string]string{}},
	},
	{
		trigger: "verify", module: "verify-auth-challenge-response", event: "triggers/testdata/verify.json",
		request: map[string]any{"challengeAnswer": "no link"}, fails: true, // where ours denies
	},
	{
		trigger: "pretoken", module: "pre-token", event: "triggers/pretoken/testdata/v1.json",
		request: map[string]any{"clientMetadata": map[string]string{"consentId": "c-1"}},
	},
	{trigger: "notify", module: "fido2-notification", event: "triggers/testdata/notify.json"}, // with a user and a mail
}

// environment is that of a deployment with magic links, on both sides.
var environment = []string{
	"AWS_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "LOG_LEVEL=INFO",
	"ALLOWED_ORIGINS=https://auth.example.com", "STACK_ID=salt", "MAGIC_LINK_ENABLED=TRUE", "SES_FROM_ADDRESS=no-reply@example.com",
	"KMS_KEY_ID=alias/links", "DYNAMODB_SECRETS_TABLE=Secrets", "DYNAMODB_AUTHENTICATORS_TABLE=Authenticators", "SECONDS_UNTIL_EXPIRY=900", "MIN_SECONDS_BETWEEN=60",
	"CLIENT_METADATA_PERSISTED_KEYS=consentId", "USER_POOL_ID=eu-west-1_AbCdEfGhI",
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
	services := startServices()
	defer services.Close()
	environment = append(environment, "AWS_ENDPOINT_URL="+services.URL)
	list := make([]comparison, 0, len(pairs))
	for _, p := range pairs {
		payload, err := event(filepath.Join(root, filepath.FromSlash(p.event)), p.request)
		if err != nil {
			return err
		}
		c := comparison{Trigger: p.trigger}
		if c.Ours, err = ours(root, folder, p.trigger, payload, runs); err != nil {
			return err
		}
		if c.Node, err = node(root, folder, p.module, payload, runs, p.fails); err != nil {
			return err
		}
		list = append(list, c)
	}
	return json.NewEncoder(os.Stdout).Encode(list)
}

// event reads an event and puts the request's differences in.
func event(file string, request map[string]any) ([]byte, error) {
	raw, err := os.ReadFile(file) // #nosec G304 -- a file of this repository
	if err != nil {
		return nil, err
	}
	var e struct {
		Request map[string]any `json:"request"`
	}
	var whole map[string]any
	if err := errors.Join(json.Unmarshal(raw, &e), json.Unmarshal(raw, &whole)); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(request) == 0 {
		return raw, nil
	}
	maps.Copy(e.Request, request)
	whole["request"] = e.Request
	return json.Marshal(whole)
}

// median starts a program several times and fills in what is measured of it.
func median(c cost, runs int, payload []byte, fails bool, program string, arguments ...string) (cost, error) {
	times, memories := make([]time.Duration, runs), make([]int64, runs)
	for i := range runs {
		var err error
		if times[i], memories[i], err = once(payload, fails, program, arguments...); err != nil {
			return c, fmt.Errorf("%s: %w", program, err)
		}
	}
	slices.Sort(times)
	slices.Sort(memories)
	c.CPU, c.Memory = times[runs/2], memories[runs/2]
	return c, nil
}

// once is one process from its start to its first answer, which is a function error where the program fails.
func once(payload []byte, fails bool, program string, arguments ...string) (time.Duration, int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f, err := lambdahost.Start(environment, program, arguments...)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	_, err = f.Invoke(ctx, lambdahost.Event{RequestID: "first", Payload: payload})
	if failure := (*lambdahost.FunctionError)(nil); fails && errors.As(err, &failure) {
		err = nil
	}
	if err != nil {
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
