package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
)

// Frames, flags and the one setting that we send (RFC 9113, sections 6 and 6.5.2).
const (
	frameData, frameHeaders, frameReset, frameSettings, framePing, frameGoAway, frameWindowUpdate = 0, 1, 3, 4, 6, 7, 8

	flagEndStream, flagAcknowledge, flagEndHeaders, flagPadded = 1, 1, 4, 8

	settingInitialWindowSize = 4
	frameHeaderSize          = 9
	clientPreface            = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	initialWindow            = 65_535
)

// statusOK is `:status: 200` as an entry of HPACK's static table, which is how servers send it (RFC 7541, appendix A).
const statusOK = 0x88

// http2Connection asks for one page after another over HTTP/2. It sends every header as a literal that is not indexed, so that the block is the
// same each time: making it anew would take the generator longer than the server takes to read it.
type http2Connection struct {
	net.Conn
	reader *bufio.Reader
	frame  []byte // HEADERS with the request
	stream uint32
}

// dialHTTP2 opens a connection by TLS. The server is on loopback, and its certificate of its own making, a minute ago.
func (c *contender) dialHTTP2() (*http2Connection, error) {
	conn, err := tls.Dial("tcp", c.address, &tls.Config{ServerName: hostName(c.host), NextProtos: []string{"h2"}, InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	if chosen := conn.ConnectionState().NegotiatedProtocol; chosen != "h2" {
		return nil, errors.Join(fmt.Errorf("the server speaks %q, not h2", chosen), conn.Close())
	}
	hello := append([]byte(clientPreface), newFrame(frameSettings, 0, 0, binary.BigEndian.AppendUint32([]byte{0, settingInitialWindowSize}, math.MaxInt32))...)
	hello = append(hello, newFrame(frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, math.MaxInt32-initialWindow))...)
	if _, err := conn.Write(hello); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &http2Connection{Conn: conn, reader: bufio.NewReaderSize(conn, 16<<10), frame: newFrame(frameHeaders, flagEndStream|flagEndHeaders, 0, c.block()), stream: 1}, nil
}

func hostName(host string) string {
	name, _, _ := net.SplitHostPort(host)
	return name
}

func newFrame(kind, flags byte, stream uint32, payload []byte) []byte {
	size := len(payload)
	frame := []byte{byte(size >> 16), byte(size >> 8), byte(size), kind, flags}
	return append(binary.BigEndian.AppendUint32(frame, stream), payload...)
}

// block is the request's header block.
func (c *contender) block() []byte {
	block := []byte{0x82, 0x87} // :method GET, :scheme https
	for _, field := range [][2]string{{":authority", c.host}, {":path", requestTarget}} {
		block = appendLiteral(block, field[0], field[1])
	}
	var text strings.Builder
	text.WriteString(browserHeader)
	_ = c.header.Write(&text) // a builder never fails
	for line := range strings.SplitSeq(strings.TrimSpace(text.String()), "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		if name = strings.ToLower(name); name != "connection" { // RFC 9113, section 8.2.2
			block = appendLiteral(block, name, value)
		}
	}
	return block
}

// appendLiteral adds a field without indexing, with a new name and without Huffman's code (RFC 7541, section 6.2.2).
func appendLiteral(block []byte, name, value string) []byte {
	block = append(block, 0)
	for _, text := range [...]string{name, value} {
		block = append(appendInteger(block, len(text)), text...)
	}
	return block
}

// appendInteger adds n with a prefix of seven bits (RFC 7541, section 5.1).
func appendInteger(block []byte, n int) []byte {
	const full = 1<<7 - 1
	if n < full {
		return append(block, byte(n))
	}
	return binary.AppendUvarint(append(block, full), uint64(n-full))
}

// ask sends the request on a stream of its own and reads the answer, which has to be 200 and of the given length.
func (c *http2Connection) ask(length int) error {
	binary.BigEndian.PutUint32(c.frame[5:], c.stream)
	if _, err := c.Write(c.frame); err != nil {
		return err
	}
	found, over := 0, false
	for !over {
		header, err := c.reader.Peek(frameHeaderSize)
		if err != nil {
			return err
		}
		size, kind, flags := int(header[0])<<16|int(header[1])<<8|int(header[2]), header[3], header[4]
		stream := binary.BigEndian.Uint32(header[5:])
		if _, err := c.reader.Discard(frameHeaderSize); err != nil {
			return err
		}
		switch kind {
		case frameHeaders, frameData:
			if stream != c.stream || flags&flagPadded != 0 {
				return fmt.Errorf("a frame of stream %d with flags %#x", stream, flags)
			}
			over = flags&flagEndStream != 0
		}
		switch kind {
		case frameHeaders:
			first, err := c.reader.Peek(1)
			if err != nil {
				return err
			}
			if first[0] != statusOK {
				return errors.New("it does not answer 200")
			}
		case frameData:
			found += size
		case frameReset, frameGoAway:
			return fmt.Errorf("it ends the stream by a frame of type %d", kind)
		case frameSettings, framePing:
			if err := c.acknowledge(kind, flags, size); err != nil {
				return err
			}
			continue
		}
		if _, err := c.reader.Discard(size); err != nil {
			return err
		}
	}
	c.stream += 2
	if found != length {
		return fmt.Errorf("its answer has %d bytes, the upstream's has %d", found, length)
	}
	return nil
}

// acknowledge reads what is to be acknowledged and does so: a ping with what it brought, settings with nothing.
func (c *http2Connection) acknowledge(kind, flags byte, size int) error {
	payload := make([]byte, size)
	if _, err := io.ReadFull(c.reader, payload); err != nil {
		return err
	}
	if flags&flagAcknowledge != 0 {
		return nil
	}
	if kind == frameSettings {
		payload = nil
	}
	_, err := c.Write(newFrame(kind, flagAcknowledge, 0, payload))
	return err
}
