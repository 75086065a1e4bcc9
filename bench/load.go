package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// contender is one of several ways to ask for the same page, which are compared.
type contender struct {
	name    string
	address string      // host:port
	host    string      // Host header
	header  http.Header // beyond a browser's
	secure  bool        // by HTTP/2 over TLS, as browsers ask; otherwise by plain HTTP/1.1
	conns   []connection
	pid     int        // of the process that answers, 0 if its time is of no interest
	against *contender // the same request without a guard; nil for that one itself
	ratios  []float64  // of each round, to that one's
	rate    []float64  // requests a second
	cpu     float64    // seconds, over all rounds
}

// connection is kept for a round or several.
type connection interface {
	io.Closer

	// ask sends the request and reads the answer, which has to be 200 and of the given length.
	ask(length int) error
}

// http1Connection asks for one page after another over HTTP/1.1.
type http1Connection struct {
	net.Conn
	reader *bufio.Reader
	text   string // of the request
}

// requestTarget is what everybody asks for.
const requestTarget = "/reports?year=2026"

// browserHeader is what Chromium sends with a navigation.
const browserHeader = "Connection: keep-alive\r\n" +
	"Sec-Ch-Ua: \"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\"\r\nSec-Ch-Ua-Mobile: ?0\r\nSec-Ch-Ua-Platform: \"Linux\"\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n" +
	"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n"

// request is the text that is sent again and again: making it anew would take the generator longer than the server takes to read it.
func (c *contender) request() string {
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n%s", requestTarget, c.host, browserHeader)
	_ = c.header.Write(&b) // a builder never fails
	b.WriteString("\r\n")
	return b.String()
}

// connect opens the connections over which the contender's requests go.
func (c *contender) connect(connections int) error {
	for range connections {
		conn, err := c.dial()
		if err != nil {
			return err
		}
		c.conns = append(c.conns, conn)
	}
	return nil
}

func (c *contender) dial() (connection, error) {
	if c.secure {
		return c.dialHTTP2()
	}
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		return nil, err
	}
	return &http1Connection{conn, bufio.NewReaderSize(conn, 16<<10), c.request()}, nil
}

func (c *contender) disconnect() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

// round asks n times over each connection and returns how long that took. Any answer but the upstream's page is an error.
func (c *contender) round(n, length int) (time.Duration, error) {
	failed := make(chan error, len(c.conns))
	var wg sync.WaitGroup
	begin := time.Now()
	for _, conn := range c.conns {
		wg.Go(func() {
			for range n {
				if err := conn.ask(length); err != nil {
					failed <- fmt.Errorf("%s: %w", c.name, err)
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	select {
	case err := <-failed:
		return 0, err
	default:
		return took, nil
	}
}

// ask implements [connection].
func (c *http1Connection) ask(length int) error {
	if _, err := io.WriteString(c, c.text); err != nil {
		return err
	}
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(line), "HTTP/1.1 200 ") {
		return fmt.Errorf("it answers %s", strings.TrimSpace(string(line)))
	}
	found := -1
	for len(line) > 2 {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return err
		}
		const name = "content-length:"
		if len(line) > len(name) && strings.EqualFold(string(line[:len(name)]), name) {
			if found, err = strconv.Atoi(strings.TrimSpace(string(line[len(name):]))); err != nil {
				return err
			}
		}
	}
	if found != length {
		return fmt.Errorf("its answer has %d bytes, the upstream's has %d", found, length)
	}
	_, err = c.reader.Discard(length)
	return err
}

// compete lets contenders take turns, in an order that chance decides, so that what the machine does besides meets all alike. Each
// round's ratio is to the turn of the request without a guard in the same round. Connections are made anew now and then, those to the upstream,
// too: which processor reads one makes a difference that would last.
func compete(u *upstream, contenders []*contender, rounds, connections, n int) error {
	length := len(u.page)
	for _, c := range contenders {
		defer c.disconnect()
	}
	for round := range rounds {
		if round%roundsAConnection == 0 {
			u.SetKeepAlivesEnabled(false) // ends those that wait
			u.SetKeepAlivesEnabled(true)
			for _, at := range rand.Perm(len(contenders)) {
				c := contenders[at]
				c.disconnect()
				if err := c.connect(connections); err != nil {
					return err
				}
				if _, err := c.round(5, length); err != nil { // caches and connections to the upstream are made here
					return err
				}
			}
		}
		rates := make([]float64, len(contenders))
		for _, at := range rand.Perm(len(contenders)) {
			c := contenders[at]
			before, err := processorTime(c.pid)
			if err != nil {
				return err
			}
			took, err := c.round(n, length)
			if err != nil {
				return err
			}
			after, err := processorTime(c.pid)
			if err != nil {
				return err
			}
			c.cpu += after - before
			rates[at] = float64(connections*n) / took.Seconds()
		}
		for i, c := range contenders {
			c.rate = append(c.rate, rates[i])
		}
		for _, c := range contenders {
			if c.against != nil {
				c.ratios = append(c.ratios, c.rate[round]/c.against.rate[round])
			}
		}
	}
	return nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// processorTime is what a process has used so far, in seconds, by Linux's count of hundredths (proc(5)); 0 for none.
func processorTime(pid int) (float64, error) {
	if pid == 0 {
		return 0, nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the program's name may have spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var ticks uint64
	for _, field := range fields[11:13] { // user and system
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return float64(ticks) / 100, nil
}
