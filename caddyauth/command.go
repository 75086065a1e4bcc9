package caddyauth

import (
	"sync"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

var (
	commandsMu sync.Mutex
	commands   = []func() *cobra.Command{keysCommand, sessionsCommand}
)

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
				cmd.AddCommand(build())
			}
		},
	})
}
