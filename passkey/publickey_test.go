package passkey

import (
	"math/big"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// A coordinate may start with zeros, which some encoders drop.
func TestPublicKeyWithLeadingZeros(t *testing.T) {
	// The point of x = 5 on P-256 (FIPS 186-4, D.1.2.3), from the curve's equation y² = x³ - 3x + b.
	p, _ := new(big.Int).SetString("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", 16)
	b, _ := new(big.Int).SetString("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b", 16)
	x := big.NewInt(5)
	y := new(big.Int).Exp(x, big.NewInt(3), p)
	y.Sub(y, new(big.Int).Mul(big.NewInt(3), x)).Add(y, b).Mod(y, p)
	if y.ModSqrt(y, p) == nil {
		t.Fatal("no point of that x")
	}
	key := PublicKey{Alg: "ES256", Crv: "P-256", Kty: "EC", X: encodeUint(x.Bytes()), Y: encodeUint(y.Bytes())}
	cose, err := key.cose()
	if err != nil {
		t.Fatal(err)
	}
	back, err := publicKeyOf(cose)
	if err != nil {
		t.Fatal(err)
	}
	if len(back.X) != 43 || back.Y != key.Y || back.Algorithm() != algES256 {
		t.Errorf("came back as %+v", back)
	}
}

func TestUnusableRSAKeys(t *testing.T) {
	modulus := func(bits uint) []byte {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.SetBit(n, 0, 1).Bytes()
	}
	for name, c := range map[string]struct {
		n, e []byte
		alg  int64
		ok   bool
	}{
		"2048 bits":            {modulus(2048), []byte{1, 0, 1}, algRS256, true},
		"4096 bits":            {modulus(4096), []byte{1, 0, 1}, algRS256, true},
		"leading zeros":        {append([]byte{0, 0}, modulus(2048)...), []byte{0, 1, 0, 1}, algRS256, true},
		"1024 bits":            {modulus(1024), []byte{1, 0, 1}, algRS256, false},
		"costly modulus":       {modulus(16384), []byte{1, 0, 1}, algRS256, false},
		"exponent 1":           {modulus(2048), []byte{1}, algRS256, false},
		"even exponent":        {modulus(2048), []byte{1, 0, 0}, algRS256, false},
		"costly exponent":      {modulus(2048), []byte{1, 0, 0, 0, 0, 1}, algRS256, false},
		"SHA-1":                {modulus(2048), []byte{1, 0, 1}, int64(webauthncose.AlgRS1), false},
		"PSS, not ours":        {modulus(2048), []byte{1, 0, 1}, int64(webauthncose.AlgPS256), false},
		"algorithm of a curve": {modulus(2048), []byte{1, 0, 1}, algES256, false},
	} {
		cose, err := webauthncbor.Marshal(webauthncose.RSAPublicKeyData{
			PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.RSAKey), Algorithm: c.alg},
			Modulus:       c.n, Exponent: c.e,
		})
		if err != nil {
			t.Fatal(err)
		}
		key, err := publicKeyOf(cose)
		if (err == nil) != c.ok {
			t.Errorf("%s: %+v, %v", name, key, err)
		}
		if c.ok && key.E != "AQAB" {
			t.Errorf("%s: exponent %q", name, key.E)
		}
	}
}
