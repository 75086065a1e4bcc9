package passkey

import (
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"strings"
	"sync"
)

// aaguidNames is a copy of the community's list; the file says from where and of when.
//
//go:embed aaguid-names.json
var aaguidNames []byte

var providerNames = sync.OnceValue(func() map[[16]byte]string {
	var file struct {
		Names map[string]string `json:"names"`
	}
	if err := json.Unmarshal(aaguidNames, &file); err != nil {
		panic("passkey: embedded aaguid-names.json: " + err.Error())
	}
	names := make(map[[16]byte]string, len(file.Names))
	for text, name := range file.Names {
		var aaguid [16]byte
		b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
		if err != nil || len(b) != len(aaguid) {
			panic("passkey: embedded aaguid-names.json: not an AAGUID: " + text)
		}
		names[[16]byte(b)] = name
	}
	return names
})

// ProviderName names the passkey provider or authenticator that made a passkey, such as "iCloud Keychain". It is "" for one
// that is unknown or, as the zero AAGUID says, withheld. The provider is only claimed, never proven.
func ProviderName(aaguid [16]byte) string { return providerNames()[aaguid] }
