package passkeytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // ES256, RS256
	_ "crypto/sha512" // ES384
	"fmt"
	"math/big"
	"testing"
)

// COSE algorithms of an [Authenticator].
const (
	ES256 = -7
	EdDSA = -8
	ES384 = -35
	RS256 = -257
)

func generateKey(t testing.TB, algorithm int) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch algorithm {
	case ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ES384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case RS256:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("algorithm %d is not one of this authenticator's", algorithm)
	}
	if err != nil {
		t.Fatalf("generating a passkey: %v", err)
	}
	return key
}

// coseKey is the COSE_Key of a public key (RFC 9052 section 7, RFC 9053 section 7), in CTAP2's canonical order.
func coseKey(algorithm int, public crypto.PublicKey) []byte {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes() // 4 ‖ x ‖ y
		if err != nil {
			panic("passkeytest: own key: " + err.Error())
		}
		curve, size := 1, (len(point)-1)/2
		if algorithm == ES384 {
			curve = 2
		}
		return encodeCBOR(pairs{1, 2, 3, algorithm, -1, curve, -2, point[1 : 1+size], -3, point[1+size:]})
	case *rsa.PublicKey:
		return encodeCBOR(pairs{1, 3, 3, algorithm, -1, k.N.Bytes(), -2, big.NewInt(int64(k.E)).Bytes()})
	case ed25519.PublicKey:
		return encodeCBOR(pairs{1, 1, 3, algorithm, -1, 6, -2, []byte(k)})
	}
	panic(fmt.Sprintf("passkeytest: no COSE form of %T", public))
}

func sign(t testing.TB, algorithm int, key crypto.Signer, data []byte) []byte {
	t.Helper()
	hash := map[int]crypto.Hash{ES256: crypto.SHA256, RS256: crypto.SHA256, ES384: crypto.SHA384}[algorithm]
	if hash != 0 {
		h := hash.New()
		h.Write(data)
		data = h.Sum(nil)
	}
	signature, err := key.Sign(rand.Reader, data, hash)
	if err != nil {
		t.Fatalf("signing with a passkey: %v", err)
	}
	return signature
}
