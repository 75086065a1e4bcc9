package passkey

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/caddy-cognito/passwordless/internal/challenge"
)

// RSA moduli in bits. Below is insecure; above, each assertion would cost us what the key's maker likes.
const (
	minModulus = 2048
	maxModulus = 4096
)

// publicKeyOf converts a credential's COSE_Key (RFC 9052, section 7) to the form that is stored. It refuses keys that
// go-webauthn cannot verify with, and algorithms that no deployment may choose.
func publicKeyOf(cose []byte) (PublicKey, error) {
	parsed, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return PublicKey{}, fmt.Errorf("reading the credential's public key: %w", err)
	}
	switch k := parsed.(type) {
	case webauthncose.EC2PublicKeyData:
		p := PublicKey{Kty: "EC", X: challenge.EncodeBase64(k.XCoord), Y: challenge.EncodeBase64(k.YCoord)}
		switch k.Algorithm {
		case algES256:
			p.Alg, p.Crv = "ES256", "P-256"
			return p, nil
		case algES384:
			p.Alg, p.Crv = "ES384", "P-384"
			return p, nil
		}
	case webauthncose.OKPPublicKeyData:
		if k.Algorithm == algEdDSA && k.Curve == int64(webauthncose.Ed25519) {
			return PublicKey{Alg: "EdDSA", Crv: "Ed25519", Kty: "OKP", X: challenge.EncodeBase64(k.XCoord)}, nil
		}
	case webauthncose.RSAPublicKeyData:
		if err := checkRSA(k); err != nil {
			return PublicKey{}, err
		}
		if k.Algorithm == algRS256 {
			return PublicKey{Alg: "RS256", Kty: "RSA", N: encodeUint(k.Modulus), E: encodeUint(k.Exponent)}, nil
		}
	}
	return PublicKey{}, errors.New("the credential's public key is of an unsupported algorithm")
}

// Algorithm is the COSE identifier of the key's algorithm, 0 if it is not one of ours.
func (p PublicKey) Algorithm() int {
	switch {
	case p.Kty == "EC" && p.Crv == "P-256" && p.Alg == "ES256":
		return algES256
	case p.Kty == "EC" && p.Crv == "P-384" && p.Alg == "ES384":
		return algES384
	case p.Kty == "OKP" && p.Crv == "Ed25519" && p.Alg == "EdDSA":
		return algEdDSA
	case p.Kty == "RSA" && p.Alg == "RS256":
		return algRS256
	}
	return 0
}

// cose is the inverse of publicKeyOf.
func (p PublicKey) cose() ([]byte, error) {
	var members [4][]byte // x, y, n, e
	for i, s := range [...]string{p.X, p.Y, p.N, p.E} {
		b, err := challenge.DecodeBase64(s)
		if err != nil {
			return nil, errors.New("the stored public key is not base64url")
		}
		members[i] = b
	}
	alg := p.Algorithm()
	var key any
	switch alg {
	case algES256, algES384:
		size, curve := 32, webauthncose.P256
		if alg == algES384 {
			size, curve = 48, webauthncose.P384
		}
		key = webauthncose.EC2PublicKeyData{
			PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(alg)},
			Curve:         int64(curve),
			XCoord:        leftPad(members[0], size),
			YCoord:        leftPad(members[1], size),
		}
	case algEdDSA:
		key = webauthncose.OKPPublicKeyData{
			PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.OctetKey), Algorithm: int64(alg)},
			Curve:         int64(webauthncose.Ed25519),
			XCoord:        members[0],
		}
	case algRS256:
		rsa := webauthncose.RSAPublicKeyData{
			PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.RSAKey), Algorithm: int64(alg)},
			Modulus:       members[2],
			Exponent:      members[3],
		}
		if err := checkRSA(rsa); err != nil {
			return nil, err
		}
		key = rsa
	default:
		return nil, fmt.Errorf("the stored public key is of an unsupported kind: kty %q, crv %q, alg %q", p.Kty, p.Crv, p.Alg)
	}
	b, err := webauthncbor.Marshal(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the stored public key: %w", err)
	}
	return b, nil
}

func checkRSA(k webauthncose.RSAPublicKeyData) error {
	if bits := new(big.Int).SetBytes(k.Modulus).BitLen(); bits < minModulus || bits > maxModulus {
		return fmt.Errorf("the credential's RSA key has %d bits: %d to %d are accepted", bits, minModulus, maxModulus)
	}
	e := new(big.Int).SetBytes(k.Exponent)
	if e.BitLen() < 2 || e.BitLen() > 31 || e.Bit(0) == 0 {
		return errors.New("the credential's RSA key has an unusable exponent")
	}
	return nil
}

// encodeUint is Base64urlUInt (RFC 7518, section 2): no leading zero octets.
func encodeUint(b []byte) string { return challenge.EncodeBase64(new(big.Int).SetBytes(b).Bytes()) }

// leftPad restores the leading zeros of a coordinate that some encoders drop.
func leftPad(b []byte, size int) []byte {
	if len(b) >= size {
		return b
	}
	return append(make([]byte, size-len(b)), b...)
}
