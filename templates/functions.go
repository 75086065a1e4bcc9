package templates

import (
	"fmt"
	"html/template"
	"strings"
	"time"
)

// functions are what a page may call, for one language:
//
//	t "id" "Name" value …   a message, filled
//	tn "id" count           a message in the plural form for count
//	notice "code"           the text of a code
//	first "id" "id" …       the first message that exists
//	lang, brand, logo, base, asset "style.css", brandcss
//	utc, rfc3339            a time as text
//	device                  a User-Agent, shortened
//	linkable                the applications' origins that can be opened
//	host                    an origin without its scheme
//	wait                    seconds in words
//	or2 value fallback      the value unless it is empty
//	method                  what a request of that method does, in a word
//	blank                   an empty row for scripts to fill
func (p *Pages) functions(lang string) template.FuncMap {
	return template.FuncMap{
		"t":        func(id string, pairs ...any) (string, error) { return localize(lang, id, pairs...) },
		"tn":       func(id string, count int) (string, error) { return localizeCount(lang, id, count) },
		"notice":   func(code string) string { return notice(lang, code) },
		"first":    func(ids ...string) string { return firstOf(lang, ids...) },
		"lang":     func() string { return lang },
		"brand":    func() string { return p.options.Branding.Name },
		"logo":     func() string { return p.options.Branding.LogoURL },
		"base":     func() string { return p.options.Base },
		"asset":    p.asset,
		"brandcss": p.brandPath,
		"utc":      func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
		"rfc3339":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"device":   deviceName,
		"linkable": linkable,
		"host":     func(origin string) string { return origin[strings.LastIndex(origin, "/")+1:] },
		"wait":     func(seconds int) (string, error) { return wait(lang, seconds) },
		"method":   func(method string) string { return methodWord(lang, method) },
		"blank":    func() PasskeyRow { return PasskeyRow{} },
		"or2": func(value, fallback string) string {
			if value != "" {
				return value
			}
			return fallback
		},
	}
}

// methodWord is the word for an action; a method that has none stands for itself.
func methodWord(lang, method string) string {
	name := strings.ToLower(method)
	switch name {
	case "head":
		name = "get"
	case "get", "post", "put", "patch", "delete":
	default:
		return method
	}
	return firstOf(lang, "action."+name)
}

func (p *Pages) asset(file string) (string, error) {
	name := AssetPath(file)
	if name == "" {
		return "", fmt.Errorf("there is no asset %s", file)
	}
	return p.options.Base + "assets/" + name, nil
}

func (p *Pages) brandPath() string {
	if p.brand == nil {
		return ""
	}
	return p.options.Base + "assets/" + p.brand.name
}

// linkable leaves out patterns such as "https://*.example.com".
func linkable(origins []string) []string {
	var out []string
	for _, o := range origins {
		if !strings.Contains(o, "*") {
			out = append(out, o)
		}
	}
	return out
}

// wait says a number of seconds in seconds, or from two minutes on in minutes, rounded up.
func wait(lang string, seconds int) (string, error) {
	if seconds < 120 {
		return localizeCount(lang, "wait.seconds", seconds)
	}
	return localizeCount(lang, "wait.minutes", (seconds+59)/60)
}

// The order matters: Edge and Opera call themselves Chrome too, and Chrome calls itself Safari.
var (
	browsers = [][2]string{{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}}
	systems = [][2]string{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"}, {"Windows", "Windows"},
		{"Mac OS X", "macOS"}, {"Linux", "Linux"}}
)

// deviceName makes "Firefox · Windows" of a User-Agent header and leaves anything else as it is, shortened.
func deviceName(userAgent string) string {
	var parts []string
	for _, names := range [][][2]string{browsers, systems} {
		for _, n := range names {
			if strings.HasPrefix(userAgent, "Mozilla/") && strings.Contains(userAgent, n[0]) {
				parts = append(parts, n[1])
				break
			}
		}
	}
	if len(parts) > 0 {
		return strings.Join(parts, " · ")
	}
	if runes := []rune(userAgent); len(runes) > 80 {
		return string(runes[:79]) + "…"
	}
	return userAgent
}
