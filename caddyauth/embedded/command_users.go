package embedded

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-cognito/passwordless/caddyauth"
	"github.com/caddy-cognito/passwordless/internal/localpool"
)

// usersCommand is `caddy passwordless users`.
func usersCommand() *cobra.Command {
	client := new(poolClient)
	users := &cobra.Command{
		Use: "users", Short: "Administers the users of the embedded user pool",
		Long: "Users are named by e-mail address or user name. The running server is asked; with --data the file is opened, which works while no server has it open.",
	}
	client.addFlags(users)
	users.AddCommand(
		&cobra.Command{Use: "list", Short: "Lists the users", Args: cobra.NoArgs, RunE: client.list},
		&cobra.Command{
			Use: "add <e-mail address>", Short: "Makes a user, also where sign-up is closed", Args: caddyauth.Arguments(1, false),
			RunE: func(cmd *cobra.Command, args []string) error {
				return client.show(cmd, http.MethodPost, "users", url.Values{"email": args})
			},
		},
		client.one("show <user>", "Shows a user", http.MethodGet, ""),
		client.one("disable <user>", "Keeps a user from signing in and revokes all tokens", http.MethodPost, "/disable"),
		client.one("enable <user>", "Lets a user sign in again", http.MethodPost, "/enable"),
		client.one("delete <user>", "Deletes a user with passkeys and tokens", http.MethodDelete, ""),
		&cobra.Command{
			Use: "groups <user> [<group>...]", Short: "Shows or replaces the groups of a user; \"\" for none", Args: caddyauth.Arguments(1, true),
			RunE: func(cmd *cobra.Command, args []string) error {
				if len(args) == 1 {
					return client.show(cmd, http.MethodGet, "user", url.Values{"user": args})
				}
				return client.show(cmd, http.MethodPost, "user/groups", url.Values{"user": args[:1], "groups": {strings.Join(args[1:], ",")}})
			},
		},
	)
	return users
}

func (c *poolClient) one(use, short, method, action string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: caddyauth.Arguments(1, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return errors.New("say which user: the name is empty")
			}
			return c.show(cmd, method, "user"+action, url.Values{"user": args})
		},
	}
}

// list asks page by page.
func (c *poolClient) list(cmd *cobra.Command, _ []string) error {
	all, after := []localpool.Account{}, ""
	for {
		var page []localpool.Account
		if err := c.call(cmd.Context(), http.MethodGet, "users", url.Values{"after": {after}}, &page); err != nil {
			return err
		}
		all = append(all, page...)
		if len(page) < localpool.MaxAccounts {
			break
		}
		after = page[len(page)-1].Username
	}
	if c.JSON() {
		return caddyauth.PrintJSON(cmd.OutOrStdout(), all)
	}
	var rows [][]string
	for _, a := range all {
		rows = append(rows, []string{a.Attributes["email"], a.Username, state(a), strconv.Itoa(a.Passkeys), strings.Join(a.Groups, ","), caddyauth.Stamp(a.Created)})
	}
	return caddyauth.PrintTable(cmd.OutOrStdout(), []string{"E-MAIL", "USER", "STATE", "PASSKEYS", "GROUPS", "CREATED"}, rows)
}

func state(a localpool.Account) string {
	if !a.Enabled {
		return "disabled"
	}
	return strings.ToLower(a.Status)
}

// show asks for one account and prints it.
func (c *poolClient) show(cmd *cobra.Command, method, path string, values url.Values) error {
	var a localpool.Account
	if err := c.call(cmd.Context(), method, path, values, &a); err != nil {
		return err
	}
	if c.JSON() {
		return caddyauth.PrintJSON(cmd.OutOrStdout(), a)
	}
	now := state(a)
	if method == http.MethodDelete {
		now = "deleted"
	}
	rows := [][]string{
		{"state", now}, {"sub", a.Sub}, {"passkeys", strconv.Itoa(a.Passkeys)}, {"groups", strings.Join(a.Groups, ",")},
		{"created", caddyauth.Stamp(a.Created)}, {"modified", caddyauth.Stamp(a.Modified)},
	}
	for _, name := range slices.Sorted(maps.Keys(a.Attributes)) {
		rows = append(rows, []string{name, a.Attributes[name]})
	}
	return caddyauth.PrintTable(cmd.OutOrStdout(), []string{"user", a.Username}, rows)
}
