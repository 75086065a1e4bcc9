package localpool

import (
	"log/slog"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// Anyone can type any address into a sign-in page. Accounts made so are removed after a while unless somebody has signed in, an address or
// number was verified, or an administrator has put them into a group. Accounts that administrators make stay. The expiry index leads to those that
// are due, so nothing else is read.

// watchUnverified has an account looked at once its time is over; lifetime 0 means never.
func watchUnverified(tx *bbolt.Tx, u user, lifetime time.Duration) error {
	if lifetime == 0 {
		return nil
	}
	return tx.Bucket([]byte(bucketExpiry)).Put(expiryKey(uint64(u.Created.Add(lifetime).Unix()), bucketUsers, []byte(u.Username)), nil)
}

// keepUser notes that somebody has signed in.
func keepUser(tx *bbolt.Tx, username string, now time.Time) error {
	u, found, err := findUser(tx, username, now)
	if err != nil || !found || !u.SelfMade {
		return err
	}
	u.SelfMade = false
	return putUser(tx, u)
}

// removeUnverified removes the account if its time is over. The time may have become longer since. It never fails because of one account: it is
// part of a commit that belongs to others.
func (p *Pool) removeUnverified(tx *bbolt.Tx, key []byte, now time.Time) error {
	s := p.current.Load()
	var u user
	found, err := getItem(tx, bucketUsers, key, now, &u)
	if err != nil {
		s.Logger.Error("looking for unverified accounts", slog.Any("error", err))
		return nil
	}
	if !found || s.UnverifiedLifetime == 0 || !u.SelfMade || u.hasVerified() || len(u.Groups) > 0 {
		return nil
	}
	if now.Before(u.Created.Add(s.UnverifiedLifetime)) {
		return watchUnverified(tx, u, s.UnverifiedLifetime)
	}
	s.Logger.Info("removing an account that nobody has verified or signed in to", slog.String("user", u.Username))
	return s.Names.dropUser(tx, u)
}

// hasVerified reports whether an address or a number of the account was verified.
func (u user) hasVerified() bool {
	for name, value := range u.Attributes {
		if strings.HasSuffix(name, "_verified") && value == "true" {
			return true
		}
	}
	return false
}
