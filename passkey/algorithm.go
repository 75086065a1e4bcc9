package passkey

// COSE algorithm identifiers (IANA COSE registry).
const (
	algES256 = -7
	algEdDSA = -8
	algES384 = -35
	algRS256 = -257
)

// algorithms that a deployment may choose, by their JWA name (RFC 7518, RFC 8037).
var algorithms = map[int]string{
	algES256: "ES256",
	algEdDSA: "EdDSA",
	algES384: "ES384",
	algRS256: "RS256",
}
