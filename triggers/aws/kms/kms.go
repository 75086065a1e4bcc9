// Package kms signs magic links by AWS KMS and finds the public keys that verify them.
package kms

import (
	"context"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// SigningClient is what [Signer] calls. [kms.Client] satisfies it.
type SigningClient interface {
	Sign(ctx context.Context, in *kms.SignInput, options ...func(*kms.Options)) (*kms.SignOutput, error)
}

// Signer signs with RSASSA_PSS_SHA_512, whose salt KMS makes as long as the digest
// (https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html#key-spec-rsa-sign). It needs the permission
// kms:Sign on the key.
type Signer struct {
	Client SigningClient
	KeyID  string // ID, ARN or alias of an RSA key for SIGN_VERIFY
}

// Sign implements Signer of package create: keyID is the ARN of the very key that signed, wherever an alias points later.
func (s *Signer) Sign(ctx context.Context, digest []byte) (signature []byte, keyID string, err error) {
	if len(digest) != sha512.Size {
		return nil, "", fmt.Errorf("a digest of %d bytes is not SHA-512's", len(digest))
	}
	out, err := s.Client.Sign(ctx, &kms.SignInput{
		KeyId:            aws.String(s.KeyID),
		Message:          digest,
		MessageType:      types.MessageTypeDigest,
		SigningAlgorithm: types.SigningAlgorithmSpecRsassaPssSha512,
	})
	if err != nil {
		return nil, "", fmt.Errorf("signing by KMS: %w", err)
	}
	if len(out.Signature) == 0 || aws.ToString(out.KeyId) == "" {
		return nil, "", errors.New("KMS answered without a signature or without the key that made it")
	}
	return out.Signature, aws.ToString(out.KeyId), nil
}

// KeyClient is what [Keys] calls. [kms.Client] satisfies it.
type KeyClient interface {
	GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, options ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
}

// mostKeys bounds the public keys that are kept: a deployment has one, and another while it changes keys.
const mostKeys = 16

// Keys finds public keys. It needs the permission kms:GetPublicKey on the key.
type Keys struct {
	Client KeyClient

	mu   sync.Mutex
	kept map[string]*rsa.PublicKey // by ARN
}

// PublicKey implements Keys of package verify. A key is kept under its own ARN only: what an alias points to is asked for every time.
func (k *Keys) PublicKey(ctx context.Context, keyID string) (*rsa.PublicKey, error) {
	if keyID == "" {
		return nil, errors.New("the link names no key")
	}
	k.mu.Lock()
	key, ok := k.kept[keyID]
	k.mu.Unlock()
	if ok {
		return key, nil
	}
	out, err := k.Client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: aws.String(keyID)})
	if err != nil {
		return nil, fmt.Errorf("getting a public key of KMS: %w", err)
	}
	parsed, err := x509.ParsePKIXPublicKey(out.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("parsing a public key of KMS: %w", err)
	}
	key, ok = parsed.(*rsa.PublicKey)
	if !ok || out.KeyUsage != types.KeyUsageTypeSignVerify {
		return nil, errors.New("the key in KMS is not an RSA key for SIGN_VERIFY: set KMS_KEY_ID to one")
	}
	if arn := aws.ToString(out.KeyId); arn == keyID && strings.HasPrefix(arn, "arn:") && strings.Contains(arn, ":key/") {
		k.keep(arn, key)
	}
	return key, nil
}

func (k *Keys) keep(arn string, key *rsa.PublicKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil || len(k.kept) >= mostKeys {
		k.kept = make(map[string]*rsa.PublicKey)
	}
	k.kept[arn] = key
}
