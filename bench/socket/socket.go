// Package socket is the load's side of a WebSocket: little enough not to be what is measured.
package socket

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// Conn is an open WebSocket.
type Conn struct {
	net.Conn
	r *bufio.Reader
}

// Dial opens n WebSockets at once on a path ("/" and what follows), 32 at a time.
func Dial(addr, path string, n int) ([]*Conn, error) {
	out := make([]*Conn, n)
	errs := make(chan error, 32)
	var wg sync.WaitGroup
	for w := range min(32, n) {
		wg.Go(func() {
			for i := w; i < n; i += 32 {
				c, err := dial(addr, path)
				if err != nil {
					errs <- err
					return
				}
				out[i] = c
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		HangUp(out)
		return nil, err
	default:
		return out, nil
	}
}

func dial(addr, path string) (*Conn, error) {
	c, err := net.DialTimeout("tcp", addr, 20*time.Second)
	if err != nil {
		return nil, err
	}
	var key [16]byte // serverless-offline names connections by it
	rand.Read(key[:])
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
		path, addr, base64.StdEncoding.EncodeToString(key[:]))
	c.SetReadDeadline(time.Now().Add(60 * time.Second))
	r := bufio.NewReaderSize(c, 1024)
	resp, err := http.ReadResponse(r, nil)
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("handshake answered %s", resp.Status)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	c.SetReadDeadline(time.Time{})
	return &Conn{c, r}, nil
}

// HangUp closes all.
func HangUp(conns []*Conn) {
	for _, c := range conns {
		if c != nil {
			c.Close()
		}
	}
}

// File is the socket as a file of its own, with nothing read that has come. It stays when the Conn is closed.
func (c *Conn) File() (*os.File, error) {
	if c.r.Buffered() > 0 {
		return nil, fmt.Errorf("%d bytes came that are read already", c.r.Buffered())
	}
	return c.Conn.(*net.TCPConn).File()
}

// Say sends one text, masked with zeros.
func (c *Conn) Say(text string) error { return c.send(0x81, text) }

// SayIn sends one text in frames of so many bytes.
func (c *Conn) SayIn(text string, size int) error {
	for op := byte(1); ; op = 0 {
		if len(text) <= size {
			return c.send(0x80|op, text)
		}
		if err := c.send(op, text[:size]); err != nil {
			return err
		}
		text = text[size:]
	}
}

// Ping sends a ping, and Pong waits for the answer.
func (c *Conn) Ping(text string) error { return c.send(0x89, text) }

func (c *Conn) send(first byte, text string) error {
	head := []byte{first, 0x80 | byte(min(len(text), 126))}
	switch {
	case len(text) > 0xffff:
		head[1] = 0xff
		head = binary.BigEndian.AppendUint64(head, uint64(len(text)))
	case len(text) > 125:
		head = binary.BigEndian.AppendUint16(head, uint16(len(text)))
	}
	_, err := c.Write(append(append(head, 0, 0, 0, 0), text...))
	return err
}

// Hear waits for one text or binary message.
func (c *Conn) Hear() (string, error) { return c.await(1, 2) }

// Pong waits for a pong.
func (c *Conn) Pong() (string, error) { return c.await(10, 10) }

// await waits for a frame of either kind. Pings are answered, as a browser does: who does not is hung up on.
func (c *Conn) await(one, other byte) (string, error) {
	for {
		op, data, err := c.frame()
		switch {
		case err != nil:
			return "", err
		case op == one || op == other:
			return string(data), nil
		case op == 8:
			return "", io.EOF
		case op == 9:
			if err := c.send(0x8a, string(data)); err != nil {
				return "", err
			}
		}
	}
}

func (c *Conn) frame() (op byte, data []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1] & 0x7f)
	if n >= 126 {
		long := make([]byte, 2+6*(n-126))
		if _, err := io.ReadFull(c.r, long); err != nil {
			return 0, nil, err
		}
		n = 0
		for _, b := range long {
			n = n<<8 | uint64(b)
		}
	}
	data = make([]byte, n)
	_, err = io.ReadFull(c.r, data)
	return head[0] & 0xf, data, err
}
