package main

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// onlyHosts refuses requests under names that are neither this machine's nor listed. Without it a page of any site could read this
// application, which believes whatever headers it gets, by a name that comes to point at 127.0.0.1 (DNS rebinding).
func onlyHosts(listed []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		host = strings.ToLower(strings.Trim(host, "[]"))
		ip := net.ParseIP(host)
		if host == "" || host != "localhost" && !strings.HasSuffix(host, ".localhost") && (ip == nil || !ip.IsLoopback()) && !slices.Contains(listed, host) {
			http.Error(w, "this application answers to loopback names only; list others with -host", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
