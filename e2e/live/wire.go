package live

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// Wire leads from an address that stays to a server whose own changes: a server that is started again gets
// another port, for its old one may be somebody else's by then.
type Wire struct {
	Address string // host:port
	to      atomic.Value
}

// Stretch makes a wire to an address. It ends with the test.
func Stretch(t *testing.T, to string) *Wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	w := &Wire{Address: ln.Addr().String()}
	w.Lead(to)
	go func() { // ends with the listener
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { // ends with one of the ends
				defer conn.Close()
				far, err := net.Dial("tcp", w.to.Load().(string))
				if err != nil {
					return
				}
				defer far.Close()
				go func() {
					io.Copy(far, conn)
					far.Close()
				}()
				io.Copy(conn, far)
			}()
		}
	}()
	return w
}

// Lead leads those who come from now on to another address, "" nowhere.
func (w *Wire) Lead(to string) { w.to.Store(to) }
