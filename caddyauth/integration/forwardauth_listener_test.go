package integration

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// Attack: the proxy asks with a host or path that no route matches, Caddy answers an empty 200, and the proxy takes it for consent. Such a
// listener is refused, however it comes about.
func TestAttackForwardAuthListenerThatAnswersByItself(t *testing.T) {
	const ask = "passwordless_forward_auth nginx {\n trusted_proxies 127.0.0.1\n}\n"
	const askPart = "passwordless_forward_auth /fresh nginx {\n trusted_proxies 127.0.0.1\n}\n"
	for name, c := range map[string]struct {
		sites string
		want  string // "" is accepted
	}{
		"a port":                           {"http://:9091 {\n" + ask + "}\n", ""},
		"a port with a denial":             {"http://:9091 {\n" + ask + "respond 403\n}\n", ""},
		"a path and a denial":              {"http://:9091 {\n" + askPart + "respond 403\n}\n", ""},
		"a path and the rest":              {"http://:9091 {\n" + askPart + ask + "}\n", ""},
		"a path and an error":              {"http://:9091 {\n" + askPart + "error 403\n}\n", ""},
		"a path and a closed connection":   {"http://:9091 {\n" + askPart + "abort\n}\n", ""},
		"handle with a last resort":        {"http://:9091 {\nhandle /fresh {\n" + ask + "}\nhandle {\nrespond 403\n}\n}\n", ""},
		"a host and a denial for others":   {"http://ask.internal:9091 {\n" + ask + "}\nhttp://:9091 {\nrespond 403\n}\n", ""},
		"snippets":                         {"(closed) {\nrespond 403\n}\nhttp://:9091 {\n" + askPart + "import closed\n}\n", ""},
		"a named route":                    {"&(ask) {\n" + ask + "}\nhttp://:9091 {\ninvoke ask\n}\n", ""},
		"status in the error":              {"http://:9091 {\n" + ask + "handle_errors {\nrespond \"no\"\n}\n}\n", ""},
		"a host":                           {"http://ask.internal:9091 {\n" + ask + "}\n", "no route"},
		"a host and a denial within":       {"http://ask.internal:9091 {\n" + ask + "respond 403\n}\n", "no route"},
		"a wildcard host":                  {"http://*.internal:9091 {\n" + ask + "}\n", "no route"},
		"two hosts":                        {"http://a.internal:9091, http://b.internal:9091 {\n" + ask + "}\n", "no route"},
		"a site with a path":               {"http://:9091/fresh {\n" + ask + "}\n", "no route"},
		"a path":                           {"http://:9091 {\n" + askPart + "}\n", "no route"},
		"a named matcher":                  {"http://:9091 {\n@a method GET\npasswordless_forward_auth @a nginx {\n trusted_proxies 127.0.0.1\n}\n}\n", "no route"},
		"handle":                           {"http://:9091 {\nhandle /fresh {\n" + ask + "}\n}\n", "no route"},
		"handle_path":                      {"http://:9091 {\nhandle_path /fresh/* {\n" + ask + "}\n}\n", "no route"},
		"route":                            {"http://:9091 {\nroute /fresh {\n" + ask + "}\n}\n", "no route"},
		"handle with a named matcher":      {"http://:9091 {\n@a host a.internal\nhandle @a {\n" + ask + "}\n}\n", "each site"},
		"a named route with a path":        {"&(ask) {\n" + ask + "}\nhttp://:9091 {\ninvoke /fresh ask\n}\n", "no route"},
		"a named route that lets through":  {"&(ask) {\n" + askPart + "}\nhttp://:9091 {\ninvoke ask\n}\n", "no route"},
		"a redirect of some":               {"http://:9091 {\n" + askPart + "redir /x /fresh\n}\n", "no route"},
		"a host that falls through":        {"http://ask.internal:9091 {\n" + askPart + "}\nhttp://:9091 {\nrespond 403\n}\n", "each site"},
		"another site that falls through":  {"http://:9091 {\n" + ask + "}\nhttp://other.internal:9091 {\nheader X-A b\n}\n", "each site"},
		"the portal beside it":             {"http://:9091 {\n" + ask + "}\nhttps://auth.example.com:9443, http://auth.example.com:9091 {\npasswordless_portal\n}\n", "each site"},
		"a last resort that agrees":        {"http://:9091 {\n" + askPart + "respond 200\n}\n", "other than a denial"},
		"a last resort with a text":        {"http://:9091 {\n" + askPart + "respond \"not here\"\n}\n", "other than a denial"},
		"a last resort with a placeholder": {"http://:9091 {\n" + askPart + "respond \"\" {vars.status}\n}\n", "other than a denial"},
		"an application as last resort":    {"http://:9091 {\n" + askPart + "reverse_proxy localhost:9000\n}\n", "other than a denial"},
		"files as last resort":             {"http://:9091 {\n" + askPart + "root * /srv\nfile_server\n}\n", "other than a denial"},
		"early hints as last resort":       {"http://:9091 {\n" + askPart + "respond 103\n}\n", "no route"},
	} {
		t.Run(name, func(t *testing.T) {
			err := validate(t, production+c.sites)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && err == nil:
				t.Error("accepted")
			case c.want != "" && (!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "respond 403") || !strings.Contains(err.Error(), ":9091")):
				t.Errorf("%v", err)
			}
		})
	}
}

