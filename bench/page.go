package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
)

// assetPattern finds what a page loads and what its modules import, all below the portal's own path.
var assetPattern = regexp.MustCompile(`(?:"/auth/assets/|from "\./)([^"]+)"`)

// signInPage weighs the sign-in page as a browser gets it that has nothing of it yet.
func (s *site) signInPage() (row, error) {
	page, err := fetch("http://"+s.address("portal")+"/auth/sign-in", s.host("portal"))
	if err != nil {
		return row{}, err
	}
	weight := page.packed
	var seen []string
	for queue := assets(page.text); len(queue) > 0; queue = queue[1:] {
		if slices.Contains(seen, queue[0]) {
			continue
		}
		seen = append(seen, queue[0])
		asset, err := fetch("http://"+s.address("portal")+"/auth/assets/"+queue[0], s.host("portal"))
		if err != nil {
			return row{}, err
		}
		weight += asset.packed
		queue = append(queue, assets(asset.text)...)
	}
	return row{Name: fmt.Sprintf("sign-in page with its %d assets, gzip", len(seen)), Value: float64(weight) / 1e3, Unit: "KB", Target: "≤ 20"}, nil
}

func assets(text string) []string {
	var names []string
	for _, match := range assetPattern.FindAllStringSubmatch(text, -1) {
		names = append(names, match[1])
	}
	return names
}

// fetched is an answer, and its size on the wire with gzip.
type fetched struct {
	text   string
	packed int
}

func fetch(address, host string) (fetched, error) {
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return fetched{}, err
	}
	r.Host = host
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Encoding", "identity")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return fetched{}, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fetched{}, fmt.Errorf("%s answers %s", address, response.Status)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fetched{}, err
	}
	var size counter
	w := gzip.NewWriter(&size)
	if _, err := w.Write(body); err != nil {
		return fetched{}, err
	}
	if err := w.Close(); err != nil {
		return fetched{}, err
	}
	return fetched{string(body), int(size)}, nil
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}
