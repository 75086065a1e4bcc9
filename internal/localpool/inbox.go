package localpool

import (
	"context"
	"embed"
	"encoding/json"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// inboxSize is how many messages are kept, in memory.
const inboxSize = 200

// Inbox is the mail server and the telephone of a pool without either: it keeps the last messages and shows them on a page. It
// hands sign-in links to whoever can open that page, so it belongs on a loopback address.
type Inbox struct {
	now func() time.Time

	mu       sync.Mutex
	messages []Message // oldest first
	last     int
	hosts    []string // lower case, without port, beside the loopback names
}

// Message is a mail or an SMS as it was handed over.
type Message struct {
	ID      int       `json:"id"`   // grows, over restarts too
	Kind    string    `json:"kind"` // "mail" or "sms"
	At      time.Time `json:"at"`
	From    string    `json:"from,omitempty"`
	To      string    `json:"to"`
	Subject string    `json:"subject,omitempty"`
	Text    string    `json:"text"`
	HTML    string    `json:"html,omitempty"`
}

// newInbox counts from the time on, so that a page that was left open over a restart still tells new messages from old.
func newInbox(now func() time.Time) *Inbox { return &Inbox{now: now, last: int(now().UnixMilli())} }

// SendMail implements [Mailer].
func (b *Inbox) SendMail(_ context.Context, m Mail) error {
	b.add(Message{Kind: "mail", From: m.From, To: m.To, Subject: m.Subject, Text: m.Text, HTML: m.HTML})
	return nil
}

// SendText implements [Texter].
func (b *Inbox) SendText(_ context.Context, t Text) error {
	b.add(Message{Kind: "sms", To: t.To, Text: t.Body})
	return nil
}

func (b *Inbox) add(m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	m.ID, m.At = b.last, b.now().UTC()
	b.messages = append(b.messages, m)
	if over := len(b.messages) - inboxSize; over > 0 {
		b.messages = slices.Delete(b.messages, 0, over)
	}
}

// Messages are those that are kept, newest first.
func (b *Inbox) Messages() []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := slices.Clone(b.messages)
	slices.Reverse(list)
	return list
}

// allowHosts sets the names, beside localhost, 127.0.0.1 and [::1], under which the page may be opened.
func (b *Inbox) allowHosts(hosts ...string) {
	folded := make([]string, 0, len(hosts))
	for _, h := range hosts {
		folded = append(folded, hostName(h))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hosts = folded
}

// hostName is a Host header without port, lower case.
func hostName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// allowed refuses names that a foreign web page could have pointed at this machine (DNS rebinding).
func (b *Inbox) allowed(host string) bool {
	name := hostName(host)
	if name == "localhost" || name == "127.0.0.1" || name == "::1" {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return name != "" && slices.Contains(b.hosts, name)
}

//go:embed inbox
var inboxFiles embed.FS

var inboxPage = template.Must(template.ParseFS(inboxFiles, "inbox/page.html"))

// inboxPolicy lets the page run its own script, and lets a mail's frame show inline styles and nothing else: srcdoc frames
// inherit this policy, and their sandbox has neither scripts nor our origin.
const inboxPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; frame-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeHTTP serves the page at /, its script and style, and GET /messages.json.
func (b *Inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", inboxPolicy)
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if !b.allowed(r.Host) {
		http.Error(w, "the inbox answers to localhost and its configured host only", http.StatusMisdirectedRequest)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "the inbox can be read only", http.StatusMethodNotAllowed)
		return
	}
	switch r.URL.Path {
	case "/":
		h.Set("Content-Type", "text/html; charset=utf-8")
		var page strings.Builder
		if err := inboxPage.Execute(&page, pageOf(b.Messages())); err != nil {
			http.Error(w, "the page could not be made", http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte(page.String())) // the caller has gone
	case "/messages.json":
		b.serveMessages(w, r)
	case "/inbox.js":
		http.ServeFileFS(w, r, inboxFiles, "inbox/inbox.js")
	case "/inbox.css":
		http.ServeFileFS(w, r, inboxFiles, "inbox/inbox.css")
	default:
		http.NotFound(w, r)
	}
}

// serveMessages answers {"messages":[…]}, newest first; with ?after=<id> only later ones.
func (b *Inbox) serveMessages(w http.ResponseWriter, r *http.Request) {
	after := 0
	if v := r.URL.Query().Get("after"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			http.Error(w, "after must be the id of a message", http.StatusBadRequest)
			return
		}
		after = n
	}
	list := slices.DeleteFunc(b.Messages(), func(m Message) bool { return m.ID <= after })
	if list == nil {
		list = []Message{}
	}
	body, err := json.Marshal(struct {
		Messages []Message `json:"messages"`
	}{list})
	if err != nil {
		http.Error(w, "the messages could not be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the caller has gone
}

// LoopbackAddress reports whether a host, as in a listener's address, can be reached from this machine only.
func LoopbackAddress(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}
