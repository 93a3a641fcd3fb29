package reactor

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is Events that send back what comes, and stop reading while they cannot.
type echo struct {
	loop  *Loop
	t     *testing.T
	conns map[uint64]*peer
	next  uint64
	ended chan error
}

type peer struct {
	h    Handle
	back []byte
}

func (e *echo) Accepted(s Socket, remote netip.AddrPort) {
	e.next++
	h, err := e.loop.Attach(s, e.next)
	if err != nil {
		e.t.Error(err)
		return
	}
	e.conns[e.next] = &peer{h: h}
}

func (e *echo) AcceptFailed(err error) { e.t.Error(err) }

func (e *echo) Readable(token uint64) {
	p := e.conns[token]
	if p == nil {
		return
	}
	b, err := e.loop.Read(p.h)
	if err != nil {
		if !errors.Is(err, ErrAgain) {
			e.end(token, err)
		}
		return
	}
	p.back = append(p.back, b...)
	e.flush(token, p)
}

func (e *echo) Writable(token uint64) {
	if p := e.conns[token]; p != nil {
		e.flush(token, p)
	}
}

func (e *echo) flush(token uint64, p *peer) {
	n, err := e.loop.Write(p.h, p.back)
	if err != nil && !errors.Is(err, ErrAgain) {
		e.end(token, err)
		return
	}
	p.back = p.back[n:]
	full := len(p.back) > 0
	if err := e.loop.Want(p.h, token, !full, full); err != nil {
		e.t.Error(err)
	}
}

func (e *echo) Broken(token uint64) { e.end(token, io.ErrUnexpectedEOF) }

func (e *echo) end(token uint64, err error) {
	e.loop.Close(e.conns[token].h)
	delete(e.conns, token)
	e.ended <- err
}

func (e *echo) Turn(time.Time) time.Duration { return -1 }

// transports runs a test on descriptors and on TLS over them, where there are some, and on streams.
func transports(t *testing.T, test func(t *testing.T, e *echo, connect func() net.Conn)) {
	site := httptest.NewUnstartedServer(nil)
	site.StartTLS()
	defer site.Close()
	trust := site.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName = "example.com"
	for _, kind := range []string{"descriptors", "tls", "streams"} {
		raw := kind != "streams"
		if raw && !Supported {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			e := &echo{t: t, conns: map[uint64]*peer{}, ended: make(chan error, 100)}
			loop, err := New(e, raw)
			if err != nil {
				t.Fatal(err)
			}
			e.loop = loop
			done := make(chan bool)
			go func() { defer close(done); loop.Run() }()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			if kind == "descriptors" {
				l, err := RawListener(ln.(*net.TCPListener))
				if err != nil {
					t.Fatal(err)
				}
				loop.Post(func() {
					if err := loop.Listen(l); err != nil {
						t.Error(err)
					}
				})
				t.Cleanup(func() { l.Close() })
				loop.Post(func() {})
			}
			test(t, e, func() net.Conn {
				c, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				c.SetDeadline(time.Now().Add(time.Minute))
				t.Cleanup(func() { c.Close() })
				if kind == "descriptors" {
					return c
				}
				served, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				if kind == "tls" {
					served, c = Secure(served.(*net.TCPConn), site.TLS), tls.Client(c, trust)
				}
				loop.Post(func() { e.Accepted(FromConn(served, false), netip.AddrPort{}) })
				return c
			})
			loop.Stop()
			<-done
			if loop.Post(func() {}) {
				t.Error("a loop that has ended takes mail")
			}
			ln.Close()
		})
	}
}

func TestBytesComeBackInOrderThroughFullSockets(t *testing.T) {
	transports(t, func(t *testing.T, e *echo, connect func() net.Conn) {
		c := connect()
		data := make([]byte, 20<<20)
		for i := range data {
			data[i] = byte(i * i >> 8)
		}
		go c.Write(data)
		time.Sleep(50 * time.Millisecond) // let both directions fill up
		got := make([]byte, len(data))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
			t.Errorf("other bytes came back (%v)", err)
		}
		c.Close()
		if err := <-e.ended; err == nil {
			t.Error("no reason for the end")
		}
	})
}

func TestManyConnectionsOfOneLoop(t *testing.T) {
	transports(t, func(t *testing.T, e *echo, connect func() net.Conn) {
		var conns []net.Conn
		for range 50 {
			conns = append(conns, connect())
		}
		for i, c := range conns {
			fmt.Fprintf(c, "%06d", i)
		}
		for i, c := range conns {
			b := make([]byte, 6)
			if _, err := io.ReadFull(c, b); err != nil || string(b) != fmt.Sprintf("%06d", i) {
				t.Fatalf("%q (%v)", b, err)
			}
			c.Close()
			if err := <-e.ended; !errors.Is(err, io.EOF) {
				t.Errorf("ended with %v", err)
			}
		}
	})
}

func TestMailIsDeliveredInOrder(t *testing.T) {
	transports(t, func(t *testing.T, e *echo, _ func() net.Conn) {
		const n = 10_000
		got, all := 0, make(chan bool)
		for i := range n {
			e.loop.Post(func() {
				if got != i {
					t.Errorf("mail %d comes as number %d", i, got)
				}
				if got++; got == n {
					close(all)
				}
			})
		}
		<-all
	})
}

func TestReleasedSocketIsAnOrdinaryConnection(t *testing.T) {
	transports(t, func(t *testing.T, e *echo, connect func() net.Conn) {
		c := connect()
		fmt.Fprint(c, "x")
		io.ReadFull(c, make([]byte, 1))
		back := make(chan Socket, 1)
		e.loop.Post(func() {
			for token, p := range e.conns {
				delete(e.conns, token)
				if p.h < 0 { // a stream's reader must have nothing under way: let it bring something
					st := e.loop.streams[p.h]
					e.loop.events = &releaser{e, st.h, back}
					fmt.Fprint(c, "y")
					return
				}
				back <- e.loop.Release(p.h)
			}
		})
		sock := <-back
		e.loop.Post(func() { back <- Socket{} }) // behind what the echo's write has to say
		<-back
		nc, err := sock.NetConn()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		fmt.Fprint(nc, "hello")
		b := make([]byte, 5)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
			t.Errorf("%q (%v)", b, err)
		}
		fmt.Fprint(c, "there")
		if _, err := io.ReadFull(nc, b); err != nil || string(b) != "there" {
			t.Errorf("%q (%v)", b, err)
		}
	})
}

// releaser releases a stream from within Readable.
type releaser struct {
	*echo
	h    Handle
	back chan Socket
}

func (r *releaser) Readable(uint64) {
	r.loop.Read(r.h)
	r.back <- r.loop.Release(r.h)
}
