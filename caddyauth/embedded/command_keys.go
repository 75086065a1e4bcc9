package embedded

import (
	"net/http"

	"github.com/spf13/cobra"

	"github.com/caddy-cognito/passwordless/caddyauth"
	"github.com/caddy-cognito/passwordless/internal/localpool"
)

// signingKeysCommand is `caddy passwordless signing-keys`.
func signingKeysCommand() *cobra.Command {
	client := new(poolClient)
	keys := &cobra.Command{
		Use: "signing-keys", Short: "Shows and rotates the keys with which the embedded user pool signs tokens",
		Long: "Only what identifies the keys is shown. They rotate by themselves, every 90 days unless `signing_key_rotation` says otherwise.",
	}
	client.addFlags(keys)
	run := func(method, path string) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, _ []string) error {
			var list []localpool.SigningKey
			if err := client.call(cmd.Context(), method, path, nil, &list); err != nil {
				return err
			}
			if client.JSON() {
				return caddyauth.PrintJSON(cmd.OutOrStdout(), list)
			}
			var rows [][]string
			for _, k := range list {
				ends := ""
				if !k.Ends.IsZero() {
					ends = caddyauth.Stamp(k.Ends)
				}
				rows = append(rows, []string{k.ID, k.State, caddyauth.Stamp(k.Created), caddyauth.Stamp(k.From), ends})
			}
			return caddyauth.PrintTable(cmd.OutOrStdout(), []string{"KEY", "STATE", "CREATED", "SIGNS FROM", "ENDS"}, rows)
		}
	}
	keys.AddCommand(
		&cobra.Command{Use: "list", Short: "Lists the keys", Args: cobra.NoArgs, RunE: run(http.MethodGet, "signing_keys")},
		&cobra.Command{
			Use: "rotate", Short: "Makes a new key; nobody is signed out", Args: cobra.NoArgs, RunE: run(http.MethodPost, "signing_keys/rotate"),
			Long: "The new key is published at once and signs from 10 minutes on. Tokens of older keys stay valid until they end.",
		},
	)
	return keys
}
