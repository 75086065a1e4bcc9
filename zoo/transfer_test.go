package zoo

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// large is the size of what is uploaded and downloaded.
const large = 32 << 20

// file makes a large file of random bytes and returns its path and its SHA-256 in hexadecimal digits.
func file(t *testing.T, name string) (path, sum string) {
	t.Helper()
	content := make([]byte, large)
	_, _ = rand.Read(content) // never fails
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, digest(content)
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// download has the page fetch an address and returns the SHA-256 of what came.
func (b *tab) download(address string) string {
	b.t.Helper()
	return ask[string](b, fmt.Sprintf(`(async () => {
		const response = await fetch(%q);
		if (!response.ok) return response.status + ' ' + (await response.text()).slice(0, 200);
		const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', await response.arrayBuffer()));
		return Array.from(sum, byte => byte.toString(16).padStart(2, '0')).join('');
	})()`, address))
}
