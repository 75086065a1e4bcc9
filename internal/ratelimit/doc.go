// Package ratelimit bounds what senders, accounts and a whole realm may ask for, and keeps a flood by strangers away from everybody
// else.
//
// Each act has token buckets per address, per network around it, per account, and one for all. The shared bucket is not first come,
// first served: every sender has to leave a part of it to senders who have asked less lately, and strangers have to leave a part to
// people who are signed in or have proven who they are. So a flood competes with itself, whatever number of addresses it has: see
// [Limiter.Stranger].
package ratelimit
