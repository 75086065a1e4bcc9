package caddyauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// AdminClient asks a running server through Caddy's admin endpoint, and prints what it answers.
type AdminClient struct {
	address, config, adapter, realm string
	asJSON                          bool
}

// AddFlags adds --address, --config, --adapter, --realm and --json.
func (c *AdminClient) AddFlags(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&c.address, "address", "", "Admin address of the running server (default: that of --config, or localhost:2019)")
	flags.StringVarP(&c.config, "config", "c", "", "Configuration file that names the admin address")
	flags.StringVarP(&c.adapter, "adapter", "a", "", "Adapter for the configuration file")
	flags.StringVar(&c.realm, "realm", "", "Realm, where the configuration has several")
	flags.BoolVar(&c.asJSON, "json", false, "Print JSON")
}

// JSON reports whether --json was given.
func (c *AdminClient) JSON() bool { return c.asJSON }

// Call sends a request and reads the answer into out.
func (c *AdminClient) Call(_ context.Context, method, path string, values url.Values, out any) error {
	address, err := caddycmd.DetermineAdminAPIAddress(c.address, nil, c.config, c.adapter)
	if err != nil {
		return err
	}
	query := url.Values{}
	for name, list := range values {
		query[name] = list
	}
	if c.realm != "" {
		query.Set("realm", c.realm)
	}
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("{}")
	}
	response, err := caddycmd.AdminAPIRequest(address, method, adminRoot+path+"?"+query.Encode(), nil, body)
	if err != nil {
		return callError(address, err)
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	if err := json.NewDecoder(response.Body).Decode(out); err != nil {
		return fmt.Errorf("reading the answer of the server at %s: %w", address, err)
	}
	return nil
}

// callError says what to do about a server that does not answer, and takes the text out of an answered error.
func callError(address string, err error) error {
	_, answered, found := strings.Cut(err.Error(), "caddy responded with error: HTTP ")
	if !found {
		return fmt.Errorf("no server answers at the admin address %s: start it, or name the right one with --address (%w)", address, err)
	}
	status, body, _ := strings.Cut(answered, ": ")
	var text struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(body), &text) == nil && text.Error != "" {
		return errors.New(text.Error)
	}
	return fmt.Errorf("the server at %s answered HTTP %s: is this plugin built into it?", address, status)
}

// PrintJSON prints indented JSON.
func PrintJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// PrintTable prints rows below a head. Control characters, which could move a terminal's cursor, become spaces.
func PrintTable(w io.Writer, head []string, rows [][]string) error {
	var table bytes.Buffer
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		cells := make([]string, 0, len(row))
		for _, cell := range row {
			cells = append(cells, strings.Map(func(r rune) rune {
				if !unicode.IsPrint(r) {
					return ' '
				}
				return r
			}, cell))
		}
		if _, err := fmt.Fprintln(t, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// Stamp is a time as tables show it.
func Stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
