package apigateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
)

// tunnel serves handshakes whose connections go through: to a web function (section 1.10), or to another
// server.
func (x *App) tunnel(w http.ResponseWriter, r *http.Request) {
	id := scf.NewRequestID()
	switch t := x.find(r.Host, r.URL.Path, takesSockets, true); {
	case t.call == nil:
		noAPI().write(w, id)
	case t.call.web:
		t.function(w, r, id)
	default:
		t.proxy(w, r)
	}
}

// handover gives a request's connection to a function that has taken it up, unless the request has been
// given up meanwhile.
type handover struct {
	ctx context.Context // of the request
	w   http.ResponseWriter

	mu   sync.Mutex // guards the fields below
	gone bool       // it is too late to take the connection
	done bool       // it was taken
}

// taken reports whether the connection was; from here on it cannot be. h may be nil.
func (h *handover) taken() bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = true
	return h.done
}

// take is sluice.HTTPRequest's Upgrade.
func (h *handover) take(answer *sluice.HTTPResponse) (io.ReadWriteCloser, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone || h.done {
		return nil, fmt.Errorf("take the client's connection: %w", net.ErrClosed)
	}
	conn, rw, err := http.NewResponseController(h.w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("take the client's connection: %w", err)
	}
	h.done = true
	fmt.Fprintf(rw, "HTTP/1.1 %d %s\r\n", answer.Status, http.StatusText(answer.Status))
	answer.Header.Write(rw)
	rw.WriteString("\r\n")
	if err := rw.Flush(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("answer the handshake: %w", err)
	}
	context.AfterFunc(h.ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) }) // it has ended when this server stops
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	return &taken{conn, io.MultiReader(bytes.NewReader(early), conn)}, nil
}

// taken is a client's connection, of which some bytes were read before.
type taken struct {
	net.Conn
	r io.Reader
}

// Read returns those first.
func (c *taken) Read(b []byte) (int, error) { return c.r.Read(b) }

// watched is a server's side of a connection, which closes when nothing passes through for too long.
type watched struct {
	io.ReadWriteCloser
	after time.Duration
	timer *time.Timer
}

func newWatched(c io.ReadWriteCloser, after time.Duration) *watched {
	return &watched{c, after, time.AfterFunc(after, func() { c.Close() })}
}

// Read is time in which something passes through.
func (c *watched) Read(b []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(b)
	if err == nil {
		c.timer.Reset(c.after)
	}
	return n, err
}

// Write is, too.
func (c *watched) Write(b []byte) (int, error) {
	c.timer.Reset(c.after)
	return c.ReadWriteCloser.Write(b)
}

// Close ends the watch as well.
func (c *watched) Close() error {
	c.timer.Stop()
	return c.ReadWriteCloser.Close()
}
