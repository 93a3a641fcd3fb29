package gateway

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicehq/sluice"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 40 * time.Second

// both runs a test on descriptors and on streams.
func both(t *testing.T, test func(t *testing.T, streams bool)) {
	t.Helper()
	t.Run("epoll", func(t *testing.T) { t.Parallel(); test(t, false) })
	t.Run("streams", func(t *testing.T) { t.Parallel(); test(t, true) })
}

// handler is an endpoint's dialect in a test.
type handler struct {
	control func(c ControlConn, data []byte, binary bool) Control
	handle  func(ctx context.Context, ev *sluice.Event) sluice.Reply
}

func (h *handler) Control(c ControlConn, data []byte, binary bool) Control {
	if h.control == nil {
		return Control{}
	}
	return h.control(c, data, binary)
}

func (h *handler) Handle(ctx context.Context, ev *sluice.Event) sluice.Reply {
	if h.handle == nil {
		return sluice.Reply{}
	}
	return h.handle(ctx, ev)
}

// echo answers every message with itself.
func echo(_ context.Context, ev *sluice.Event) sluice.Reply {
	if ev.Kind == sluice.Message {
		return sluice.Reply{Send: []sluice.Frame{ev.Frame}}
	}
	return sluice.Reply{}
}

// router has one endpoint, which a test may replace.
type router struct{ ep atomic.Pointer[Endpoint] }

func (r *router) Route(h *sluice.Handshake) (*Endpoint, *sluice.Refusal) {
	if h.Path == "/nobody" {
		return nil, nil
	}
	return r.ep.Load(), nil
}

func (r *router) Endpoint(app sluice.AppName, name string) *Endpoint {
	if ep := r.ep.Load(); ep != nil && ep.App == app && ep.Name == name {
		return ep
	}
	return nil
}

// server is a running gateway.
type server struct {
	*Gateway
	t      testing.TB
	router *router
	addr   string
	stop   func() // ends Run and waits for it
}

func start(t testing.TB, streams bool, p Policy, h *handler, change ...func(*Options)) *server {
	t.Helper()
	r := &router{}
	r.ep.Store(&Endpoint{App: "app", Name: "ws", Policy: p, Handler: h})
	o := Options{Node: 7, Router: r, Shards: 2, Streams: streams}
	if testing.Verbose() {
		o.Log = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	for _, f := range change {
		f(&o)
	}
	s := &server{Gateway: New(o), t: t, router: r}
	if o.Router != r {
		t.Fatal("tests use their own router")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- s.Run(ctx) }()
	go func() { done <- s.Serve(ctx, ln) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		for range 2 {
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(patience):
				t.Error("the gateway does not stop")
			}
		}
	}
	t.Cleanup(s.stop)
	return s
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// client is a WebSocket client that does exactly what a test says.
type client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func (s *server) connect() *client {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(2 * patience))
	s.t.Cleanup(func() { c.Close() })
	return &client{c, s.t, bufio.NewReader(c)}
}

const handshake = "GET /path?q=1 HTTP/1.1\r\nHost: app.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

// dial connects and shakes hands.
func (s *server) dial(headers ...string) *client {
	s.t.Helper()
	c := s.connect()
	if resp := c.greet(headers...); resp.StatusCode != 101 {
		s.t.Fatalf("handshake: status %d", resp.StatusCode)
	}
	return c
}

func (c *client) greet(headers ...string) *http.Response {
	c.t.Helper()
	c.write([]byte(handshake + strings.Join(append(headers, "", ""), "\r\n")))
	return c.response()
}

func (c *client) response() *http.Response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatalf("read HTTP answer: %v", err)
	}
	return resp
}

func (c *client) write(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// masked is a client's frame; first holds FIN, RSV and opcode.
func masked(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i, v := range payload {
		b = append(b, v^mask[i%4])
	}
	return b
}

func (c *client) text(s string) { c.t.Helper(); c.write(masked(0x81, []byte(s))) }

func (c *client) closeFrame(code int) {
	c.t.Helper()
	c.write(masked(0x88, binary.BigEndian.AppendUint16(nil, uint16(code))))
}

type frame struct {
	first byte
	data  []byte
}

func (f frame) String() string { return fmt.Sprintf("%#x %.40q", f.first, f.data) }

// next reads a frame of the server.
func (c *client) next() (frame, error) {
	var head [2]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return frame{}, err
	}
	n := int(head[1])
	switch n {
	case 126:
		var b [2]byte
		io.ReadFull(c.r, b[:])
		n = int(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		io.ReadFull(c.r, b[:])
		n = int(binary.BigEndian.Uint64(b[:]))
	}
	f := frame{head[0], make([]byte, n)}
	_, err := io.ReadFull(c.r, f.data)
	return f, err
}

func (c *client) want(text string) {
	c.t.Helper()
	f, err := c.next()
	if err != nil || f.first != 0x81 || string(f.data) != text {
		c.t.Fatalf("got %v (%v), want text %.40q", f, err, text)
	}
}

// wantClose reads a close frame, passing over other frames, and then the end.
func (c *client) wantClose(code int) {
	c.t.Helper()
	for {
		f, err := c.next()
		if err != nil {
			c.t.Fatalf("no close frame with %d: %v", code, err)
		}
		if f.first != 0x88 {
			continue
		}
		got := 1005
		if len(f.data) >= 2 {
			got = int(binary.BigEndian.Uint16(f.data))
		}
		if got != code {
			c.t.Fatalf("closed with %d %q, want %d", got, f.data[2:], code)
		}
		return
	}
}

// wantEnd waits until the server has hung up.
func (c *client) wantEnd() {
	c.t.Helper()
	_, err := io.Copy(io.Discard, c.r)
	var nerr net.Error
	if errors.As(err, &nerr) && nerr.Timeout() {
		c.t.Fatal("the server does not hang up")
	}
}

// eventually waits for a condition that no event announces.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func receive[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}
