package session

import (
	"slices"
	"strings"
	"time"
)

// Passed is when a factor last passed, by our clock.
type Passed struct {
	Factor Factor
	At     time.Time
}

// Factors are those that have passed in a session, each once, by name. There are few, and every request reads them: a map would take longer.
type Factors []Passed

// At is when the factor last passed; the zero time if it has not.
func (f Factors) At(factor Factor) time.Time {
	for i := range f {
		if f[i].Factor == factor {
			return f[i].At
		}
	}
	return time.Time{}
}

// Has reports whether the factor has passed at all.
func (f Factors) Has(factor Factor) bool {
	return slices.ContainsFunc(f, func(p Passed) bool { return p.Factor == factor })
}

// Newest is when a factor last passed; the zero time if none has.
func (f Factors) Newest() time.Time {
	var newest time.Time
	for i := range f {
		if f[i].At.After(newest) {
			newest = f[i].At
		}
	}
	return newest
}

// With is a copy in which the factor passed at that time.
func (f Factors) With(factor Factor, at time.Time) Factors {
	place, found := slices.BinarySearchFunc(f, factor, func(p Passed, factor Factor) int { return strings.Compare(string(p.Factor), string(factor)) })
	all := slices.Clone(f)
	if found {
		all[place].At = at
		return all
	}
	return slices.Insert(all, place, Passed{factor, at})
}
