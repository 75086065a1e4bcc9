package templates

import "time"

// Ids and classes that tests in a browser may rely on:
//
//	every page   #notice
//	sign-in      #email #send-link #passkey-button
//	check-mail   #resend #other-address
//	step-up      #passkey-button #send-code #code-form #code #verify-code #resend-code #phone #send-link #other-account
//	link         #continue (enabled once the script has taken the link)
//	account      #add-passkey #suggestion #suggestion-add #suggestion-refuse #passkeys
//	             .passkey[data-id] with .name .rename .delete, form.renaming with input[name=name] .save .cancel-rename
//	             dialog#confirm with #confirm-delete #confirm-cancel
//	             #change-phone #phone-form #phone #phone-send #phone-code-form #phone-code #phone-verify #phone-resend #phone-number
//	             #verify-phone #remove-phone
//	             .session[data-id] with .end-session, #sign-out-everywhere #sign-out
//	sign-out     #sign-out
//	signed-out   #sign-in
//	send-again   #send-again #discard
//	error        #reference #action

// Page is one of the page structs below.
type Page interface {
	page() string // file name less ".html"
}

// allPages has one of each.
var allPages = []Page{
	SignInPage{}, CheckMailPage{}, LinkPage{}, AccountPage{}, SignOutPage{}, SignedOutPage{}, HandoffPage{}, ErrorPage{}, ForbiddenPage{},
	StepUpPage{}, SendAgainPage{}, PassOnPage{},
}

// SignInPage asks for an e-mail address or a passkey; sign-in and sign-up are one form.
type SignInPage struct {
	Flow        string // sealed; goes with every request of the page
	Email       string // filled in
	Challenge   string // JSON: request options for a passkey, without user name; "": the script asks for some
	State       string // sealed; goes with Challenge
	Application string // host that asks, "app.example.com", or ""
	Error       string // code of a notice, or ""
	SignUp      bool   // new addresses are welcome
	Reference   string // of the request that failed, or ""
	People      []Person
}

// Person signed in with this browser before.
type Person struct {
	Email   string
	Passkey bool // with a passkey, the last time
}

// CheckMailPage tells that a link is on its way and waits for it to be used.
type CheckMailPage struct {
	Flow        string
	Email       string
	ResendAfter int    // seconds
	Notice      string // code, or ""
	StepUp      bool   // for somebody who is signed in: no other address, and this browser only
	Code        bool   // the mail has a code, too, that can be typed here
}

// StepUpPage asks somebody who is signed in to prove once more who they are, by the ways that are asked for and that they have.
type StepUpPage struct {
	Flow        string // sealed; goes with every request of the page
	Application string // host that asks, "app.example.com", or ""
	Account     string // whose session it is
	Method      string // of the one request that is approved, "DELETE"; "": the session alone is stepped up
	Target      string // path and query of that request, as people may read them
	Passkey     bool   // offered
	SMS         bool   // offered
	Link        bool   // offered
	Instead     bool   // the link stands in for what the person does not have
	Error       string // code of a notice, or ""
	Reference   string // of the request that failed, or ""
}

// LinkPage is where a mailed link lands. Opening it changes nothing; pressing its one button does.
type LinkPage struct {
	Flow        string
	Email       string // the account that the link is for
	Application string // host that asks, where a request is approved
	Method      string // of the one request that is approved, or ""
	Target      string // path and query of that request, as people may read them
	Current     string // another account that is signed in here, or ""
	SameBrowser bool   // the link was asked for in this browser
	Error       string // code: shown instead of the button, or above it where Link is kept
	Link        string // what could not be checked just now, for another press of the button; else ""
	Reference   string // of the request that failed, or ""
	RetryAfter  int    // seconds; 0: unknown
}

// AccountPage shows passkeys and sessions.
type AccountPage struct {
	Email          string
	Username       string
	Passkeys       []PasskeyRow
	Sessions       []SessionRow
	Suggest        bool // to add a passkey, unless this browser's user has refused
	RelyingPartyID string
	UserHandle     string // plain, as in WebAuthn's user.id before encoding
	FIDO2Base      string // path of the FIDO2 API; "": Base + "fido2/"
	Notice         string // code, or ""
	Applications   []string
	PhoneOffered   bool   // a phone number is of use here
	Phone          string // masked, or ""
	PhoneVerified  bool
}

// PasskeyRow is one passkey on the account page.
type PasskeyRow struct {
	ID       string // base64url
	Name     string
	Provider string // "" when unknown
	Synced   bool
	Created  time.Time
	LastUsed time.Time // zero: never
}

// SessionRow is one session on the account page.
type SessionRow struct {
	ID      string // public
	Device  string // a name, or a User-Agent header, which is shown shortened
	Address string
	Started time.Time
	Seen    time.Time
	Current bool
}

// SignOutPage asks before signing out.
type SignOutPage struct {
	Email string
	Flow  string // sealed; goes along with the form, "" when there is nowhere to go back to
}

// SignedOutPage says that it is done.
type SignedOutPage struct {
	SignInURL string // "": Base + "sign-in"
}

// PassOnPage sends a browser that is signed in on, by script: to an application, with the fragment of the address asked for.
type PassOnPage struct {
	Next        string // where to; for a handoff with a one-time code
	Handoff     bool   // Next is of no use without script
	OwnFragment bool   // Next brings the fragment of the address asked for; that of this page is another's
	SignedOut   bool   // after a sign-out, on to the last page
}

// HandoffPage takes the one-time code from the address's fragment and posts it to the same address as the form field "code". The
// answer is JSON that says where to go.
type HandoffPage struct {
	Again string // the page asked for, to begin again with; "" is the application's first page
}

// SendAgainPage asks, after a step-up, whether the form that waited for it is to be sent.
type SendAgainPage struct {
	Target     string // where it goes, as the person knows it
	Action     string // the same with what names the form
	DiscardURL string // where to go instead
}

// ErrorPage says what went wrong and what to do next.
type ErrorPage struct {
	Status     int
	Code       string // of a notice; an unknown one shows the text of an unexpected error
	Reference  string // finds the request in the logs; "" hides it
	RetryAfter int    // seconds; 0: unknown
	ActionURL  string // where the button leads; "": the sign-in page
	Action     string // what the button says: "retry", "sign_in", "account", "back"; "": fits the code
	NewTab     bool   // the button opens a tab of its own
}

// ForbiddenPage tells someone who is signed in that this account may not pass.
type ForbiddenPage struct {
	Email      string
	SignOutURL string // "": Base + "sign-out"
	Reference  string
}

func (SignInPage) page() string    { return "sign-in" }
func (CheckMailPage) page() string { return "check-mail" }
func (StepUpPage) page() string    { return "step-up" }
func (LinkPage) page() string      { return "link" }
func (AccountPage) page() string   { return "account" }
func (SignOutPage) page() string   { return "sign-out" }
func (SignedOutPage) page() string { return "signed-out" }
func (PassOnPage) page() string    { return "pass-on" }
func (HandoffPage) page() string   { return "handoff" }
func (SendAgainPage) page() string { return "send-again" }
func (ErrorPage) page() string     { return "error" }
func (ForbiddenPage) page() string { return "forbidden" }
