package main

import (
	"errors"
	"io"
	"log"
	"maps"
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
		return parts(r)
	}
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	var all []field
	for _, name := range slices.Sorted(maps.Keys(r.PostForm)) {
		for _, value := range r.PostForm[name] {
			all = append(all, field{name, value})
		}
	}
	return all, nil
}

// parts reads a form that may have files.
func parts(r *http.Request) ([]field, error) {
	reader, err := r.MultipartReader()
	if err != nil {
		return nil, err
	}
	var all []field
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		value := string(text)
		if part.FileName() != "" {
			value = part.FileName() + ": " + value
		}
		all = append(all, field{part.FormName(), value})
	}
}

func (a *application) show(w http.ResponseWriter, p page) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if p.Status != 0 {
		w.WriteHeader(p.Status)
	}
	if err := pageTemplate.Execute(w, p); err != nil {
		log.Printf("showing %s: %v", p.Title, err)
	}
}
