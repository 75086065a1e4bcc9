package challenge

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// TableHash is SHA-256(salt ‖ value): the key of a user in the secrets table (value: the user name), and the name of a
// link in it (value: its signature). The salt is the deployment's STACK_ID and no secret.
func TableHash(salt string, value []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(salt))
	h.Write(value)
	return [sha256.Size]byte(h.Sum(nil))
}

// OperationKey names what a later round of one Cognito session does: H(nonce ‖ number of rounds before it). It is the
// same for every retry of a trigger with the same event, and differs between sessions.
func OperationKey(nonce string, rounds int) [sha256.Size]byte {
	h := sha256.New()
	writeFields(h, "operation", nonce)
	writeUint(h, uint64(rounds))
	return [sha256.Size]byte(h.Sum(nil))
}

// ReceiptKey names the proof that one attempt of a user at a client passed Verify. The attempt ID is the client's own,
// from [KeyAttemptID], and must not be empty: an empty one would let one sign-in vouch for another.
func ReceiptKey(clientID, userName, attemptID string) [sha256.Size]byte {
	h := sha256.New()
	writeFields(h, "receipt", clientID, userName, attemptID)
	return [sha256.Size]byte(h.Sum(nil))
}

// writeFields writes length-prefixed strings, so that no two lists of fields hash alike.
func writeFields(h hash.Hash, fields ...string) {
	for _, f := range fields {
		writeUint(h, uint64(len(f)))
		h.Write([]byte(f))
	}
}

func writeUint(h hash.Hash, n uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	h.Write(b[:])
}
