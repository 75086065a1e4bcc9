package templates

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

//go:embed assets/*.css assets/*.js
var assetFiles embed.FS

// asset is one file under the name that its content gives it.
type asset struct {
	name        string // "style.0123456789abcdef.css"
	contentType string
	body        []byte
	gzip        []byte
}

type assetSet struct {
	byFile map[string]*asset // "style.css"
	byName map[string]*asset // "style.0123456789abcdef.css"
}

var (
	assetsOnce  sync.Once
	staticFiles assetSet
)

// importPattern finds the modules that a script imports.
var importPattern = regexp.MustCompile(`(from |import )"\./([a-z0-9-]+\.js)"`)

// builtAssets names the files at first use. Names of imported modules are written into the importing ones, so a change in one
// renames all that depend on it.
func builtAssets() *assetSet {
	assetsOnce.Do(func() {
		staticFiles = assetSet{byFile: map[string]*asset{}, byName: map[string]*asset{}}
		entries, err := fs.ReadDir(assetFiles, "assets")
		if err != nil {
			panic(fmt.Sprintf("templates: %v", err))
		}
		for _, e := range entries {
			staticFiles.build(e.Name())
		}
	})
	return &staticFiles
}

func (s *assetSet) build(file string) *asset {
	if a, ok := s.byFile[file]; ok {
		if a == nil {
			panic("templates: modules import each other in a circle: " + file)
		}
		return a
	}
	s.byFile[file] = nil
	body, err := assetFiles.ReadFile("assets/" + file)
	if err != nil {
		panic(fmt.Sprintf("templates: %v", err))
	}
	if path.Ext(file) == ".js" {
		body = importPattern.ReplaceAllFunc(body, func(found []byte) []byte {
			parts := importPattern.FindSubmatch(found)
			return fmt.Appendf(nil, `%s"./%s"`, parts[1], s.build(string(parts[2])).name)
		})
	}
	a := newAsset(file, body)
	s.byFile[file], s.byName[a.name] = a, a
	return a
}

func newAsset(file string, body []byte) *asset {
	sum := sha256.Sum256(body)
	ext := path.Ext(file)
	a := &asset{name: strings.TrimSuffix(file, ext) + "." + hex.EncodeToString(sum[:8]) + ext, body: body}
	a.contentType = "text/javascript; charset=utf-8"
	if ext == ".css" {
		a.contentType = "text/css; charset=utf-8"
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err == nil {
		if _, err = w.Write(body); err == nil {
			err = w.Close()
		}
	}
	if err == nil && packed.Len() < len(body) {
		a.gzip = packed.Bytes()
	}
	return a
}

// AssetPath is the name under which [Assets] serves a file: "sign-in.js" becomes "sign-in.<hash>.js". "" for an unknown file.
func AssetPath(file string) string {
	if a := builtAssets().byFile[file]; a != nil {
		return a.name
	}
	return ""
}

// Assets serves the built-in scripts and the stylesheet below "/" by the names of [AssetPath]. A name never changes its content, so
// browsers may keep it for ever. [Pages.Assets] also serves the branding's stylesheet.
func Assets() http.Handler {
	return assetHandler{}
}

type assetHandler struct{ brand *asset }

// ServeHTTP answers GET and HEAD.
func (h assetHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	a := builtAssets().byName[name]
	if a == nil && h.brand != nil && h.brand.name == name {
		a = h.brand
	}
	if a == nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	head := w.Header()
	tag, body := a.name, a.body
	if a.gzip != nil && acceptsGzip(r.Header.Values("Accept-Encoding")) {
		tag, body = tag+".gz", a.gzip
		head.Set("Content-Encoding", "gzip")
	}
	tag = strconv.Quote(tag)
	head.Set("Content-Type", a.contentType)
	head.Set("Cache-Control", "public, max-age=31536000, immutable")
	head.Set("ETag", tag)
	head.Set("Vary", "Accept-Encoding")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	for known := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if strings.TrimPrefix(strings.TrimSpace(known), "W/") == tag {
			head.Del("Content-Encoding")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	head.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // the client may be gone
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3) as far as it matters here.
func acceptsGzip(values []string) bool {
	for coding := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, parameters, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		key, weight, ok := strings.Cut(strings.TrimSpace(parameters), "=")
		if !ok || !strings.EqualFold(key, "q") {
			return true
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
		return err == nil && q > 0
	}
	return false
}
