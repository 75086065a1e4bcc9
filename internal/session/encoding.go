package session

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"sort"
	"strings"
	"time"
)

// The cookie's plaintext is a small binary form: reflection-free decoding keeps the guard's cost down, and every string of a
// session is a slice of one allocation. Nothing is compressed: what does not fit goes to the record, which is cheaper to look
// up in a cache than to inflate, and a cookie of 4 KB is a burden on every request.

const (
	cookieVersion = 1

	flagEmailVerified = 1 << 0
	flagPartial       = 1 << 1

	sidSize   = 16
	ownerSize = 16

	maxClaimDepth = 8
)

// owner is the keyed hash of a subject: it names a user in storage and in the deny list.
type owner [ownerSize]byte

func (o owner) String() string { return hex.EncodeToString(o[:]) }

var errEncoding = errors.New("malformed session")

// appendSession encodes s. Groups and claims are left out of a partial one.
func appendSession(dst []byte, s Session, who owner, partial bool) ([]byte, error) {
	sid, err := hex.DecodeString(s.ID)
	if err != nil || len(sid) != sidSize {
		return nil, errEncoding
	}
	var flags byte
	if s.EmailVerified {
		flags |= flagEmailVerified
	}
	if partial {
		flags |= flagPartial
	}
	dst = append(dst, cookieVersion, flags)
	dst = append(dst, sid...)
	dst = append(dst, who[:]...)
	dst = binary.AppendUvarint(dst, s.Generation)
	dst = appendString(dst, s.Subject)
	if s.Username == s.Subject { // as a rule in Cognito: say it once
		dst = append(dst, 0)
	} else {
		dst = appendString(append(dst, 1), s.Username)
	}
	dst = appendString(dst, s.Email)
	for _, t := range [...]time.Time{s.AuthTime, s.Started, s.Ends, s.Seen, s.AccessExpires} {
		dst = appendTime(dst, t)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Factors)))
	for _, passed := range s.Factors {
		dst = appendString(dst, string(passed.Factor))
		dst = appendTime(dst, passed.At)
	}
	if partial {
		return dst, nil
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Groups)))
	for _, g := range s.Groups {
		dst = appendString(dst, g)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Claims)))
	return appendClaims(dst, s.Claims, 0)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendTime writes milliseconds since 1970, plus one; zero is the zero time.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() || t.UnixMilli() < 0 {
		return append(dst, 0)
	}
	return binary.AppendUvarint(dst, uint64(t.UnixMilli())+1)
}

// Tags of claim values: JSON's kinds.
const (
	tagNull = iota
	tagFalse
	tagTrue
	tagNumber
	tagString
	tagList
	tagObject
	tagDecimal // a number that a float64 does not hold exactly, as text
)

