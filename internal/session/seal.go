package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
)

const (
	sealVersion = 1
	nonceSize   = 12
	tagSize     = 16
	headSize    = 1 + keyIDSize + nonceSize
	maxSealed   = 16 << 10 // characters; longer input is refused before it is decoded

	bindingSpace = 128 // bytes that a binding takes as a rule
)

var sealEncoding = base64.RawURLEncoding.Strict() // one text per value: no spare bits to play with

// Binding is the associated data of a sealed value: it opens only under the same purpose, realm and host.
type Binding struct{ Purpose, Realm, Host string }

// appendTo writes the fields with their lengths in front, so that no two bindings give the same bytes.
func (b Binding) appendTo(dst []byte) []byte {
	for _, field := range [...]string{b.Purpose, b.Realm, b.Host} {
		dst = binary.AppendUvarint(dst, uint64(len(field)))
		dst = append(dst, field...)
	}
	return dst
}

// Seal encrypts plaintext for b with AES-256-GCM under a random nonce. The result is base64url: version, key ID, nonce,
// ciphertext.
func (k *KeyRing) Seal(b Binding, plaintext []byte) (string, error) {
	sealed, err := k.sealBytes(b, plaintext)
	if err != nil {
		return "", err
	}
	return sealEncoding.EncodeToString(sealed), nil
}

// Open is the inverse of [KeyRing.Seal]. It fails with [ErrInvalid], or with [ErrUnavailable] where its key may be one that cannot
// be read now.
func (k *KeyRing) Open(b Binding, sealed string) ([]byte, error) {
	return k.openIn(nil, b, sealed)
}

// openIn is Open with a buffer to work in. The result is part of the buffer, or of a larger one where it was too small.
func (k *KeyRing) openIn(buffer []byte, b Binding, sealed string) ([]byte, error) {
	if len(sealed) > maxSealed {
		return nil, ErrInvalid
	}
	raw, err := sealEncoding.AppendDecode(slices.Grow(buffer[:0], sealEncoding.DecodedLen(len(sealed))+bindingSpace), []byte(sealed))
	if err != nil || len(sealed) != sealEncoding.EncodedLen(len(raw)) { // the decoder skips line ends
		return nil, ErrInvalid
	}
	return k.openBytes(b, raw)
}

func (k *KeyRing) sealBytes(b Binding, plaintext []byte) ([]byte, error) {
	key := k.ring.Load().sealing(k.now())
	out := make([]byte, headSize, headSize+len(plaintext)+tagSize)
	out[0] = sealVersion
	copy(out[1:], key.id[:])
	nonce := out[1+keyIDSize : headSize]
	if _, err := io.ReadFull(k.rand, nonce); err != nil {
		return nil, fmt.Errorf("making a nonce: %w", err)
	}
	var ad [128]byte
	return key.aead.Seal(out, nonce, plaintext, b.appendTo(append(ad[:0], out[:1+keyIDSize]...))), nil
}

// openBytes decrypts in place: raw is overwritten, and so may be what lies behind it up to its capacity.
func (k *KeyRing) openBytes(b Binding, raw []byte) ([]byte, error) {
	if len(raw) < headSize+tagSize || raw[0] != sealVersion {
		return nil, ErrInvalid
	}
	key, err := k.find([keyIDSize]byte(raw[1 : 1+keyIDSize]))
	if err != nil {
		return nil, err
	}
	nonce, ciphertext := raw[1+keyIDSize:headSize], raw[headSize:]
	ad := b.appendTo(append(raw[len(raw):], raw[:1+keyIDSize]...))
	plaintext, err := key.aead.Open(ciphertext[:0], nonce, ciphertext, ad)
	if err != nil {
		return nil, ErrInvalid
	}
	return plaintext, nil
}

// MAC is a keyed hash (HMAC-SHA-256) for values that are only compared: browser bindings, keys of limiters, storage paths. It
// stays the same over key rotation, restarts and processes that share the ring.
func (k *KeyRing) MAC(purpose string, data ...[]byte) []byte {
	h := hmac.New(sha256.New, k.ring.Load().mac)
	var size [binary.MaxVarintLen64]byte
	write := func(b []byte) {
		h.Write(size[:binary.PutUvarint(size[:], uint64(len(b)))])
		h.Write(b)
	}
	write([]byte(purpose))
	for _, d := range data {
		write(d)
	}
	return h.Sum(nil)
}

// lockName makes the name of a storage lock. Some storages use it as a file name.
func lockName(prefix, name string) string {
	sum := sha256.Sum256([]byte(prefix + "\x00" + name))
	return "passwordless-" + hex.EncodeToString(sum[:16])
}
