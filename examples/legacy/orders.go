package main

import (
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
)

// maxOrder bounds what the application keeps of a form in memory, in bytes.
const maxOrder = 1 << 20

// field is one that a form brought: of a file its text, after its name.
type field struct{ Name, Value string }

// orders shows a form and, when it is sent, what arrived.
func (a *application) orders(w http.ResponseWriter, r *http.Request) {
	p := a.pageOf("Orders", r)
	p.Form = true
	if r.Method == http.MethodPost {
		fields, err := received(w, r)
		if err != nil {
			http.Error(w, "the form cannot be read: "+err.Error(), http.StatusBadRequest)
			return
		}
		p.Title, p.Form, p.Received = "Order received", false, fields
	}
	a.show(w, p)
}

// received reads a form of either kind.
func received(w http.ResponseWriter, r *http.Request) ([]field, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxOrder)
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		if err := r.ParseMultipartForm(maxOrder); err != nil {
			return nil, err
		}
	} else if err := r.ParseForm(); err != nil {
		return nil, err
	}
	var all []field
	for name, values := range r.PostForm {
		for _, value := range values {
			all = append(all, field{name, value})
		}
	}
	if r.MultipartForm != nil {
		for name, files := range r.MultipartForm.File {
			for _, header := range files {
				file, err := header.Open()
				if err != nil {
					return nil, err
				}
				text, err := io.ReadAll(file)
				if cerr := file.Close(); err == nil {
					err = cerr
				}
				if err != nil {
					return nil, err
				}
				all = append(all, field{name, header.Filename + ": " + string(text)})
			}
		}
	}
	slices.SortFunc(all, func(a, b field) int { return strings.Compare(a.Name+"\x00"+a.Value, b.Name+"\x00"+b.Value) })
	return all, nil
}

func (a *application) show(w http.ResponseWriter, p page) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := pageTemplate.Execute(w, p); err != nil {
		log.Printf("showing %s: %v", p.Title, err)
	}
}
