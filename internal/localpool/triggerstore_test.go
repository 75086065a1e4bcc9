package localpool

import (
	"testing"

	"github.com/caddy-cognito/passwordless/triggers/aws/storetest"
)

// The pool's file keeps the promises that the secrets table of a deployment keeps.
func TestTriggerStore(t *testing.T) {
	s := &triggerStore{openPool(t, testConfig(t, &clock{at: storetest.Now}))}
	storetest.Conform(t, storetest.Store{Put: s, Leases: s, Limiter: s, Find: s, Operate: s, Receipts: s, Read: s})
}
