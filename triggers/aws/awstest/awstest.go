// Package awstest has the AWS services that the triggers call and that nobody offers for tests: KMS and SNS as HTTP fakes that refuse
// requests of another form than the services', and the start of aws-ses-v2-local for SES.
package awstest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
)

// signed is the form of Signature Version 4 (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html).
var signed = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=[^/]+/[0-9]{8}/([a-z0-9-]+)/([a-z]+)/aws4_request, SignedHeaders=[a-z0-9;-]+, Signature=[0-9a-f]{64}$`)

// signedFor reports whether the request is signed for a service.
func signedFor(r *http.Request, service string) bool {
	m := signed.FindStringSubmatch(r.Header.Get("Authorization"))
	return m != nil && m[2] == service && r.Header.Get("X-Amz-Date") != "" && strings.Contains(r.Header.Get("Authorization"), "host;")
}

// refuse answers in the form of the JSON protocol.
func refuse(w http.ResponseWriter, kind, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": kind, "message": message})
}
