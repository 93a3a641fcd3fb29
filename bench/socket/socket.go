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

// Say sends one text, masked with zeros.
func (c *Conn) Say(text string) error {
	head := []byte{0x81, 0x80 | byte(min(len(text), 126))}
	if len(text) > 125 {
		head = binary.BigEndian.AppendUint16(head, uint16(len(text)))
	}
	_, err := c.Write(append(append(head, 0, 0, 0, 0), text...))
	return err
}

// Hear waits for one text.
func (c *Conn) Hear() (string, error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(c.r, head[:]); err != nil {
			return "", err
		}
		n := uint64(head[1] & 0x7f)
		if n >= 126 {
			long := make([]byte, 2+6*(n-126))
			if _, err := io.ReadFull(c.r, long); err != nil {
				return "", err
			}
			n = 0
			for _, b := range long {
				n = n<<8 | uint64(b)
			}
		}
		data := make([]byte, n)
		if _, err := io.ReadFull(c.r, data); err != nil {
			return "", err
		}
		switch head[0] & 0xf {
		case 1, 2:
			return string(data), nil
		case 8:
			return "", io.EOF
		}
	}
}
