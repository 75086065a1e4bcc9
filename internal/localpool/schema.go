package localpool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.etcd.io/bbolt"
)

// schemaVersion is raised when older programs could misread the file. A file of a newer version is refused; there is no older one.
const schemaVersion = 1

// The buckets of the file. Everything but meta holds items (see putItem).
const (
	bucketMeta          = "meta"
	bucketExpiry        = "expiry"         // end ‖ bucket ‖ 0 ‖ key → nothing
	bucketKeys          = "keys"           // kid → storedKey
	bucketUsers         = "users"          // user name → user
	bucketAliases       = "aliases"        // kind ‖ 0 ‖ folded address → user name
	bucketFamilies      = "token_families" // origin_jti → tokenFamily
	bucketUserFamilies  = "user_families"  // user name ‖ 0 ‖ origin_jti → true
	bucketRefreshTokens = "refresh_tokens" // SHA-256(token) → refreshToken
	bucketCredentials   = "credentials"    // credential ID → passkey
	bucketHandles       = "user_handles"   // len ‖ user handle ‖ created ‖ credential ID → true
	bucketRegistrations = "registrations"  // len ‖ user handle ‖ challenge → creation options
	bucketChallenges    = "challenges"     // usernameless challenge → true
	bucketLinks         = "links"          // SHA-256 → magic link record
	bucketSecrets       = "secrets"        // leases, limits and receipts of the triggers
)

var buckets = []string{
	bucketMeta, bucketExpiry, bucketKeys, bucketUsers, bucketAliases, bucketFamilies, bucketUserFamilies, bucketRefreshTokens,
	bucketCredentials, bucketHandles, bucketRegistrations, bucketChallenges, bucketLinks, bucketSecrets,
}

// identity is what the pool is called, made at first start and kept.
type identity struct {
	Schema       int       `json:"schema"`
	Region       string    `json:"region"`
	UserPoolID   string    `json:"user_pool_id"`
	ClientID     string    `json:"client_id"`
	ClientSecret string    `json:"client_secret"`
	StandIn      []byte    `json:"stand_in"` // secret behind the names of users that do not exist
	Names        Names     `json:"names"`    // nothing: the default
	Created      time.Time `json:"created"`
}

var identityKey = []byte("identity")

const (
	alphanumeric      = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	lowerAlphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789"
)

// loadIdentity reads the pool's identity, or makes one in an empty file. It writes nothing to a file that it refuses.
func (d *database) loadIdentity(ctx context.Context, rand io.Reader, names Names) (identity, error) {
	var id identity
	found := false
	err := d.view(func(tx *bbolt.Tx) (err error) {
		found, err = d.readIdentity(tx, &id)
		return err
	})
	if err != nil || found {
		return id, err
	}
	if id, err = d.newIdentity(rand); err != nil {
		return id, err
	}
	if id.Names, err = names.withDefaults(); err != nil {
		return id, err
	}
	err = d.update(ctx, func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return fmt.Errorf("creating bucket %q: %w", name, err)
			}
		}
		return putItem(tx, bucketMeta, identityKey, time.Time{}, id)
	})
	return id, err
}

// readIdentity reports false for a file without any data.
func (d *database) readIdentity(tx *bbolt.Tx, id *identity) (bool, error) {
	path := d.bolt.Path()
	if tx.Bucket([]byte(bucketMeta)) == nil {
		if first, _ := tx.Cursor().First(); first != nil {
			return false, damaged(path, errors.New("it holds data of another program"))
		}
		return false, nil
	}
	found, err := getItem(tx, bucketMeta, identityKey, d.now(), id)
	switch {
	case err != nil:
		return false, damaged(path, err)
	case !found:
		return false, damaged(path, errors.New("its identity is missing"))
	case id.Schema > schemaVersion:
		return false, fmt.Errorf("data file %s was written by a newer version: it has schema %d, this version reads up to %d", path, id.Schema, schemaVersion)
	}
	for _, name := range buckets {
		if tx.Bucket([]byte(name)) == nil {
			return false, damaged(path, fmt.Errorf("its bucket %q is missing", name))
		}
	}
	return true, nil
}

func (d *database) newIdentity(rand io.Reader) (identity, error) {
	pool, err := randomString(rand, alphanumeric, 9)
	if err != nil {
		return identity{}, err
	}
	client, err := randomString(rand, lowerAlphanumeric, 26)
	if err != nil {
		return identity{}, err
	}
	secret, err := randomString(rand, lowerAlphanumeric, 51)
	if err != nil {
		return identity{}, err
	}
	id := identity{
		Schema: schemaVersion, Region: "local", UserPoolID: "local_" + pool, ClientID: client, ClientSecret: secret,
		StandIn: make([]byte, 32), Created: d.now().UTC(),
	}
	if _, err := io.ReadFull(rand, id.StandIn); err != nil {
		return identity{}, fmt.Errorf("reading randomness: %w", err)
	}
	return id, nil
}

// randomString draws n characters of alphabet, each equally likely.
func randomString(rand io.Reader, alphabet string, n int) (string, error) {
	out := make([]byte, 0, n)
	limit := byte(256 - 256%len(alphabet))
	var b [64]byte
	for len(out) < n {
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return "", fmt.Errorf("reading randomness: %w", err)
		}
		for _, v := range b {
			if (limit == 0 || v < limit) && len(out) < n {
				out = append(out, alphabet[int(v)%len(alphabet)])
			}
		}
	}
	return string(out), nil
}

// newUUID is a random UUID (RFC 9562, version 4), lower case.
func newUUID(rand io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("reading randomness: %w", err)
	}
	return formatUUID(b), nil
}

func formatUUID(b [16]byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func cutZero(b []byte) (before, after []byte, ok bool) { return bytes.Cut(b, []byte{0}) }

// joinKey builds a key of parts that hold no zero byte.
func joinKey(parts ...string) []byte {
	var k []byte
	for i, p := range parts {
		if i > 0 {
			k = append(k, 0)
		}
		k = append(k, p...)
	}
	return k
}
