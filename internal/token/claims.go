package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	maxKeyID  = 128
	maxNested = 16
)

// Claims are what a verified token says.
type Claims struct {
	Subject   string
	Username  string // cognito:username of an ID token, username of an access token
	ClientID  string // aud of an ID token, client_id of an access token
	JTI       string
	OriginJTI string
	Email     string
	// EmailVerified is true only for the JSON value true or the text "true".
	EmailVerified               bool
	Groups                      []string // cognito:groups
	AuthTime, IssuedAt, Expires time.Time
	Use                         Use
	All                         map[string]any // every claim, as encoding/json decodes it with UseNumber: no number is rounded

	issuer    string
	notBefore time.Time
}

// keyID reads the header (RFC 7515, section 4): RS256, a key ID, and no critical extension. jku, jwk, x5u and x5c are not
// looked at: where keys come from is not for the token to say.
func keyID(header []byte) (string, error) {
	fields, err := parseObject(header)
	if err != nil {
		return "", fmt.Errorf("%w: the header is not a JSON object", ErrInvalid)
	}
	if alg, _ := fields["alg"].(string); alg != "RS256" {
		return "", fmt.Errorf("%w: it is not signed with RS256", ErrInvalid)
	}
	if _, critical := fields["crit"]; critical {
		return "", fmt.Errorf("%w: it has a critical extension", ErrInvalid)
	}
	if typ, present := fields["typ"]; present && typ != "JWT" && typ != "at+jwt" {
		return "", fmt.Errorf("%w: it is of another type", ErrInvalid)
	}
	kid, _ := fields["kid"].(string)
	if kid == "" || len(kid) > maxKeyID {
		return "", fmt.Errorf("%w: it names no key", ErrInvalid)
	}
	return kid, nil
}

func parseClaims(payload []byte) (Claims, error) {
	all, err := parseObject(payload)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: the payload is not a JSON object", ErrInvalid)
	}
	r := claimReader{all: all}
	c := Claims{
		Subject:   r.text("sub"),
		JTI:       r.text("jti"),
		OriginJTI: r.text("origin_jti"),
		Email:     r.text("email"),
		AuthTime:  r.time("auth_time"),
		IssuedAt:  r.time("iat"),
		Expires:   r.time("exp"),
		Use:       Use(r.text("token_use")),
		Groups:    r.texts("cognito:groups"),
		All:       all,
		issuer:    r.text("iss"),
		notBefore: r.time("nbf"),
	}
	switch c.Use {
	case ID:
		c.Username, c.ClientID = r.text("cognito:username"), r.text("aud")
	case Access:
		c.Username, c.ClientID = r.text("username"), r.text("client_id")
	}
	switch verified := all["email_verified"].(type) {
	case bool:
		c.EmailVerified = verified
	case string:
		c.EmailVerified = verified == "true"
	}
	if r.bad != "" {
		return Claims{}, fmt.Errorf("%w: claim %s is of the wrong kind", ErrInvalid, r.bad)
	}
	if c.Subject == "" || c.Expires.IsZero() || c.IssuedAt.IsZero() {
		return Claims{}, fmt.Errorf("%w: sub, exp or iat is missing", ErrInvalid)
	}
	return c, nil
}

// claimReader takes claims out of their map; bad names the first that is of the wrong kind.
type claimReader struct {
	all map[string]any
	bad string
}

func (r *claimReader) text(name string) string {
	value, present := r.all[name]
	s, ok := value.(string)
	if present && !ok {
		r.fail(name)
	}
	return s
}

// time reads a NumericDate (RFC 7519, section 2).
func (r *claimReader) time(name string) time.Time {
	value, present := r.all[name]
	if !present {
		return time.Time{}
	}
	number, ok := value.(json.Number)
	seconds, err := number.Float64()
	if !ok || err != nil || !(seconds >= 0 && seconds < 1e11) {
		r.fail(name)
		return time.Time{}
	}
	return time.UnixMilli(int64(seconds * 1000)).UTC()
}

func (r *claimReader) texts(name string) []string {
	value, present := r.all[name]
	if !present {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		r.fail(name)
		return nil
	}
	texts := make([]string, 0, len(list))
	for _, element := range list {
		s, ok := element.(string)
		if !ok {
			r.fail(name)
			return nil
		}
		texts = append(texts, s)
	}
	return texts
}

func (r *claimReader) fail(name string) {
	if r.bad == "" {
		r.bad = name
	}
}

// parseObject reads one JSON object and refuses names that occur twice: readers disagree about which counts (RFC 8259,
// section 4).
func parseObject(data []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	fields := make(map[string]any)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		if _, twice := fields[name]; twice {
			return nil, errors.New("a name occurs twice")
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if depth(value) > maxNested {
			return nil, errors.New("nested too deeply")
		}
		fields[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return fields, nil
}

func depth(value any) int {
	deepest := 0
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			deepest = max(deepest, depth(element))
		}
	case map[string]any:
		for _, element := range v {
			deepest = max(deepest, depth(element))
		}
	default:
		return 0
	}
	return deepest + 1
}
