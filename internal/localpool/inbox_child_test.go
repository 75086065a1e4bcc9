package localpool

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// inboxChild makes this test binary, when it is in its environment, the server of an inbox. The tests with a browser are another module
// and start it so, because the product itself sends no mail that is worth their while.
const inboxChild = "LOCALPOOL_INBOX"

// serveInboxOf takes a mail as a line of JSON, shows it in an inbox between two text messages, prints the inbox's address, and serves it until
// its input ends.
func serveInboxOf(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return err
	}
	var m Mail
	if err := json.Unmarshal(line, &m); err != nil {
		return err
	}
	inbox, ctx := newInbox(time.Now), context.Background()
	for _, send := range []func() error{
		func() error { return inbox.SendText(ctx, Text{To: "+4915112345678", Body: "123456 is your code."}) },
		func() error { return inbox.SendMail(ctx, m) },
		func() error { return inbox.SendText(ctx, Text{To: "+4915112345678", Body: "234567 is your code."}) },
	} {
		if err := send(); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "http://%s\n", listener.Addr()); err != nil {
		return err
	}
	server := &http.Server{Handler: inbox, ReadHeaderTimeout: time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	go func() {
		_, err := lines.ReadByte()
		failed <- err
	}()
	return <-failed
}
