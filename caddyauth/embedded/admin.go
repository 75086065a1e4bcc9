package embedded

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddy-cognito/passwordless/caddyauth"
	"github.com/caddy-cognito/passwordless/internal/localpool"
)

// admin is what an operator may do with a pool. It shows accounts and what identifies keys, and never keys, tokens or secrets.
type admin struct{ pool *localpool.Pool }

// backedUp says where a backup is.
type backedUp struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
}

// AdministerPool implements [caddyauth.PoolAdmin]:
//
//	GET    users?after=<user name>
//	POST   users?email=<address>
//	GET    user?user=<user>
//	DELETE user?user=<user>
//	POST   user/enable?user=<user>, user/disable?user=<user>
//	POST   user/groups?user=<user>&groups=<comma-separated>
//	GET    signing_keys
//	POST   signing_keys/rotate
//	POST   backup?to=<absolute path>
func (a admin) AdministerPool(ctx context.Context, r caddyauth.AdminRequest) (any, error) {
	answer, err := a.administer(ctx, r)
	switch {
	case errors.Is(err, localpool.ErrNoAccount):
		return nil, &caddyauth.AdminError{Status: http.StatusNotFound, Text: err.Error()}
	case errors.Is(err, localpool.ErrAccountExists):
		return nil, &caddyauth.AdminError{Status: http.StatusConflict, Text: err.Error()}
	case errors.Is(err, localpool.ErrAccountInput), errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		return nil, &caddyauth.AdminError{Status: http.StatusBadRequest, Text: err.Error()}
	}
	return answer, err
}

func (a admin) administer(ctx context.Context, r caddyauth.AdminRequest) (any, error) {
	name := r.Values["user"]
	switch r.Method + " " + r.Path {
	case "GET users":
		list, err := a.pool.Accounts(r.Values["after"])
		if list == nil {
			list = []localpool.Account{}
		}
		return list, err
	case "POST users":
		return a.pool.AddAccount(ctx, r.Values["email"])
	case "GET user":
		return a.pool.Account(name)
	case "DELETE user":
		gone, err := a.pool.Account(name)
		if err != nil {
			return nil, err
		}
		return gone, a.pool.RemoveAccount(ctx, gone.Username)
	case "POST user/enable", "POST user/disable":
		return a.pool.SetAccountEnabled(ctx, name, r.Path == "user/enable")
	case "POST user/groups":
		var groups []string
		if list := r.Values["groups"]; list != "" {
			groups = strings.Split(list, ",")
		}
		return a.pool.SetAccountGroups(ctx, name, groups)
	case "GET signing_keys":
		return a.pool.SigningKeys()
	case "POST signing_keys/rotate":
		if err := a.pool.RotateKeys(ctx); err != nil {
			return nil, err
		}
		return a.pool.SigningKeys()
	case "POST backup":
		to := filepath.Clean(r.Values["to"])
		size, err := a.pool.Backup(to)
		return backedUp{to, size}, err
	}
	return nil, &caddyauth.AdminError{Status: http.StatusNotFound, Text: "there is no " + r.Method + " pool/" + r.Path}
}

// Subject implements [caddyauth.PoolAdmin].
func (a admin) Subject(_ context.Context, user string) (string, error) {
	account, err := a.pool.Account(user)
	if errors.Is(err, localpool.ErrNoAccount) {
		return "", &caddyauth.AdminError{Status: http.StatusNotFound, Text: err.Error()}
	}
	return account.Sub, err
}

// Interface guards
var _ caddyauth.PoolAdmin = admin{}
