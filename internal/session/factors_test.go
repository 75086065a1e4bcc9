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
