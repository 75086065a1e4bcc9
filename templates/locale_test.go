package templates

import (
	"encoding/json"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// localeKeys reads a locale file: message id → text, plural forms joined.
func localeKeys(t *testing.T, lang string) map[string]string {
	t.Helper()
	raw, err := localeFiles.ReadFile("locales/active." + lang + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var messages map[string]any
	if err := json.Unmarshal(raw, &messages); err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for id, m := range messages {
		switch m := m.(type) {
		case string:
			texts[id] = m
		case map[string]any:
			for _, form := range slices.Sorted(maps.Keys(m)) {
				texts[id] += m[form].(string)
			}
		}
		if strings.TrimSpace(texts[id]) == "" {
			t.Errorf("%s: %s is empty", lang, id)
		}
	}
	return texts
}

var placeholder = regexp.MustCompile(`\{\{\.\w+\}\}|\{\w+\}`)

func placeholders(text string) []string {
	return slices.Compact(slices.Sorted(slices.Values(placeholder.FindAllString(text, -1))))
}

func TestLocalesAreComplete(t *testing.T) {
	english := localeKeys(t, "en")
	for _, lang := range Locales()[1:] {
		texts := localeKeys(t, lang)
		for id, text := range english {
			other, ok := texts[id]
			if !ok {
				t.Errorf("%s lacks %s", lang, id)
			} else if !slices.Equal(placeholders(text), placeholders(other)) {
				t.Errorf("%s: %s has the placeholders %v, not %v", lang, id, placeholders(other), placeholders(text))
			}
		}
		for id := range texts {
			if _, ok := english[id]; !ok {
				t.Errorf("%s has %s, which English lacks", lang, id)
			}
		}
	}
}

var (
	usedMessage = regexp.MustCompile(`(?:\bt|\btn|localize\(lang,|localizeCount\(lang,) "([a-z_.]+)"`)
	usedNotice  = regexp.MustCompile(`\bnotice "([a-z_]+)"`)
	usedFirst   = regexp.MustCompile(`\bfirst \(print [^)]*\) "([a-z_.]+)"`)
	dataName    = regexp.MustCompile(`data-([a-z_0-9]+)=`)
	scriptText  = regexp.MustCompile(`texts\.([a-z_0-9]+)|Failure\("([a-z_]+)"\)|\d{3}: "([a-z_]+)"`)
)

func TestMessagesInPagesExist(t *testing.T) {
	english := localeKeys(t, "en")
	used := map[string]bool{}
	for _, folder := range []fs.FS{pageFiles, mailFiles} {
		err := fs.WalkDir(folder, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			source, err := fs.ReadFile(folder, path)
			for _, m := range usedMessage.FindAllSubmatch(source, -1) {
				used[string(m[1])] = true
			}
			for _, m := range usedFirst.FindAllSubmatch(source, -1) {
				used[string(m[1])] = true
			}
			for _, m := range usedNotice.FindAllSubmatch(source, -1) {
				used["notice."+string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(used) < 80 {
		t.Fatalf("only %d messages were found in pages and mails", len(used))
	}
	for id := range used {
		if english[id] == "" {
			t.Errorf("%s is used and does not exist", id)
		}
	}
	// Those that code chooses by a code, an action, a duration or an event.
	chosen := regexp.MustCompile(`^(notice|title|action|wait|sms)\.|^mail\.(link|created|deleted|phone_changed|phone_removed)\.`)
	for id := range english {
		if !used[id] && !chosen.MatchString(id) {
			t.Errorf("%s is not used", id)
		}
	}
}

// Every text that a script shows comes with each page that loads the script.
func TestScriptsFindTheirTexts(t *testing.T) {
	pages := newPages(t, Options{})
	for page, scripts := range map[string][]string{
		"sign-in": {"sign-in.js", "page.js"}, "check-mail": {"check-mail.js"}, "link-other": {"link.js"}, "handoff": {"handoff.js"}, "pass-on": {"pass-on.js"}, "account": {"account.js", "page.js", "phone.js"},
		"step-up": {"step-up.js", "page.js"},
	} {
		there := map[string]bool{}
		for _, m := range dataName.FindAllStringSubmatch(render(t, pages, "en", samples()[page]), -1) {
			there[m[1]] = true
		}
		for _, script := range scripts {
			source, err := assetFiles.ReadFile("assets/" + script)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range scriptText.FindAllSubmatch(source, -1) {
				name := string(m[1]) + string(m[2]) + string(m[3])
				if page != "account" && (name == "passkey_exists" || name == "reauthentication_required") {
					continue // only registration fails so
				}
				if !there[name] {
					t.Errorf("%s on the page %s finds no %s", script, page, name)
				}
			}
		}
	}
}

func TestMatch(t *testing.T) {
	for header, want := range map[string]string{
		"": "en", "de-AT,de;q=0.9,en;q=0.5": "de", "fr-CA": "fr", "ja": "ja", "es-419,en": "es", "sw": "en", "sw,de;q=0.2": "de", "de_DE": "de",
		"en-GB,de": "en", "*": "en", ";;;": "en", "\x00": "en", strings.Repeat("de,", 1000): "en",
	} {
		if got := match(header); got != want {
			t.Errorf("%.40q is %s, not %s", header, got, want)
		}
	}
}

func FuzzMatch(f *testing.F) {
	for _, seed := range []string{"de-AT,de;q=0.9", "x-klingon", "i-default", "zh-Hant-TW;q=0", "-_-_-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if !slices.Contains(Locales(), match(header)) {
			t.Errorf("%q is matched with none of our languages", header)
		}
	})
}
