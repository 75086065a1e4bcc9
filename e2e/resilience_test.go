package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// replies is a service's answer, whatever it was asked.
func replies(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hangsUp is a service that is not there.
func hangsUp(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// TestCognitoOutage: whenever the cloud fails, the person reads what to do, has a reference that the operator finds in the log, and
// goes on later without typing anything again.
func TestCognitoOutage(t *testing.T) {
	t.Parallel()
	c := startCloud(t)
	d := c.deploy(t)
	b := browse(t)
	target := d.app + "/reports?year=2026#q3"
	b.open(target)
	b.arriveBelow(d.portal + "/auth/sign-in")
	b.fill("#email", anna)

	// Nothing of this is repeated by itself, for nobody knows how far it came.
	for operation, how := range map[string]http.HandlerFunc{
		"SignUp":                 replies(http.StatusInternalServerError, `{"__type":"InternalErrorException"}`),
		"InitiateAuth":           hangsUp,
		"RespondToAuthChallenge": replies(http.StatusOK, "<html>a page of some proxy</html>"),
	} {
		c.breaks(operation, how)
		before := b.reference()
		b.click("#send-link")
		b.until(fmt.Sprintf("(document.querySelector('#notice code')?.textContent ?? %q) !== %q", before, before))
		b.saysUnreachable(d)
		if n := c.mends(operation); n != 1 {
			t.Errorf("%s was asked %d times", operation, n)
		}
		if typed := ask[string](b, "document.querySelector('#email').value"); typed != anna {
			t.Errorf("without %s the page forgot the address and has %q", operation, typed)
		}
	}

	// Too many requests are asked again, a little later, and then the page says when to come back.
	c.breaks("RespondToAuthChallenge", replies(http.StatusBadRequest, `{"__type":"TooManyRequestsException","message":"Rate exceeded"}`))
	b.click("#send-link")
	b.see("#action")
	if n := c.mends("RespondToAuthChallenge"); n != 3 {
		t.Errorf("what was throttled was asked %d times", n)
	}
	b.shows("too many")
	b.accessible("too many requests")
	b.click("#action")
	b.see("#send-link")
	if typed := ask[string](b, "document.querySelector('#email').value"); typed != anna {
		t.Errorf("back from the page for too many requests the address is %q", typed)
	}
	b.click("#send-link")
	b.arriveBelow(d.portal + "/auth/check-mail")

	// A link that could not be checked is not used up, and the page still has it.
	link := c.link()
	c.breaks("RespondToAuthChallenge", replies(http.StatusInternalServerError, `{"__type":"InternalErrorException"}`))
	b.open(link)
	b.click("#continue")
	b.saysUnreachable(d)
	if n := c.mends("RespondToAuthChallenge"); n != 1 {
		t.Errorf("the link was tried %d times", n)
	}
	b.click("#continue")
	b.arrive(target)
	b.greets(anna, "/reports?year=2026", "#q3")

	// The passkeys' table is out of capacity: whoever is signed in stays so, and the account page is back when the table is.
	c.breaks("Query", replies(http.StatusBadRequest, `{"__type":"ProvisionedThroughputExceededException","message":"slow down"}`))
	b.open(d.portal + "/auth/account")
	b.saysUnreachable(d)
	if n := c.mends("Query"); n != 3 {
		t.Errorf("the table was asked %d times", n)
	}
	b.click("#action")
	b.see("#add-passkey")
}

// reference is what an error page shows, "" elsewhere.
func (b *tab) reference() string {
	b.t.Helper()
	return ask[string](b, "document.querySelector('#notice code, #reference')?.textContent ?? ''")
}

// shows waits for a page that is complete and tells this.
func (b *tab) shows(words string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.readyState === 'complete' && document.querySelector('#notice')?.textContent.toLowerCase().includes(%q)", words))
}

// saysUnreachable checks what the page says and that the log knows its reference.
func (b *tab) saysUnreachable(d *deployment) {
	b.t.Helper()
	b.shows("cannot be reached")
	b.accessible("a backend that cannot be reached")
	reference := b.reference()
	log, err := os.ReadFile(d.log)
	if err != nil {
		b.t.Fatal(err)
	}
	if reference == "" || !strings.Contains(string(log), `"reference":"`+reference+`"`) {
		b.t.Errorf("the log does not know the reference %q", reference)
	}
}

// Two tabs of one browser sign in at once, each on its way to another page; the links are used in the other order.
func TestTabsSignInSideBySide(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	first := browse(t)
	second := first.beside()
	links := make(map[*tab]string)
	for number, b := range []*tab{first, second} {
		b.open(fmt.Sprintf("%s/reports?tab=%d#here", d.app, number))
		b.arriveBelow(d.portal + "/auth/sign-in")
	}
	for number, b := range []*tab{first, second} {
		person := fmt.Sprintf("tab%d@example.com", number)
		b.fill("#email", person)
		b.click("#send-link")
		b.arriveBelow(d.portal + "/auth/check-mail")
		links[b] = d.link(t, person, 0)
	}
	second.open(links[second])
	second.click("#continue")
	second.arrive(d.app + "/reports?tab=1#here")
	// The other tab's link is for another account: its page says so, and then it leads where that tab wanted to go.
	first.open(links[first])
	first.see("#continue")
	if text := first.text("body"); !strings.Contains(text, "tab0@example.com") || !strings.Contains(text, "tab1@example.com") {
		t.Errorf("the page does not name both accounts:\n%s", text)
	}
	first.click("#continue")
	first.arrive(d.app + "/reports?tab=0#here")
}

// A browser that has lost the portal's cookie starts afresh by itself: with the address that was typed, and to the page that was wanted.
func TestLostFlowStartsAfresh(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	b := browse(t)
	target := d.app + "/reports?year=2026#q3"
	b.open(target)
	b.arriveBelow(d.portal + "/auth/sign-in")
	b.fill("#email", anna)
	b.forgetCookies("localhost")
	b.click("#send-link")
	b.noticed()
	if typed := ask[string](b, "document.querySelector('#email').value"); typed != anna {
		t.Errorf("the page forgot the address and has %q", typed)
	}
	b.click("#send-link")
	b.arriveBelow(d.portal + "/auth/check-mail")
	b.open(d.link(t, anna, 0))
	b.click("#continue")
	b.arrive(target)
	b.greets(anna, "/reports?year=2026", "#q3")
}

// forgetCookies deletes those of one host.
func (b *tab) forgetCookies(host string) {
	b.t.Helper()
	forgotten := 0
	for _, cookie := range b.jar() {
		if cookie.Domain != host {
			continue
		}
		if _, err := chromedp.Call(b.ctx, network.DeleteCookies, network.DeleteCookiesParams{Name: cookie.Name, Domain: host}); err != nil {
			b.t.Fatal(err)
		}
		forgotten++
	}
	if forgotten == 0 {
		b.t.Fatalf("there are no cookies of %s", host)
	}
}