// The same in JSON, which no Caddyfile made.
func TestAttackForwardAuthListenerInJSON(t *testing.T) {
	raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(production), nil)
	if err != nil {
		t.Fatal(err)
	}
	const ask = `{"handler":"passwordless_forward_auth","proxy":"traefik","trusted_proxies":["127.0.0.1"]}`
	for routes, accepted := range map[string]bool{
		`[{"handle":[` + ask + `]}]`: true,
		`[{"match":[{"path":["/a"]}],"handle":[` + ask + `]},{"handle":[{"handler":"static_response","status_code":403}]}]`:                                                 true,
		`[{"match":[{"path":["/a"]}],"handle":[` + ask + `]}]`:                                                                                                              false,
		`[{"match":[{"path":["/a"]}],"terminal":true,"handle":[{"handler":"vars"}]},{"handle":[` + ask + `]}]`:                                                              false,
		`[{"group":"g","match":[{"path":["/a"]}],"handle":[{"handler":"vars"}]},{"group":"g","handle":[` + ask + `]}]`:                                                      false,
		`[{"group":"g","match":[{"path":["/a"]}],"handle":[{"handler":"static_response","status_code":"403"}]},{"group":"g","handle":[` + ask + `]}]`:                       true,
		`[{"handle":[{"handler":"vars"},{"handler":"subroute","routes":[{"match":[{"method":["GET"]}],"handle":[` + ask + `]}]}]}]`:                                         false,
		`[{"handle":[{"handler":"subroute","routes":[{"match":[{"method":["GET"]}],"handle":[` + ask + `]}]},{"handler":"static_response","abort":true}]}]`:                 true,
		`[{"terminal":true,"handle":[{"handler":"subroute","routes":[{"match":[{"method":["GET"]}],"terminal":true,"handle":[` + ask + `]}]}]}]`:                            false,
		`[{"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"subroute","routes":[{"match":[{"host":["a"]}],"handle":[` + ask + `]}]}]}]}]}]`:                 false,
		`[{"handle":[{"handler":"subroute","routes":[{"match":[{"host":["a"]}],"handle":[` + ask + `]}]}]},{"handle":[{"handler":"error","status_code":403}],"group":"x"}]`: true,
	} {
		var config map[string]any
		if err := json.Unmarshal(raw, &config); err != nil {
			t.Fatal(err)
		}
		var list any
		if err := json.Unmarshal([]byte(routes), &list); err != nil {
			t.Fatal(err)
		}
		servers := config["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any)
		servers["ask"] = map[string]any{"listen": []string{":9091"}, "routes": list}
		encoded, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		var whole caddy.Config
		if err := json.Unmarshal(encoded, &whole); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(&whole); (err == nil) != accepted || err != nil && !strings.Contains(err.Error(), "respond 403") {
			t.Errorf("%s: %v", routes, err)
		}
	}
}
