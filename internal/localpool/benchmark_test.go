package localpool

import (
	"cmp"
	"errors"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
)

// BenchmarkPasskeySignIn is a whole sign-in through the AWS SDK: two calls, five trigger events, two RSA-2048 signatures and the
// fsyncs of the counter and of the refresh token.
func BenchmarkPasskeySignIn(b *testing.B) {
	p := openPool(b, testConfig(b, newClock()))
	sub := signUp(b, p, alice)
	a := addPasskey(b, p, sub)
	b.ReportAllocs()
	for b.Loop() {
		first := mustInitiate(b, p, alice)
		out, err := respond(p, *first.Session, alice, assert(b, a, first), withKey)
		if err != nil || out.AuthenticationResult == nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSignInsInTurns compares sign-ins of many at once, who share fsyncs, with the two signatures each that a sign-in cannot do
// without, on all processors. They are measured in turns, because the machine may be busier in one minute than in the next; the round with
// the median ratio counts.
func BenchmarkSignInsInTurns(b *testing.B) {
	const people, rounds, each = 64, 7, 256
	p := openPool(b, testConfig(b, newClock()))
	waiting := make(chan person, people)
	for i := range people {
		name := "user" + strconv.Itoa(i) + "@example.com"
		waiting <- person{name, addPasskey(b, p, signUp(b, p, name))}
	}
	var turns []turn
	for b.Loop() {
		for range rounds {
			var t turn
			t.signIns = together(people, each, func() error {
				who := <-waiting
				err := who.signIn(b, p)
				waiting <- who
				return err
			}, b)
			t.signatures = together(runtime.GOMAXPROCS(0), each, func() error {
				_, err := p.keys.signToken(map[string]any{"sub": "x"})
				_, second := p.keys.signToken(map[string]any{"sub": "x"})
				return errors.Join(err, second)
			}, b)
			turns = append(turns, t)
		}
	}
	slices.SortFunc(turns, func(x, y turn) int { return cmp.Compare(x.ratio(), y.ratio()) })
	median := turns[len(turns)/2]
	b.ReportMetric(float64(median.signIns.Nanoseconds())/each, "signin-ns")
	b.ReportMetric(float64(median.signatures.Nanoseconds())/each, "signatures-ns")
}

// turn is what as many sign-ins and pairs of signatures took.
type turn struct{ signIns, signatures time.Duration }

// ratio is the rate of sign-ins over that of signatures.
func (t turn) ratio() float64 { return t.signatures.Seconds() / t.signIns.Seconds() }

// together does the work so many times, with so many at once.
func together(workers, times int, work func() error, b *testing.B) time.Duration {
	var left atomic.Int64
	left.Store(int64(times))
	begin := time.Now()
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if err := work(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	return time.Since(begin)
}

// person has a passkey.
type person struct {
	name          string
	authenticator *passkeytest.Authenticator
}

func (who person) signIn(b *testing.B, p *Pool) error {
	first, err := initiate(p, who.name)
	if err != nil {
		return err
	}
	options, err := challenge.ParsePasskeyOptions(first.ChallengeParameters[challenge.ParamFIDO2Options])
	if err != nil {
		return err
	}
	answer := who.authenticator.Get(b, passkey.RequestOptions{Challenge: options.Challenge, RPID: options.RelyingPartyID}).Encode()
	out, err := respond(p, *first.Session, who.name, answer, withKey)
	if err == nil && out.AuthenticationResult == nil {
		err = errors.New("no tokens")
	}
	return err
}

// BenchmarkManyUsers is the opening of a pool that has 100,000 users, with the file's size and what an open pool keeps in memory.
func BenchmarkManyUsers(b *testing.B) {
	const users, batch = 100_000, 1_000
	config := testConfig(b, newClock())
	p := openPool(b, config)
	for first := 0; first < users; first += batch {
		err := p.db.update(b.Context(), func(tx *bbolt.Tx) error {
			for i := first; i < first+batch; i++ {
				id, err := newUUID(p.rand())
				if err != nil {
					return err
				}
				email := "user" + strconv.Itoa(i) + "@example.com"
				if err := putItem(tx, bucketAliases, joinKey(aliasEmail, email), time.Time{}, id); err != nil {
					return err
				}
				if err := putUser(tx, user{Username: id, Sub: id, Attributes: map[string]string{"email": email, "email_verified": "true"}, Status: statusConfirmed}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		b.Fatal(err)
	}
	file, err := os.Stat(config.Path)
	if err != nil {
		b.Fatal(err)
	}
	var memory int64
	for b.Loop() {
		before := heap()
		p, err := Open(config)
		if err != nil {
			b.Fatal(err)
		}
		memory = heap() - before
		if out, err := initiate(p, "user99999@example.com"); err != nil || out.Session == nil {
			b.Fatal(err)
		}
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(memory), "heap-bytes")
	b.ReportMetric(float64(file.Size()), "file-bytes")
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // pools of memory are emptied by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
