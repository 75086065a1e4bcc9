package localpool

import (
	"net/url"
	"regexp"
	"strings"
	"time"
)

// pageMessage is a message as the page shows it.
type pageMessage struct {
	Message
	Time string
	Body []segment
	// Frame is the mail's HTML for a sandboxed frame. html/template escapes it as an attribute value.
	Frame string
}

// segment is a piece of plain text; with a URL it becomes a link.
type segment struct {
	Text string
	URL  string
}

type inboxView struct {
	Messages []pageMessage
	Newest   int
}

func pageOf(messages []Message) inboxView {
	v := inboxView{}
	for _, m := range messages {
		v.Newest = max(v.Newest, m.ID)
		v.Messages = append(v.Messages, pageMessage{
			Message: m, Time: m.At.Format(time.RFC3339), Body: segments(m.Text), Frame: frameOf(m.HTML),
		})
	}
	return v
}

// linkPattern finds the links of a plain-text body: up to white space or a character that cannot be in a URL.
var linkPattern = regexp.MustCompile(`https?://[^\s<>"'` + "`" + `]+`)

// segments splits a body at its links.
func segments(text string) []segment {
	var out []segment
	for {
		at := linkPattern.FindStringIndex(text)
		if at == nil {
			break
		}
		link := strings.TrimRight(text[at[0]:at[1]], ".,;:!?)")
		if at[0] > 0 {
			out = append(out, segment{Text: text[:at[0]]})
		}
		if u, err := url.Parse(link); err == nil && u.Host != "" {
			out = append(out, segment{Text: link, URL: link})
		} else {
			out = append(out, segment{Text: link})
		}
		text = text[at[0]+len(link):]
	}
	if text != "" {
		out = append(out, segment{Text: text})
	}
	return out
}

// connectors are the elements that make a browser connect to another host although the page's policy forbids every load:
// `<link rel="preconnect">` is no load, and a frame in the frame could hide one from this pattern.
var connectors = regexp.MustCompile(`(?i)<(link|iframe)`)

// frameOf makes links in a mail open outside its frame, which the sandbox allows for a person's own click only, and takes away what
// would tell its sender that it was looked at. Neither element of a mail could load anything here.
func frameOf(html string) string {
	if html == "" {
		return ""
	}
	return `<base target="_blank">` + connectors.ReplaceAllString(html, "<not-$1")
}
