package caddyauth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	cognito "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/caddy-cognito/passwordless/internal/challenge"
	"github.com/caddy-cognito/passwordless/internal/localpool"
	"github.com/caddy-cognito/passwordless/passkey"
	"github.com/caddy-cognito/passwordless/passkey/passkeytest"
	"github.com/caddy-cognito/passwordless/userpool"
)

// recordedPool is the embedded pool behind the real client, and notes every exchange between them.
type recordedPool struct {
	*portalTest
	pool *localpool.Pool

	mu        sync.Mutex
	exchanges []string
}

// RoundTrip notes operation, members and sizes of the question, and status, members and sizes of the answer.
func (p *recordedPool) RoundTrip(r *http.Request) (*http.Response, error) {
	asked, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(asked))
	w, err := p.pool.Client().Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answered, err := io.ReadAll(w.Body)
	if err != nil {
		return nil, err
	}
	w.Body = io.NopCloser(bytes.NewReader(answered))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exchanges = append(p.exchanges, fmt.Sprint(r.Header.Get("X-Amz-Target"), " ", sorted(asked), "\n → ", w.StatusCode, " ", sorted(answered)))
	return w, nil
}

// sorted is JSON with its members in order: the client sends them in any.
func sorted(text []byte) string {
	var v any
	if json.Unmarshal(text, &v) != nil {
		return string(text)
	}
	out, err := json.Marshal(v)
	if err != nil {
		return string(text)
	}
	return string(out)
}

// openRecordedPool puts the embedded pool into the portal's place of one.
func openRecordedPool(t *testing.T, expose bool, change ...func(*Realm, *Portal)) *recordedPool {
	t.Helper()
	return openMailingPool(t, expose, nil, change...)
}

