package main

import (
	"embed"
	"encoding/json"
	"html/template"
	"log"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The headers that the guard sets. An application like this one trusts them, so nothing else may set them.
const (
	headerUser   = "X-Passwordless-User"
	headerEmail  = "X-Passwordless-Email"
	headerGroups = "X-Passwordless-Groups"
)

//go:embed page.html static
var files embed.FS

var pageTemplate = template.Must(template.ParseFS(files, "page.html"))

type page struct {
	Title, Method, Target, Host string
	User, Email, Groups         string
	Account                     string
	Headers                     []header
	Form, AccountForm           bool   // shows one
	Asked                       string // proof that the page needs first
	Status                      int    // of the answer; 0 for 200
	Received                    []field
}

type header struct{ Name, Value string }

type application struct {
	account string
	now     func() time.Time
}

// newHandler is the application. Account is the address behind its link "Account".
func newHandler(account string, now func() time.Time) http.Handler {
	a := &application{account: account, now: now}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.page("Home"))
	mux.HandleFunc("GET /reports", a.page("Reports"))
	mux.HandleFunc("GET /admin", a.page("Administration"))
	mux.HandleFunc("GET /orders", a.orders)
	mux.HandleFunc("POST /orders", a.orders)
	a.salary(mux)
	mux.HandleFunc("GET /api/time", a.time)
	mux.Handle("GET /static/", http.FileServerFS(files))
	return mux
}

func (a *application) page(title string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { a.show(w, a.pageOf(title, r)) }
}

func (a *application) pageOf(title string, r *http.Request) page {
	return page{
		Title: title, Method: r.Method, Target: r.RequestURI, Host: r.Host,
		User: r.Header.Get(headerUser), Email: r.Header.Get(headerEmail), Groups: r.Header.Get(headerGroups),
		Account: a.account, Headers: headersOf(r),
	}
}

// headersOf lists the headers by name, one line a value; of credentials it tells the scheme alone.
func headersOf(r *http.Request) []header {
	var all []header
	for name, values := range r.Header {
		for _, value := range values {
			if name == "Authorization" {
				scheme, _, _ := strings.Cut(value, " ")
				value = scheme + " …"
			}
			all = append(all, header{name, value})
		}
	}
	slices.SortStableFunc(all, func(a, b header) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// time is the application's little API.
func (a *application) time(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	err := json.NewEncoder(w).Encode(struct {
		Time time.Time `json:"time"`
		User string    `json:"user"`
	}{a.now().UTC(), r.Header.Get(headerEmail)})
	if err != nil {
		log.Printf("telling the time: %v", err)
	}
}
