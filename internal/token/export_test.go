package token

// ParseKeys returns the IDs of the usable keys in a JWKS.
func ParseKeys(body []byte) ([]string, error) {
	keys, err := parseKeys(body)
	var ids []string
	for id := range keys {
		ids = append(ids, id)
	}
	return ids, err
}
