package caddyauth

import (
	"net/http"
	"strconv"
	"strings"
)

// Status codes of gRPC (https://grpc.io/docs/guides/status-codes/).
const (
	grpcInvalidArgument  = 3
	grpcPermissionDenied = 7
	grpcUnavailable      = 14
	grpcUnauthenticated  = 16
)

// isGRPC reports whether the client speaks gRPC or gRPC-Web.
func isGRPC(h http.Header) bool {
	return strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "application/grpc")
}

// refuseGRPC is an answer that consists of trailers only ("Trailers-Only" in gRPC over HTTP2): clients read nothing else.
func refuseGRPC(w http.ResponseWriter, r *http.Request, why refusal) error {
	status := grpcInvalidArgument
	switch why.status {
	case http.StatusUnauthorized:
		status = grpcUnauthenticated
	case http.StatusForbidden:
		status = grpcPermissionDenied
	case http.StatusServiceUnavailable:
		status = grpcUnavailable
	}
	h := w.Header()
	h.Set("Content-Type", grpcContentType(r.Header.Get("Content-Type")))
	h.Set("Grpc-Status", strconv.Itoa(status))
	h.Set("Grpc-Message", encodeValue(why.reason+": "+why.detail, false))
	w.WriteHeader(http.StatusOK)
	return nil
}

func grpcContentType(requested string) string {
	for _, known := range [...]string{"application/grpc-web-text", "application/grpc-web"} {
		if strings.HasPrefix(strings.ToLower(requested), known) {
			return known
		}
	}
	return "application/grpc"
}
