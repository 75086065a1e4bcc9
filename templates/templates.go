// Package templates renders what people see: the pages of the portal and of the guard, their scripts and stylesheet, and mails,
// in every language of the folder locales.
//
// Pages are html/template files without inline script, style or handlers, so that they work under a Content-Security-Policy of
// script-src 'self' and style-src 'self'. Scripts hold no texts of their own: the pages bring them along, translated.
// Nothing here loads anything from another host.
package templates

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

//go:embed pages/*.html
var pageFiles embed.FS

// Branding is the operator's look.
type Branding struct {
	Name    string // of the product or organisation
	LogoURL string // path on the portal's own origin; "": the name is shown instead
	Accent  string // "#rrggbb"; "": a blue
	CSS     string // appended to the stylesheet
}

// Options configures a set of pages. The zero value renders the built-in pages below "/auth/".
type Options struct {
	Branding Branding
	// Base is the path below which the portal is served, with a slash at both ends. Default: "/auth/".
	Base string
	// Directory holds pages of the operator that replace ours by file name (layout.html, sign-in.html, …). nil: ours.
	Directory fs.FS
}

// Pages renders pages. It is safe for use by several goroutines.
type Pages struct {
	options Options
	brand   *asset
	byLang  map[string]map[string]*template.Template // locale → page → template
}

// ErrOptions is wrapped by every error of [New].
var ErrOptions = errors.New("templates")

var accentPattern = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// New parses all pages in all languages and renders each, empty and filled, so that a mistake in an operator's file is found here and not when
// somebody signs in. Errors wrap [ErrOptions].
func New(o Options) (*Pages, error) {
	if o.Base == "" {
		o.Base = "/auth/"
	}
	if !strings.HasPrefix(o.Base, "/") || !strings.HasSuffix(o.Base, "/") || strings.HasPrefix(o.Base, "//") {
		return nil, fmt.Errorf("%w: base path %q: write it with a slash at both ends, such as /auth/", ErrOptions, o.Base)
	}
	if a := o.Branding.Accent; a != "" && !accentPattern.MatchString(a) {
		return nil, fmt.Errorf("%w: accent colour %q: write it as #rrggbb", ErrOptions, a)
	}
	if l := o.Branding.LogoURL; l != "" && (!strings.HasPrefix(l, "/") || strings.HasPrefix(l, "//") || strings.ContainsAny(l, "\\\t\r\n")) {
		return nil, fmt.Errorf("%w: logo %q: give a path on the portal's own origin, such as /logo.svg", ErrOptions, l)
	}
	if err := o.checkDirectory(); err != nil {
		return nil, err
	}
	p := &Pages{options: o, brand: brandAsset(o.Branding), byLang: map[string]map[string]*template.Template{}}
	for _, lang := range Locales() {
		pages, err := p.parse(lang)
		if err != nil {
			return nil, err
		}
		p.byLang[lang] = pages
	}
	for _, page := range allPages {
		for _, data := range []Page{page, filled(page)} {
			if err := p.Render(io.Discard, "en", data); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrOptions, err)
			}
		}
	}
	return p, nil
}

// checkDirectory refuses a folder that is not there, and pages in it that replace none of ours: for a name that is misspelt, ours would be shown
// without a word.
func (o Options) checkDirectory() error {
	if o.Directory == nil {
		return nil
	}
	files, err := fs.ReadDir(o.Directory, ".")
	if err != nil {
		return fmt.Errorf("%w: the folder with your pages cannot be read: %w", ErrOptions, err)
	}
	ours, err := fs.ReadDir(pageFiles, "pages")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	var names []string
	for _, file := range ours {
		names = append(names, file.Name())
	}
	for _, file := range files {
		if strings.HasSuffix(file.Name(), ".html") && !slices.Contains(names, file.Name()) {
			return fmt.Errorf("%w: %s replaces no page: name it one of %s, or take it out of the folder", ErrOptions, file.Name(), strings.Join(names, ", "))
		}
	}
	return nil
}

// parse reads layout and pages for one language.
func (p *Pages) parse(lang string) (map[string]*template.Template, error) {
	source, err := p.source("layout.html")
	if err != nil {
		return nil, err
	}
	layout, err := template.New("layout.html").Funcs(p.functions(lang)).Parse(source)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	pages := map[string]*template.Template{}
	for _, page := range allPages {
		name := page.page()
		if source, err = p.source(name + ".html"); err != nil {
			return nil, err
		}
		t, err := layout.Clone()
		if err != nil {
			return nil, fmt.Errorf("%w: copying the layout: %w", ErrOptions, err)
		}
		if pages[name], err = t.New(name + ".html").Parse(source); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOptions, err)
		}
	}
	return pages, nil
}

// source is the operator's file or else ours.
func (p *Pages) source(name string) (string, error) {
	if p.options.Directory != nil {
		text, err := fs.ReadFile(p.options.Directory, name)
		if err == nil {
			return string(text), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%w: reading %s: %w", ErrOptions, name, err)
		}
	}
	text, err := pageFiles.ReadFile("pages/" + name)
	if err != nil {
		return "", fmt.Errorf("%w: reading %s: %w", ErrOptions, name, err)
	}
	return string(text), nil
}

// Render writes a page in the best language for the Accept-Language header. After an error nothing was written.
func (p *Pages) Render(w io.Writer, acceptLanguage string, page Page) error {
	var body bytes.Buffer
	if err := p.byLang[match(acceptLanguage)][page.page()].ExecuteTemplate(&body, "layout.html", page); err != nil {
		return fmt.Errorf("rendering the page %s: %w", page.page(), err)
	}
	_, err := body.WriteTo(w)
	return err
}

// Text is the text of a message, or of an error or notice code ("link_expired"), in the best language for the Accept-Language
// header. An unknown id gives the text of an unexpected error.
func (p *Pages) Text(acceptLanguage, messageID string) string {
	return notice(match(acceptLanguage), messageID)
}

// TextUntil is Text, with when to try again where that is known, in seconds.
func (p *Pages) TextUntil(acceptLanguage, messageID string, retryAfter int) string {
	text := p.Text(acceptLanguage, messageID)
	if retryAfter <= 0 {
		return text
	}
	lang := match(acceptLanguage)
	in, err := wait(lang, retryAfter)
	if err != nil {
		return text
	}
	when, err := localize(lang, "error.retry_after", "Wait", in)
	if err != nil {
		return text
	}
	return text + " " + when
}

// Assets serves the scripts and stylesheets, those of this branding too, as [Assets] does.
func (p *Pages) Assets() http.Handler {
	return assetHandler{brand: p.brand}
}