// openMailingPool does so with a mailer, where that is not nil.
func openMailingPool(t *testing.T, expose bool, mailer localpool.Mailer, change ...func(*Realm, *Portal)) *recordedPool {
	t.Helper()
	p := &recordedPool{portalTest: newPortal(t, change...)}
	settings := p.rt.config.passkeys
	var err error
	p.pool, err = localpool.Open(localpool.Config{
		Path: filepath.Join(t.TempDir(), "pool.db"), Passkeys: settings, ExposeCredentialIDs: expose, RedirectURIs: []string{portalOrigin + "/auth/"}, Mailer: mailer,
		SMSStepUp: true, MagicLinkCode: true, SignUp: localpool.SignUpPolicy{Mode: p.rt.config.SignUp.Mode}, AdminKeys: map[string]string{"administrator": "0123456789abcdef"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.pool.Close(); err != nil {
			t.Error(err)
		}
	})
	client, err := userpool.New(userpool.Config{
		UserPoolID: p.pool.UserPoolID(), ClientID: p.pool.ClientID(), ClientSecret: p.pool.ClientSecret(), Region: p.pool.Region(),
		Endpoint: p.pool.Endpoint(), HTTPClient: &http.Client{Transport: p},
	})
	if err != nil {
		t.Fatal(err)
	}
	store := p.pool.Credentials()
	p.rt.pool, p.rt.credentials, p.rt.ceremonies.Store = client, store, store
	return p
}

// addUser makes an account; a phone counts as verified.
func (p *recordedPool) addUser(email string, withPasskey, withPhone bool) {
	p.Helper()
	account, err := p.pool.AddAccount(p.Context(), email)
	if err != nil {
		p.Fatal(err)
	}
	if withPhone {
		administrator := cognito.New(cognito.Options{
			Region: p.pool.Region(), BaseEndpoint: aws.String(p.pool.Endpoint()), HTTPClient: p.pool.Client(),
			Credentials: credentials.NewStaticCredentialsProvider("administrator", "0123456789abcdef", ""),
		})
		_, err := administrator.AdminUpdateUserAttributes(p.Context(), &cognito.AdminUpdateUserAttributesInput{
			UserPoolId: aws.String(p.pool.UserPoolID()), Username: aws.String(email), UserAttributes: []types.AttributeType{
				{Name: aws.String("phone_number"), Value: aws.String("+4915112345678")}, {Name: aws.String("phone_number_verified"), Value: aws.String("true")},
			},
		})
		if err != nil {
			p.Fatal(err)
		}
	}
	if withPasskey {
		user := passkey.User{Handle: challenge.UserHandle(account.Username, account.Sub), Name: email}
		options, err := p.rt.ceremonies.StartRegistration(p.Context(), user, "auth.example.com")
		if err == nil {
			_, err = p.rt.ceremonies.FinishRegistration(p.Context(), user, passkeytest.NewAuthenticator(portalOrigin).Create(p, options))
		}
		if err != nil {
			p.Fatal(err)
		}
	}
}

// What differs by chance from one attempt to the next. Lengths count: they tell as much as words.
var (
	chanceUUID    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	chanceAttempt = regexp.MustCompile(`[A-Z2-7]{26}`)
	chanceText    = regexp.MustCompile(`[A-Za-z0-9+/_-]{40,}=*`)
	chanceOffered = regexp.MustCompile(`(\\?"credentials\\?"|"allowCredentials"):\[.*?\}\]`)
)

func withoutChance(text, email string) string {
	text = strings.NewReplacer(email, "EMAIL", strings.ReplaceAll(email, "@", "%40"), "EMAIL").Replace(text)
	text = chanceOffered.ReplaceAllString(text, "$1:[PASSKEYS]")
	text = chanceUUID.ReplaceAllString(text, "UUID")
	text = chanceText.ReplaceAllStringFunc(text, func(s string) string { return fmt.Sprintf("RANDOM(%d)", len(s)) })
	return chanceAttempt.ReplaceAllString(text, "ATTEMPT") // last: by chance a long text has what looks like one
}

// stranger does all that somebody can do who knows an address and nothing else, and returns what they see.
func stranger(b *browser, email string) string {
	var seen strings.Builder
	note := func(what string, w *httptest.ResponseRecorder) *httptest.ResponseRecorder {
		fmt.Fprintf(&seen, "%s: %d %s\n", what, w.Code, withoutChance(fmt.Sprint(w.Header(), w.Body), email))
		return w
	}
	flow := b.found(note("the page", b.get("/auth/sign-in")), flowField)
	sent := note("asking for a link", b.submit("/auth/sign-in", "flow", flow, "email", email))
	waiting := b.found(note("waiting", b.get(sent.Header().Get("Location"))), flowField)
	note("status", b.ask("/auth/check-mail/status?flow="+waiting))
	for _, code := range []string{"12345678", "12345678", "123", "12345678", "12345678"} {
		note("a guessed code", b.call("/auth/check-mail/code", map[string]string{"flow": waiting, "code": code}))
	}
	sent = note("another link at once", b.submit("/auth/check-mail/resend", "flow", waiting))
	note("what became of it", b.get(sent.Header().Get("Location")))
	b.clock.Advance(resendAfter)
	note("another link", b.submit("/auth/check-mail/resend", "flow", waiting))

	device := passkeytest.NewAuthenticator(portalOrigin)
	device.Algorithm = passkeytest.EdDSA // its signatures have one length
	device.Create(b, passkey.CreationOptions{RP: passkey.OptionsRelyingParty{ID: "auth.example.com"}, User: passkey.OptionsUser{ID: annaSub}, Challenge: "AAAA"})
	for range 2 {
		var asked struct {
			PublicKey passkey.RequestOptions
			State     string
		}
		b.decode(note("passkey options", b.call("/auth/passkey/options", map[string]string{"flow": flow, "email": email})), http.StatusOK, &asked)
		asked.PublicKey.AllowCredentials = nil
		body := map[string]any{"flow": flow, "state": asked.State, "answer": device.Get(b, asked.PublicKey)}
		note("a stranger's passkey", b.call("/auth/passkey/sign-in", body))
		note("the same again", b.call("/auth/passkey/sign-in", body))
	}
	return seen.String()
}

// Attack: find out who has an account, a passkey or a phone, by everything that can be done with an address alone: answers to the byte, headers
// and lengths included, and what the pool is asked and answers, which shows in the time that an answer takes (rule 6).
func TestAttackEnumeration(t *testing.T) {
	people := []struct {
		email          string // all of one length: that of what is typed shows, and may
		known          bool
		passkey, phone bool
	}{
		{"nobody@example.com", false, false, false},
		{"norman@example.com", true, false, false},
		{"pascal@example.com", true, true, false},
		{"phoebe@example.com", true, false, true},
		{"persis@example.com", true, true, true},
	}
	for _, mode := range []string{SignUpOpen, SignUpClosed} {
		for _, expose := range []bool{false, true} {
			t.Run(fmt.Sprintf("sign-up %s, IDs exposed %v", mode, expose), func(t *testing.T) {
				p := openRecordedPool(t, expose, func(r *Realm, _ *Portal) { r.SignUp.Mode, r.SMSStepUp, r.MagicLink.Code = mode, true, true })
				for _, who := range people {
					if who.known {
						p.addUser(who.email, who.passkey, who.phone)
					}
				}
				var answers, exchanges [][]string
				for i, who := range people {
					b := p.browser()
					b.address = fmt.Sprintf("192.0.2.%d", i+1)
					p.exchanges = nil
					answers = append(answers, strings.Split(stranger(b, who.email), "\n"))
					var normal []string
					for _, e := range p.exchanges {
						normal = append(normal, p.normalExchange(withoutChance(e, who.email)))
					}
					exchanges = append(exchanges, normal)
					same(t, who.email, "sees", answers[0], answers[i])
					same(t, who.email, "makes the portal ask", exchanges[0], exchanges[i])
				}
				if len(answers[0]) < 16 || len(exchanges[0]) < 9 {
					t.Errorf("too little was compared: %d answers, %d exchanges", len(answers[0]), len(exchanges[0]))
				}
			})
		}
	}
}

// normalExchange leaves the one difference that must be: whoever may sign up and has no account gets one.
func (p *recordedPool) normalExchange(e string) string {
	if !strings.HasPrefix(e, "AWSCognitoIdentityProviderService.SignUp ") {
		return e
	}
	return strings.SplitN(e, "\n", 2)[0]
}

func same(t *testing.T, who, what string, want, got []string) {
	t.Helper()
	if slices.Equal(want, got) {
		return
	}
	for i := range max(len(want), len(got)) {
		var a, b string
		if i < len(want) {
			a = want[i]
		}
		if i < len(got) {
			b = got[i]
		}
		if a != b {
			t.Errorf("%s %s otherwise, in line %d:\n%s\n%s", who, what, i, a, b)
		}
	}
}

// What is random to the test is random indeed: the expressions hide nothing that a person or a program reads.
func TestNormalisingHidesNoWords(t *testing.T) {
	for _, text := range []string{`{"error":"too_many","message":"There were too many attempts."}`, "Retry-After: 20", "UserNotFoundException"} {
		if got := withoutChance(text, anna); got != text {
			t.Errorf("%s became %s", text, got)
		}
	}
	var shape map[string]any
	if err := json.Unmarshal([]byte(withoutChance(`{"allowCredentials":[{"id":"AAAA"}],"rpId":"x"}`, anna)), &shape); err == nil {
		t.Error("the list of passkeys was not replaced")
	}
}

// Attack: a pool whose names and Sessions differ in length tells known from unknown by the length of what it is sealed in.
func TestAttackLengthOfWhatIsSealed(t *testing.T) {
	p := newPortal(t)
	b := p.browser()
	flow := p.found(b.get("/auth/sign-in"), flowField)
	lengths := make(map[int]bool)
	for name, started := range map[string]userpool.Challenge{
		"short":   {Session: "s", Username: "u"},
		"a UUID":  {Session: strings.Repeat("s", 900), Username: annaSub},
		"longest": {Session: strings.Repeat("s", 2048), Username: strings.Repeat("u", 128)},
		"refused": {},
	} {
		p.pool.initiate = func(string) (userpool.Challenge, error) {
			if started.Session == "" {
				return userpool.Challenge{}, userpool.ErrNotAuthorized
			}
			offered := challenge.PasskeyOptions{RelyingPartyID: "auth.example.com", Challenge: strings.Repeat("A", 86), Timeout: 120000, UserVerification: "required"}
			started.Parameters = map[string]string{challenge.ParamFIDO2Options: offered.Encode()}
			return started, nil
		}
		w := b.call("/auth/passkey/options", map[string]string{"flow": flow, "email": strings.Repeat("a", 64) + "@" + strings.Repeat("b.", 90) + "example"})
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
		lengths[w.Body.Len()] = true
	}
	if len(lengths) != 1 {
		t.Errorf("answers of %v bytes", lengths)
	}
}
