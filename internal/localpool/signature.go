package localpool

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// signatureSkew is how far a request's date may be from ours, as AWS has it.
const signatureSkew = 5 * time.Minute

const (
	signingService = "cognito-idp"
	signingTime    = "20060102T150405Z"
)

var (
	errUnsigned         = &failure{Type: "MissingAuthenticationTokenException", Message: "Missing Authentication Token", status: http.StatusForbidden}
	errUnknownKey       = &failure{Type: "UnrecognizedClientException", Message: "The security token included in the request is invalid.", status: http.StatusForbidden}
	errSignature        = &failure{Type: "InvalidSignatureException", Message: "The request signature we calculated does not match the signature you provided.", status: http.StatusForbidden}
	errTemporary        = &failure{Type: "UnrecognizedClientException", Message: "The security token included in the request is invalid: this user pool takes no temporary credentials. Unset AWS_SESSION_TOKEN and sign with the key of --admin-key or admin_key.", status: http.StatusForbidden}
	errSignatureExpired = &failure{Type: "InvalidSignatureException", Message: "Signature expired or not yet current: the clocks are more than five minutes apart.", status: http.StatusForbidden}
	errNoAdmin          = &failure{Type: "AccessDeniedException", Message: "This user pool has no key for administrators: give it one by --admin-key or admin_key.", status: http.StatusForbidden}
)

// errScope is what AWS answers to credentials of another region or service, with the right one.
func errScope(kind, given, wanted string) error {
	return &failure{
		Type:    "InvalidSignatureException",
		Message: "Credential should be scoped to a valid " + kind + ", not '" + given + "': sign for '" + wanted + "'.", status: http.StatusForbidden,
	}
}

// authorization is the header of Signature Version 4.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([A-Za-z0-9_-]{1,128})/([0-9]{8})/([a-z0-9-]{1,64})/([a-z0-9-]{1,64})/aws4_request, ?SignedHeaders=([a-z0-9;-]{1,512}), ?Signature=[0-9a-f]{64}$`)

// checkSignature lets a request through that is signed by one of the administrators' keys, over its headers and this very body, for this
// pool's region, at about this time. It computes the signature anew and compares.
func (s *settings) checkSignature(r *http.Request, body []byte) error {
	if len(s.AdminKeys) == 0 {
		return errNoAdmin
	}
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return errUnsigned
	}
	m := authorization.FindStringSubmatch(headers[0])
	if m == nil || r.URL.RawQuery != "" || r.URL.Path != "/" {
		return errUnsigned
	}
	if len(r.Header.Values("X-Amz-Security-Token")) > 0 {
		return errTemporary
	}
	key, date, region, service, signed := m[1], m[2], m[3], m[4], strings.Split(m[5], ";")
	for _, needed := range []string{"host", "x-amz-date", "x-amz-target"} {
		if !slices.Contains(signed, needed) {
			return errSignature
		}
	}
	secret, known := s.AdminKeys[key]
	if !known || secret == "" {
		return errUnknownKey
	}
	if service != signingService {
		return errScope("service", service, signingService)
	}
	if region != s.Region {
		return errScope("region", region, s.Region)
	}
	at, err := time.Parse(signingTime, r.Header.Get("X-Amz-Date"))
	if err != nil || !strings.HasPrefix(r.Header.Get("X-Amz-Date"), date) {
		return errSignature
	}
	if skew := s.Now().Sub(at); skew > signatureSkew || skew < -signatureSkew {
		return errSignatureExpired
	}
	again, err := signedPart(r, signed)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	credentials := aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}
	if err := v4.NewSigner().SignHTTP(r.Context(), credentials, again, hex.EncodeToString(sum[:]), service, region, at); err != nil {
		return errSignature
	}
	if !sameSecret(strings.ReplaceAll(again.Header.Get("Authorization"), ", ", ","), strings.ReplaceAll(headers[0], ", ", ",")) {
		return errSignature
	}
	return nil
}

// signedPart is the request as it was signed: the headers that the signature names, and no other.
func signedPart(r *http.Request, signed []string) (*http.Request, error) {
	again := &http.Request{Method: r.Method, Host: r.Host, URL: &url.URL{Scheme: "http", Host: r.Host, Path: "/"}, Header: make(http.Header)}
	for _, name := range signed {
		switch name {
		case "host", "x-amz-date":
		case "content-length":
			again.ContentLength = r.ContentLength
		default:
			values := r.Header.Values(name)
			if len(values) != 1 {
				return nil, errSignature
			}
			again.Header.Set(name, values[0])
		}
	}
	return again, nil
}