func appendClaims(dst []byte, claims map[string]any, depth int) ([]byte, error) {
	names := make([]string, 0, len(claims))
	for name := range claims {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		var err error
		dst = appendString(dst, name)
		if dst, err = appendValue(dst, claims[name], depth); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func appendValue(dst []byte, value any, depth int) ([]byte, error) {
	if depth > maxClaimDepth {
		return nil, errEncoding
	}
	switch v := value.(type) {
	case nil:
		return append(dst, tagNull), nil
	case bool:
		if v {
			return append(dst, tagTrue), nil
		}
		return append(dst, tagFalse), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(dst, tagNumber), math.Float64bits(v)), nil
	case json.Number:
		if f, exact := asFloat(v); exact {
			return appendValue(dst, f, depth)
		}
		if _, ok := ParseNumber(string(v)); !ok {
			return nil, errEncoding
		}
		return appendString(append(dst, tagDecimal), string(v)), nil
	case string:
		return appendString(append(dst, tagString), v), nil
	case []any:
		dst = binary.AppendUvarint(append(dst, tagList), uint64(len(v)))
		for _, element := range v {
			var err error
			if dst, err = appendValue(dst, element, depth+1); err != nil {
				return nil, err
			}
		}
		return dst, nil
	case map[string]any:
		dst = binary.AppendUvarint(append(dst, tagObject), uint64(len(v)))
		return appendClaims(dst, v, depth+1)
	default: // a Go value that a test or an operator's code put in: take its JSON form
		data, err := json.Marshal(v)
		if err != nil {
			return nil, errEncoding
		}
		number, ok := ParseNumber(string(data))
		if ok {
			return appendValue(dst, number, depth)
		}
		var plain Claims
		if err := json.Unmarshal(append(append([]byte(`{"":`), data...), '}'), &plain); err != nil {
			return nil, errEncoding
		}
		return appendValue(dst, plain[""], depth+1)
	}
}

// decodeSession is the inverse of appendSession.
func decodeSession(data []byte) (Session, owner, error) {
	if len(data) < 2+sidSize+ownerSize || data[0] != cookieVersion || data[1]&^(flagEmailVerified|flagPartial) != 0 {
		return Session{}, owner{}, errEncoding
	}
	flags := data[1]
	who := owner(data[2+sidSize:])
	// One string for the ID and all that follows: this runs on every request, and each string of its own is an allocation.
	var sid [2 * sidSize]byte
	hex.Encode(sid[:], data[2:2+sidSize])
	var whole strings.Builder
	whole.Grow(len(sid) + len(data) - 2 - sidSize - ownerSize)
	whole.Write(sid[:])
	whole.Write(data[2+sidSize+ownerSize:])
	d := decoder{rest: whole.String()[len(sid):]}
	s := Session{
		ID:            whole.String()[:len(sid)],
		EmailVerified: flags&flagEmailVerified != 0,
		Partial:       flags&flagPartial != 0,
		Generation:    d.uvarint(),
		Subject:       d.text(),
	}
	if d.byte() == 0 {
		s.Username = s.Subject
	} else {
		s.Username = d.text()
	}
	s.Email = d.text()
	s.AuthTime, s.Started, s.Ends, s.Seen, s.AccessExpires = d.time(), d.time(), d.time(), d.time(), d.time()
	if n := d.count(2); n > 0 {
		s.Factors = make(Factors, n)
		for i := range s.Factors {
			s.Factors[i] = Passed{Factor(d.text()), d.time()}
		}
	}
	if !s.Partial {
		if n := d.count(1); n > 0 {
			s.Groups = make([]string, n)
			for i := range s.Groups {
				s.Groups[i] = d.text()
			}
		}
		if n := d.count(2); n > 0 {
			s.Claims = d.claims(n, 0)
		}
	}
	if d.bad || d.rest != "" {
		return Session{}, owner{}, errEncoding
	}
	return s, who, nil
}

// decoder reads from a string, so that what it returns are slices of it. After the first malformation it returns zero values.
type decoder struct {
	rest string
	bad  bool
}

func (d *decoder) fail() { d.bad, d.rest = true, "" }

func (d *decoder) byte() byte {
	if d.rest == "" {
		d.fail()
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) uvarint() uint64 {
	var x uint64
	for i := 0; i < len(d.rest) && i < binary.MaxVarintLen64; i++ {
		b := d.rest[i]
		if b < 0x80 {
			if i == binary.MaxVarintLen64-1 && b > 1 || i > 0 && b == 0 {
				break
			}
			d.rest = d.rest[i+1:]
			return x | uint64(b)<<(7*i)
		}
		x |= uint64(b&0x7f) << (7 * i)
	}
	d.fail()
	return 0
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.fail()
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) time() time.Time {
	ms := d.uvarint()
	if ms == 0 {
		return time.Time{}
	}
	if ms > 1<<53 {
		d.fail()
		return time.Time{}
	}
	return time.UnixMilli(int64(ms - 1)).UTC()
}

// count reads a number of elements, each of which takes at least size bytes: a lie cannot make us allocate.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.rest)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) claims(n, depth int) map[string]any {
	m := make(map[string]any, n)
	for range n {
		name := d.text()
		m[name] = d.value(depth)
	}
	return m
}

func (d *decoder) value(depth int) any {
	if depth > maxClaimDepth {
		d.fail()
		return nil
	}
	switch d.byte() {
	case tagNull:
		return nil
	case tagFalse:
		return false
	case tagTrue:
		return true
	case tagNumber:
		if len(d.rest) < 8 {
			d.fail()
			return nil
		}
		var bits uint64
		for i := range 8 {
			bits = bits<<8 | uint64(d.rest[i])
		}
		d.rest = d.rest[8:]
		return math.Float64frombits(bits)
	case tagString:
		return d.text()
	case tagDecimal:
		n, ok := ParseNumber(d.text())
		if _, exact := asFloat(n); !ok || exact {
			d.fail()
			return nil
		}
		return n
	case tagList:
		list := make([]any, d.count(1))
		for i := range list {
			list[i] = d.value(depth + 1)
		}
		return list
	case tagObject:
		return d.claims(d.count(2), depth+1)
	default:
		d.fail()
		return nil
	}
}
