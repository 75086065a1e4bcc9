package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// exampleScript is the JavaScript of a guide that defines a function.
func exampleScript(t *testing.T, page, function string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?s)```js\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(block[1], "function "+function+"(") {
			return block[1]
		}
	}
	t.Fatalf("%s has no example %s", page, function)
	return ""
}

// A script of the application runs the example of docs/guard.md: its page stays as it is, the person confirms in another tab, and the same
// request passes once. Another body, and the same once more, are asked about again; whoever closes the dialog gets the 401.
func TestScriptHasARequestApproved(t *testing.T) {
	t.Parallel()
	d := deployOrders(t)
	person := browse(t)
	d.signInWithPasskey(person)
	script := person.beside()
	script.open(d.app + "/")
	ask[bool](script, "(() => {"+exampleScript(t, "../docs/guard.md", "approved")+`
		window.askPerson = (words, address) => new Promise((answer) => { window.asked = address; window.answer = answer; });
		window.order = (article) => {
			window.asked = window.outcome = '';
			approved('/orders', 'POST', { article }).then(async (r) => { window.outcome = r.status + ' ' + await r.text(); });
		};
		return true;
	})()`)
	order := func(article string) (address string) {
		ask[bool](script, "(order('"+article+"'), true)")
		script.until("!!window.asked")
		return ask[string](script, "window.asked")
	}
	outcome := func(confirmed string) string {
		ask[bool](script, "(answer("+confirmed+"), true)")
		script.until("!!window.outcome")
		return ask[string](script, "window.outcome")
	}

	first := order("tea")
	person.open(first)
	if shown := person.text("#transaction"); !strings.Contains(shown, "Send") || !strings.Contains(shown, "/orders") {
		t.Errorf("the page says that %q is approved", shown)
	}
	person.click("#passkey-button")
	person.arrive(d.app + "/")
	if got := outcome("true"); !strings.HasPrefix(got, "200 ") || !strings.Contains(got, "X-Passwordless-Transaction") {
		t.Errorf("the approved request: %.200s", got)
	}
	if at := script.location(); at != d.app+"/" {
		t.Errorf("the script's page went to %s", at)
	}

	if second := order("tea"); second == first {
		t.Error("one address for two transactions")
	}
	if got := outcome("true"); !strings.HasPrefix(got, "401 ") {
		t.Errorf("what nobody confirmed a second time: %.200s", got)
	}
	coffee, cake := order("coffee"), order("cake")
	person.open(coffee)
	person.click("#passkey-button")
	person.arrive(d.app + "/")
	if got := outcome("true"); !strings.HasPrefix(got, "401 ") { // of the cake
		t.Errorf("an order beside the one that was confirmed: %.200s", got)
	}
	person.open(cake)
	ask[bool](person, "(location.reload(), true)")
	person.see("#passkey-button")
	person.click("#passkey-button")
	person.arrive(d.app + "/")
	if order("pie"); !strings.HasPrefix(outcome("false"), "401 ") {
		t.Error("a dialog that was closed lets the request through")
	}
}
