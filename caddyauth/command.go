package caddyauth

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

var (
	commandsMu sync.Mutex
	commands   = []func() *cobra.Command{keysCommand, sessionsCommand}
)

// embeddedCommands are those of the embedded user pool, so that a build without it can say where they are.
var embeddedCommands = []string{"users", "signing-keys", "backup", "pool"}

// RegisterCommand adds a command below `caddy passwordless`. It is for the init functions of plugins of this plugin: Caddy's own
// registration knows one level only, and takes a name once.
func RegisterCommand(build func() *cobra.Command) {
	commandsMu.Lock()
	defer commandsMu.Unlock()
	commands = append(commands, build)
}

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  appName,
		Usage: "<command>",
		Short: "Administers passwordless sign-in",
		Long:  "Shows and changes what a running server keeps about sign-in: keys, sessions and, with the embedded user pool, users.",
		CobraFunc: func(cmd *cobra.Command) {
			commandsMu.Lock()
			defer commandsMu.Unlock()
			for _, build := range commands {
				command := build()
				if command.HasSubCommands() {
					refuseOthers(command)
				}
				cmd.AddCommand(command)
			}
			refuseOthers(cmd)
			// The flags of a command that is not there are no reason to say something else than that.
			cmd.FParseErrWhitelist.UnknownFlags = true
		},
	})
}

// refuseOthers makes a name that is no command below cmd an error. Cobra itself would print the help and report success, so that a script
// with a misspelt `sessions end-all` went on as if it had ended them. Without a name there is the help.
func refuseOthers(cmd *cobra.Command) {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		cmd.SilenceUsage = true
		if cmd.Name() == appName && slices.Contains(embeddedCommands, args[0]) {
			return fmt.Errorf("%q belongs to the embedded user pool, which is not in this build: add it with "+
				"`xcaddy build --with github.com/caddy-cognito/passwordless/caddyauth/embedded`; a Cognito user pool is administered with AWS's own tools", args[0])
		}
		var names []string
		for _, below := range cmd.Commands() {
			if below.IsAvailableCommand() {
				names = append(names, below.Name())
			}
		}
		return fmt.Errorf("there is no command %q below %q; there are %s", args[0], cmd.CommandPath(), strings.Join(names, ", "))
	}
}

// Arguments is what a command takes: so many arguments, or with more at least so many. Its error says how the command is written.
func Arguments(count int, more bool) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == count || more && len(args) > count {
			return nil
		}
		return fmt.Errorf("%d arguments do not fit: write `%s %s`", len(args), cmd.Parent().CommandPath(), cmd.Use)
	}
}
