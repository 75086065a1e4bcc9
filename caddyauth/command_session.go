package caddyauth

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// keysCommand is `caddy passwordless keys`.
func keysCommand() *cobra.Command {
	client := new(AdminClient)
	keys := &cobra.Command{
		Use: "keys", Short: "Shows and rotates the keys that seal cookies and sessions",
		Long: "The keys live in Caddy's storage and never leave it: only what identifies them is shown. They rotate by themselves every 30 days.",
	}
	client.AddFlags(keys)
	run := func(method, path string) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, _ []string) error {
			var list []adminKey
			if err := client.Call(cmd.Context(), method, path, nil, &list); err != nil {
				return err
			}
			if client.asJSON {
				return PrintJSON(cmd.OutOrStdout(), list)
			}
			var rows [][]string
			for _, k := range list {
				rows = append(rows, []string{k.ID, k.State, Stamp(k.Created), Stamp(k.Active)})
			}
			return PrintTable(cmd.OutOrStdout(), []string{"KEY", "STATE", "CREATED", "SEALS FROM"}, rows)
		}
	}
	keys.AddCommand(
		&cobra.Command{Use: "list", Short: "Lists the keys", Args: cobra.NoArgs, RunE: run(http.MethodGet, "keys")},
		&cobra.Command{
			Use: "rotate", Short: "Makes a new key; nobody is signed out", Args: cobra.NoArgs, RunE: run(http.MethodPost, "keys/rotate"),
			Long: "The new key seals from 5 minutes on, when every server that shares the storage knows it. What older keys sealed stays good.",
		},
	)
	return keys
}

// sessionsCommand is `caddy passwordless sessions`.
func sessionsCommand() *cobra.Command {
	client := new(AdminClient)
	sessions := &cobra.Command{
		Use: "sessions", Short: "Shows and ends the sessions of a user",
		Long: "A user is named by the claim sub; with the embedded user pool, by user name or e-mail address too. A session that is ended here is dead on every server within 5 seconds.",
	}
	client.AddFlags(sessions)
	sessions.AddCommand(
		&cobra.Command{
			Use: "list <user>", Short: "Lists a user's sessions", Args: Arguments(1, false),
			RunE: func(cmd *cobra.Command, args []string) error {
				var list []adminSession
				if err := client.Call(cmd.Context(), http.MethodGet, "sessions", url.Values{"user": args}, &list); err != nil {
					return err
				}
				if client.asJSON {
					return PrintJSON(cmd.OutOrStdout(), list)
				}
				var rows [][]string
				for _, s := range list {
					factors := strings.Join(slices.Sorted(maps.Keys(s.Factors)), ",")
					rows = append(rows, []string{s.ID, Stamp(s.Started), Stamp(s.Seen), factors, s.Address, s.UserAgent})
				}
				return PrintTable(cmd.OutOrStdout(), []string{"SESSION", "STARTED", "SEEN", "FACTORS", "ADDRESS", "BROWSER"}, rows)
			},
		},
		endCommand(client, "end <user> <session>", "Ends one session", 2),
		endCommand(client, "end-all <user>", "Ends all sessions of a user", 1),
	)
	return sessions
}

func endCommand(client *AdminClient, use, short string, args int) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: Arguments(args, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			values := url.Values{"user": args[:1]}
			if len(args) == 2 {
				values["id"] = args[1:]
			}
			var ended adminEnded
			if err := client.Call(cmd.Context(), http.MethodDelete, "sessions", values, &ended); err != nil {
				return err
			}
			if client.asJSON {
				return PrintJSON(cmd.OutOrStdout(), ended)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "sessions ended: %d\n", ended.Ended)
			return err
		},
	}
}
