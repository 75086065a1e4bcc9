package session

import (
	"testing"
	"time"
)

func TestNewestFactor(t *testing.T) {
	morning, noon := time.Unix(1770000000, 0), time.Unix(1770010000, 0)
	var none Factors
	if newest := none.Newest(); !newest.IsZero() {
		t.Errorf("without factors: %v", newest)
	}
	both := none.With(Passkey, noon).With(MagicLink, morning)
	if newest := both.Newest(); !newest.Equal(noon) {
		t.Errorf("got %v, want %v", newest, noon)
	}
	if newest := both.With(MagicLink, noon.Add(time.Second)).Newest(); !newest.Equal(noon.Add(time.Second)) {
		t.Errorf("after another one: %v", newest)
	}
}

// A copy of a session has its own factors: what passes in one has not passed in the other.
func TestFactorsAreNotShared(t *testing.T) {
	morning, noon := time.Unix(1770000000, 0), time.Unix(1770010000, 0)
	before := Factors(nil).With(Passkey, morning).With(SMS, morning)
	roomy := append(make(Factors, 0, 8), before...)
	for _, f := range []Factors{before, roomy} {
		_ = f.With(SMS, noon)
		_ = f.With(MagicLink, noon)
		if !f.At(SMS).Equal(morning) || f.Has(MagicLink) || len(f) != 2 || !f.At(Passkey).Equal(morning) {
			t.Errorf("%v", f)
		}
	}
}
