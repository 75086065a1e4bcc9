package userpool

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"

	"github.com/aws/aws-sdk-go-v2/aws"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

// Device is what a pool that tracks devices calls the device of a sign-in. Its refresh token works only together with Key, and
// only once the device is confirmed
// (https://repost.aws/knowledge-center/cognito-invalid-refresh-token-error).
type Device struct{ Key, GroupKey string }

// deviceName is what users read in a list of their devices: to the pool it is the portal that signs in.
const deviceName = "Passwordless portal"

// ConfirmDevice registers the device of a sign-in, with a random password that is not kept: it would let the device sign in
// without the second factor of a pool's own MFA, which the custom-auth flow does not use.
func (c *Client) ConfirmDevice(ctx context.Context, accessToken string, d Device) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	secret, err := newDeviceSecret(c.rand, d)
	if err != nil {
		return err
	}
	_, err = c.api.ConfirmDevice(ctx, &cognito.ConfirmDeviceInput{
		AccessToken: aws.String(accessToken),
		DeviceKey:   aws.String(d.Key),
		DeviceName:  aws.String(deviceName),
		DeviceSecretVerifierConfig: &types.DeviceSecretVerifierConfigType{
			Salt:             aws.String(base64.StdEncoding.EncodeToString(secret.salt)),
			PasswordVerifier: aws.String(base64.StdEncoding.EncodeToString(secret.verifier)),
		},
	})
	if err != nil {
		return failed(operationConfirmDevice, err)
	}
	return nil
}

// deviceOf reads the metadata of a new device; nil where the pool tracks none.
func deviceOf(m *types.NewDeviceMetadataType) *Device {
	if m == nil || aws.ToString(m.DeviceKey) == "" {
		return nil
	}
	return &Device{Key: *m.DeviceKey, GroupKey: aws.ToString(m.DeviceGroupKey)}
}

// srpPrime is the 3072-bit MODP group of RFC 3526, section 4, which Cognito uses for SRP with the generator 2.
var srpPrime, _ = new(big.Int).SetString(""+
	"FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"+
	"EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"+
	"EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"+
	"83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"+
	"E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"+
	"15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7"+
	"ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C"+
	"BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF", 16)

type deviceSecret struct{ salt, verifier []byte }

// newDeviceSecret makes the SRP verifier of a random password: v = g^x with x = H(salt, H(group key, device key, ":", password)).
func newDeviceSecret(random io.Reader, d Device) (deviceSecret, error) {
	var raw [16 + 40]byte
	if _, err := io.ReadFull(random, raw[:]); err != nil {
		return deviceSecret{}, fmt.Errorf("making the secret of a device: %w", err)
	}
	salt := positive(new(big.Int).SetBytes(raw[:16]))
	password := base64.StdEncoding.EncodeToString(raw[16:])
	inner := sha256.Sum256([]byte(d.GroupKey + d.Key + ":" + password))
	x := sha256.Sum256(append(append([]byte(nil), salt...), inner[:]...))
	v := new(big.Int).Exp(big.NewInt(2), new(big.Int).SetBytes(x[:]), srpPrime)
	return deviceSecret{salt: salt, verifier: positive(v)}, nil
}

// positive is n as Java's BigInteger writes it: with a zero byte before a leading 1 bit, which would be a sign.
func positive(n *big.Int) []byte {
	b := n.Bytes()
	if len(b) == 0 || b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return b
}
