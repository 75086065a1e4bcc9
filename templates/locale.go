package templates

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed locales/*.json
var localeFiles embed.FS

// maxAcceptLanguage bounds, in bytes, the header that is parsed; a longer one counts as absent.
const maxAcceptLanguage = 512

// Locales lists the languages, English, the default, first.
func Locales() []string {
	return []string{"en", "de", "es", "fr", "ja"}
}

type localeSet struct {
	matcher    language.Matcher
	localizers map[string]*i18n.Localizer
}

var (
	localesOnce sync.Once
	locales     localeSet
)

// loaded parses the locale files at first use, so that a program that only imports this package pays nothing. The files are
// compiled in; a broken one is a programming mistake that every test meets.
func loaded() *localeSet {
	localesOnce.Do(func() {
		bundle := i18n.NewBundle(language.English)
		bundle.RegisterUnmarshalFunc("json", json.Unmarshal)
		tags := make([]language.Tag, 0, len(Locales()))
		locales.localizers = map[string]*i18n.Localizer{}
		for _, lang := range Locales() {
			if _, err := bundle.LoadMessageFileFS(localeFiles, "locales/active."+lang+".json"); err != nil {
				panic(fmt.Sprintf("templates: locale %s: %v", lang, err))
			}
			tags = append(tags, language.MustParse(lang))
			locales.localizers[lang] = i18n.NewLocalizer(bundle, lang)
		}
		locales.matcher = language.NewMatcher(tags)
	})
	return &locales
}

// match finds the best of our languages for an Accept-Language header, or for a locale such as "de_AT".
func match(acceptLanguage string) string {
	if acceptLanguage == "" || len(acceptLanguage) > maxAcceptLanguage {
		return Locales()[0]
	}
	tags, _, err := language.ParseAcceptLanguage(strings.ReplaceAll(acceptLanguage, "_", "-"))
	if err != nil || len(tags) == 0 {
		return Locales()[0]
	}
	_, index, confidence := loaded().matcher.Match(tags...)
	if confidence == language.No {
		return Locales()[0]
	}
	return Locales()[index]
}

// localize fills a message with pairs of names and values.
func localize(lang, id string, pairs ...any) (string, error) {
	data, err := pairsOf(pairs)
	if err != nil {
		return "", fmt.Errorf("message %s: %w", id, err)
	}
	text, err := loaded().localizers[lang].Localize(&i18n.LocalizeConfig{MessageID: id, TemplateData: data})
	if err != nil {
		return "", fmt.Errorf("message %s in %s: %w", id, lang, err)
	}
	return text, nil
}

// localizeCount chooses the plural form for a count, which the message may show as {{.Count}}.
func localizeCount(lang, id string, count int) (string, error) {
	text, err := loaded().localizers[lang].Localize(&i18n.LocalizeConfig{
		MessageID: id, PluralCount: count, TemplateData: map[string]any{"Count": count},
	})
	if err != nil {
		return "", fmt.Errorf("message %s in %s: %w", id, lang, err)
	}
	return text, nil
}

func pairsOf(pairs []any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("a name without a value")
	}
	data := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("%v is no name", pairs[i])
		}
		data[name] = pairs[i+1]
	}
	return data, nil
}

// firstOf is the text of the first id that exists.
func firstOf(lang string, ids ...string) string {
	for _, id := range ids {
		if text, err := localize(lang, id); err == nil {
			return text
		}
	}
	return ""
}

// notice is the text of a code, of a message id, or of an unexpected error.
func notice(lang, id string) string {
	return firstOf(lang, "notice."+id, id, "notice.internal")
}
