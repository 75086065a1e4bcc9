package e2e

import (
	"strings"
	"testing"
)

// On a shared machine the next person presses Back after a sign-out, and sees nothing.
func TestBackAfterSignOut(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	b.withoutAutofill()
	b.open(d.app + "/reports?year=2026")
	d.signInByLink(b, anna, d.app+"/reports?year=2026")
	b.click("#sign-out")
	b.arriveBelow(d.portal + "/auth/sign-out")
	b.click("#sign-out")
	b.until("location.pathname === '/auth/signed-out'")
	if at := b.location(); !strings.HasPrefix(at, d.portal) {
		t.Errorf("the last page is %s", at)
	}
	b.until("(history.go(-2), true)")
	b.arriveBelow(d.portal + "/auth/sign-in")
	if ask[bool](b, "document.body.innerText.includes('"+anna+"') && !!document.querySelector('#path')") {
		t.Error("the application's page is shown")
	}
}
