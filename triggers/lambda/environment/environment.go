// Package environment reads the environment variables of the Lambdas. Their names, defaults and forms are those of
// amazon-cognito-passwordless-auth where that has them.
//
// A [Reader] goes through all variables before it complains, so that one start shows everything that wants mending.
package environment

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrInvalid is wrapped by [Reader.Err].
var ErrInvalid = errors.New("environment")

// Reader reads variables and collects what is wrong with them. The zero value is not usable: see [New].
type Reader struct {
	lookup   func(name string) string
	problems []string
}

// New reads by lookup, which is [os.Getenv] in a Lambda. A variable that is set and empty counts as not set.
func New(lookup func(name string) string) *Reader { return &Reader{lookup: lookup} }

// Text returns the variable without surrounding space, or the fallback.
func (r *Reader) Text(name, fallback string) string {
	if v := strings.TrimSpace(r.lookup(name)); v != "" {
		return v
	}
	return fallback
}

// Required returns the variable; without one, what follows "set it to" in the complaint is mend.
func (r *Reader) Required(name, mend string) string {
	v := r.Text(name, "")
	if v == "" {
		r.Complain(name, "is missing: set it to "+mend)
	}
	return v
}

// List returns the parts between commas, without surrounding space and without empty ones.
func (r *Reader) List(name string) []string {
	var list []string
	for part := range strings.SplitSeq(r.lookup(name), ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// Flag is on when the variable has a value: existing deployments set "TRUE" and leave it empty for off. They take "false" for on, too, so
// a word that says off is refused rather than guessed at.
func (r *Reader) Flag(name string) bool {
	switch v := strings.ToLower(r.Text(name, "")); v {
	case "":
		return false
	case "true", "1", "yes", "on":
		return true
	default:
		r.Complain(name, fmt.Sprintf("is %q: set it to TRUE for on, and leave it empty for off", v))
		return false
	}
}

// Number returns a whole number from least to most.
func (r *Reader) Number(name string, fallback, least, most int) int {
	v := r.Text(name, "")
	if v == "" {
		return fallback
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		r.Complain(name, fmt.Sprintf("is %q: set it to a whole number from %d to %d, or leave it empty for %d", v, least, most, fallback))
		return fallback
	}
	return n
}

// Seconds returns a number of seconds, from 1 to a day.
func (r *Reader) Seconds(name string, fallback time.Duration) time.Duration {
	return time.Duration(r.Number(name, int(fallback/time.Second), 1, 86_400)) * time.Second
}

// Milliseconds returns a number of milliseconds, from 1 to an hour.
func (r *Reader) Milliseconds(name string, fallback time.Duration) time.Duration {
	return time.Duration(r.Number(name, int(fallback/time.Millisecond), 1, 3_600_000)) * time.Millisecond
}

// OneOf returns one of the allowed values; the first is the fallback.
func (r *Reader) OneOf(name string, allowed ...string) string {
	v := r.Text(name, allowed[0])
	if !slices.Contains(allowed, v) {
		r.Complain(name, fmt.Sprintf("is %q: set it to one of %s, or leave it empty for %s", v, strings.Join(allowed, ", "), allowed[0]))
		return allowed[0]
	}
	return v
}

// Complain adds a problem: what says what is wrong with the variable, and what to set.
func (r *Reader) Complain(name, what string) { r.problems = append(r.problems, name+" "+what) }

// Err is nil, or one error that names every bad variable and says what to mend.
func (r *Reader) Err() error {
	if len(r.problems) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrInvalid, strings.Join(r.problems, "; "))
}

// Check complains of variables that a component refuses in its own words.
func (r *Reader) Check(names string, err error) {
	if err != nil {
		r.Complain(names, "will not do: "+err.Error())
	}
}
