package localpool

import (
	"strings"
	"testing"
)

// A person's phone number is changed and removed: the mails go to the address once it is proven, not before, and have none of the number but two
// digits.
func TestPhoneChangesAreMailed(t *testing.T) {
	p := openPool(t, testConfig(t, newClock()))
	made, err := p.AddAccount(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	told := func(event, digits string) []Message {
		t.Helper()
		known := len(p.Inbox().Messages())
		if err := p.PhoneChanged(t.Context(), made.Username, event, digits); err != nil {
			t.Fatal(err)
		}
		messages := p.Inbox().Messages()
		return messages[:len(messages)-known] // newest first
	}
	if mails := told("changed", "78"); len(mails) != 0 {
		t.Errorf("an address that nobody has proven got %+v", mails)
	}
	signInByLink(t, p, alice)
	if mails := told("changed", "78"); len(mails) != 1 || mails[0].To != alice || !strings.Contains(mails[0].Text, "ends in 78") {
		t.Errorf("%+v", mails)
	}
	if mails := told("removed", ""); len(mails) != 1 || !strings.Contains(mails[0].Subject, "removed") {
		t.Errorf("%+v", mails)
	}
	for event, digits := range map[string]string{"changed": "+4915112345678", "verified": "78"} {
		if err := p.PhoneChanged(t.Context(), made.Username, event, digits); err == nil {
			t.Errorf("%s %s was mailed", event, digits)
		}
	}
}
