package localpool

import (
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
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

// BenchmarkPasskeySignInParallel shares fsyncs among users.
func BenchmarkPasskeySignInParallel(b *testing.B) {
	p := openPool(b, testConfig(b, newClock()))
	type person struct {
		name          string
		authenticator *passkeytest.Authenticator
	}
	people := make(chan person, 64)
	for i := range cap(people) {
		name := "user" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + "@example.com"
		people <- person{name, addPasskey(b, p, signUp(b, p, name))}
	}
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			who := <-people
			first, err := initiate(p, who.name)
			if err != nil {
				b.Error(err)
				return
			}
			options, err := challenge.ParsePasskeyOptions(first.ChallengeParameters[challenge.ParamFIDO2Options])
			if err != nil {
				b.Error(err)
				return
			}
			answer := who.authenticator.Get(b, passkey.RequestOptions{Challenge: options.Challenge, RPID: options.RelyingPartyID}).Encode()
			out, err := respond(p, *first.Session, who.name, answer, withKey)
			if err != nil || out.AuthenticationResult == nil || out.ChallengeName != types.ChallengeNameType("") {
				b.Error(err)
				return
			}
			people <- who
		}
	})
}

// BenchmarkTokenSignaturesParallel is the floor: the two signatures a sign-in cannot do without, on all processors.
func BenchmarkTokenSignaturesParallel(b *testing.B) {
	p := openPool(b, testConfig(b, newClock()))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			for range 2 {
				if _, err := p.keys.signToken(map[string]any{"sub": "x"}); err != nil {
					b.Error(err)
					return
				}
			}
		}
	})
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
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
