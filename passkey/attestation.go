package passkey

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
)

// maxTrustPath bounds the certificates of a statement.
const maxTrustPath = 8

// subjectAlternativeName is critical in the certificates of TPMs, with names that crypto/x509 does not know (TPM 2.0 EK Credential
// Profile, section 3.2.9); go-webauthn has read it by then.
var subjectAlternativeName = asn1.ObjectIdentifier{2, 5, 29, 17}

func (s Settings) validateAttestation() error {
	if s.attestation() != "direct" && (s.TrustAnchors != "" || len(s.AllowedProviders) > 0 || len(s.DeniedProviders) > 0) {
		return errors.New(`trust anchors and lists of providers have no effect without attestation: write attestation "direct", or leave them out`)
	}
	if len(s.AllowedProviders) > 0 && s.TrustAnchors == "" {
		return errors.New("a list of allowed providers proves nothing without trust anchors: add the root certificates of their vendors in PEM")
	}
	for _, text := range slices.Concat(s.AllowedProviders, s.DeniedProviders) {
		if _, err := parseAAGUID(text); err != nil {
			return err
		}
		if slices.ContainsFunc(s.AllowedProviders, func(a string) bool { return strings.EqualFold(a, text) }) &&
			slices.ContainsFunc(s.DeniedProviders, func(d string) bool { return strings.EqualFold(d, text) }) {
			return fmt.Errorf("provider %s is both allowed and denied: take it out of one list", text)
		}
	}
	_, err := parseAnchors(s.TrustAnchors)
	return err
}

// checkProvider decides on the AAGUID that an authenticator claims.
func (s Settings) checkProvider(aaguid [16]byte) error {
	listed := func(list []string) bool {
		return slices.ContainsFunc(list, func(text string) bool {
			own, err := parseAAGUID(text)
			return err == nil && own == aaguid
		})
	}
	if len(s.AllowedProviders) > 0 && !listed(s.AllowedProviders) || listed(s.DeniedProviders) {
		return &Error{Code: CodeInvalid, Message: "This passkey provider is not accepted here", cause: fmt.Errorf("AAGUID %x is not allowed", aaguid)}
	}
	return nil
}

// checkTrustPath demands, where there are trust anchors, certificates that lead to one of them at that time (WebAuthn Level 3, section
// 7.1, step 24). go-webauthn has verified that the first of them signed the statement, and that it fits the AAGUID.
func (s Settings) checkTrustPath(object *protocol.AttestationObject, now time.Time) error {
	if s.TrustAnchors == "" {
		return nil
	}
	refuse := func(cause error) error {
		return &Error{Code: CodeInvalid, Message: "This authenticator could not be recognized: its attestation is not of a trusted vendor", cause: cause}
	}
	roots, err := parseAnchors(s.TrustAnchors)
	if err != nil {
		return err
	}
	path, ok := object.AttStatement["x5c"].([]any)
	if !ok || len(path) == 0 || len(path) > maxTrustPath {
		return refuse(fmt.Errorf("a statement %q without certificates", printable(object.Format)))
	}
	var leaf *x509.Certificate
	intermediates := x509.NewCertPool()
	for i, der := range path {
		raw, ok := der.([]byte)
		if !ok {
			return refuse(errors.New("a certificate that is no byte string"))
		}
		certificate, err := x509.ParseCertificate(raw)
		if err != nil {
			return refuse(fmt.Errorf("reading a certificate of the statement: %w", err))
		}
		if i == 0 {
			leaf = certificate
			continue
		}
		intermediates.AddCert(certificate)
	}
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(leaf.UnhandledCriticalExtensions, subjectAlternativeName.Equal)
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}); err != nil {
		return refuse(fmt.Errorf("the statement's certificates: %w", err))
	}
	return nil
}

// parseAnchors reads PEM certificates; nothing gives an empty pool.
func parseAnchors(text string) (*x509.CertPool, error) {
	const mend = "write PEM blocks that begin with -----BEGIN CERTIFICATE-----"
	pool := x509.NewCertPool()
	rest := []byte(strings.TrimSpace(text))
	for len(rest) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("trust anchors are not certificates: " + mend)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("a trust anchor cannot be read: %w: %s", err, mend)
		}
		pool.AddCert(certificate)
		rest = []byte(strings.TrimSpace(string(rest)))
	}
	return pool, nil
}

// parseAAGUID reads the text form, such as ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4.
func parseAAGUID(text string) ([16]byte, error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(raw) != 16 || len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return [16]byte{}, fmt.Errorf("%q is not an AAGUID: write one such as ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4", text)
	}
	return [16]byte(raw), nil
}
