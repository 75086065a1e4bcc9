package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-cognito/passwordless/caddyauth"
	"github.com/caddy-cognito/passwordless/internal/localpool"
)

func init() {
	caddyauth.RegisterCommand(poolCommand)
	caddyauth.RegisterCommand(usersCommand)
	caddyauth.RegisterCommand(backupCommand)
	caddyauth.RegisterCommand(signingKeysCommand)
}

// poolCommand is `caddy passwordless pool`.
func poolCommand() *cobra.Command {
	var s standalone
	cmd := &cobra.Command{
		Use: "pool", Short: "Serves the embedded user pool alone, with Cognito's protocol", Args: cobra.NoArgs,
		Long: "For the tests of other software: an AWS SDK reaches the pool at the endpoint that is printed, as one line of JSON, once it is ready. " +
			"The app client has no secret. Stop it with an interrupt or SIGTERM.",
		Example: "caddy passwordless pool --data ./pool --origin http://localhost:3000 --redirect-uri http://localhost:3000/signin --inbox 127.0.0.1:8025",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return s.run(ctx, cmd.OutOrStdout(), slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})))
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.Listen, "listen", "127.0.0.1:9229", "Address of the protocol")
	f.StringVar(&s.Data, "data", "", "Data file, or folder for pool.db; made at first start")
	f.StringSliceVar(&s.RPIDs, "rp-id", []string{"localhost"}, "Relying parties of passkeys")
	f.StringSliceVar(&s.Origins, "origin", []string{"http://localhost:3000"}, "Origins that may use passkeys")
	f.StringSliceVar(&s.RedirectURIs, "redirect-uri", nil, "Where magic links may point; without one there are none")
	f.StringSliceVar(&s.Hosts, "host", nil, "Host names, beside the loopback ones, under which the pool is reached")
	f.StringVar(&s.SignUp, "sign-up", "open", "Who may sign up: open, invitation or closed")
	f.StringSliceVar(&s.NamedBy, "username-attributes", nil, "Attributes that people sign up and sign in with: email (the default), phone_number")
	f.StringSliceVar(&s.Custom, "custom-attributes", nil, "Names, without custom:, of further attributes that administrators may set")
	f.StringSliceVar(&s.WritableCustom, "writable-custom-attributes", nil, "The same for attributes that users may set themselves too")
	f.BoolVar(&s.ChosenNames, "chosen-usernames", false, "People choose a user name")
	f.StringSliceVar(&s.Aliases, "alias-attributes", nil, "Attributes that people also sign in with beside a chosen user name: email, phone_number, preferred_username")
	f.StringVar(&s.AdminKey, "admin-key", "", "Access key ID of administrators, who sign their operations; its secret is in "+adminSecretVariable)
	f.StringToStringVar(&s.Triggers, "trigger", nil, "Lambda functions in the place of the pool's own triggers, such as pre_sign_up=my-function")
	f.StringVar(&s.Lambda, "lambda-endpoint", "", "Where the Lambda API is that invokes them, such as http://127.0.0.1:3001; Amazon's without it")
	f.StringVar(&s.PreToken, "pre-token-version", "", "Version of pre_token_generation's event: V1_0 or V2_0")
	f.StringVar(&s.Inbox, "inbox", "", "Address of a page that shows mails and text messages, such as 127.0.0.1:8025")
	f.BoolVar(&s.Public, "public", false, "Allow addresses that other machines can reach")
	return cmd
}

// poolClient administers a pool in a running server or, with --data, in its file.
type poolClient struct {
	caddyauth.AdminClient
	data string
}

func (c *poolClient) addFlags(cmd *cobra.Command) {
	c.AddFlags(cmd)
	cmd.PersistentFlags().StringVar(&c.data, "data", "", "Open this data file, or folder with pool.db, instead of asking a server")
}

func (c *poolClient) call(ctx context.Context, method, path string, values url.Values, out any) error {
	if c.data == "" {
		return c.Call(ctx, method, "pool/"+path, values, out)
	}
	file, err := dataPath(c.data)
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	pool, err := localpool.OpenExisting(file)
	if err != nil {
		return err
	}
	first := make(map[string]string)
	for name, list := range values {
		first[name] = list[0]
	}
	answer, err := (admin{pool}).AdministerPool(ctx, caddyauth.AdminRequest{Method: method, Path: path, Values: first})
	if err == nil {
		err = convert(answer, out)
	}
	return errors.Join(err, pool.Close())
}

// convert takes the way over JSON that an answer of a server takes.
func convert(answer, out any) error {
	encoded, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(encoded, out)
}

// backupCommand is `caddy passwordless backup`.
func backupCommand() *cobra.Command {
	client, to := new(poolClient), ""
	cmd := &cobra.Command{
		Use: "backup --to <file>", Short: "Copies the embedded user pool's data file while it is in use", Args: cobra.NoArgs,
		Long: "The copy is of one moment, readable by its owner only, and holds the pool's signing keys: keep it as you keep the file itself. " +
			"A running server writes it, on its own machine. To restore it, stop the server and put the copy in the data file's place.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := filepath.Abs(to)
			if err != nil {
				return fmt.Errorf("--to: %w", err)
			}
			var done backedUp
			if err := client.call(cmd.Context(), http.MethodPost, "backup", url.Values{"to": {path}}, &done); err != nil {
				return err
			}
			if client.JSON() {
				return caddyauth.PrintJSON(cmd.OutOrStdout(), done)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "backup written: %s, %d bytes\n", done.File, done.Bytes)
			return err
		},
	}
	client.addFlags(cmd)
	cmd.Flags().StringVar(&to, "to", "", "File to write; it must not exist")
	if err := cmd.MarkFlagRequired("to"); err != nil {
		caddy.Log().Error(err.Error())
	}
	return cmd
}
