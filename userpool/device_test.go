package userpool

import (
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"reflect"
	"testing"
)

// The group is a safe prime of 3072 bits, so no letter of it is wrong.
func TestPrimeOfDevices(t *testing.T) {
	half := new(big.Int).Rsh(srpPrime, 1)
	if srpPrime.BitLen() != 3072 || !srpPrime.ProbablyPrime(20) || !half.ProbablyPrime(20) {
		t.Error("the prime is wrong")
	}
}

// What Cognito would check, should the device ever use its password: RFC 5054's verifier with Cognito's way to name the user.
func TestConfirmDevice(t *testing.T) {
	f, c := serve(t, "", answer{200, `{"UserConfirmationNecessary":true}`})
	if err := c.ConfirmDevice(t.Context(), "a", Device{Key: "eu-west-1_d", GroupKey: "-g"}); err != nil {
		t.Fatal(err)
	}
	got := f.only(t)
	if got.target != "AWSCognitoIdentityProviderService.ConfirmDevice" || len(got.authorization) != 0 {
		t.Errorf("%+v", got)
	}
	password := base64.StdEncoding.EncodeToString(make([]byte, 40)) // the test's randomness
	inner := sha256.Sum256([]byte("-geu-west-1_d:" + password))
	x := sha256.Sum256(append([]byte{0}, inner[:]...))
	v := new(big.Int).Exp(big.NewInt(2), new(big.Int).SetBytes(x[:]), srpPrime).Bytes()
	if v[0]&0x80 != 0 {
		v = append([]byte{0}, v...)
	}
	want := map[string]any{
		"AccessToken": "a", "DeviceKey": "eu-west-1_d", "DeviceName": deviceName,
		"DeviceSecretVerifierConfig": map[string]any{"Salt": "AA==", "PasswordVerifier": base64.StdEncoding.EncodeToString(v)},
	}
	if !reflect.DeepEqual(got.body, want) {
		t.Errorf("sent %v\nwant %v", got.body, want)
	}
}

func TestNumbersOfDevicesAreNeverNegative(t *testing.T) {
	for n, want := range map[int64]string{0: "\x00", 0x7f: "\x7f", 0x80: "\x00\x80", 0xff01: "\x00\xff\x01"} {
		if got := positive(big.NewInt(n)); string(got) != want {
			t.Errorf("%x is %x", n, got)
		}
	}
}
