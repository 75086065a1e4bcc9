package passkeytest

import (
	"encoding/binary"
	"fmt"
)

// pairs is a CBOR map whose order is kept: CTAP2's canonical order is the caller's, so that a test can also break it.
type pairs []any // key, value, key, value, …

// encodeCBOR writes what attestation objects and COSE keys are made of (RFC 8949): int, []byte, string and pairs.
func encodeCBOR(v any) []byte {
	switch v := v.(type) {
	case int:
		if v < 0 {
			return cborHead(1, uint64(-1-v))
		}
		return cborHead(0, uint64(v))
	case []byte:
		return append(cborHead(2, uint64(len(v))), v...)
	case string:
		return append(cborHead(3, uint64(len(v))), v...)
	case pairs:
		b := cborHead(5, uint64(len(v)/2))
		for _, member := range v {
			b = append(b, encodeCBOR(member)...)
		}
		return b
	}
	panic(fmt.Sprintf("passkeytest: %T has no CBOR form here", v))
}

func cborHead(major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return []byte{major | byte(n)}
	case n < 1<<8:
		return []byte{major | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{major | 25}, uint16(n))
	}
	return binary.BigEndian.AppendUint32([]byte{major | 26}, uint32(n))
}
