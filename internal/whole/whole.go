// Package whole serves HTTP requests that came whole, head and body at once or nearly so, and whose answers are made
// whole, too. For those net/http does more than most of what it serves: a goroutine that waits for the client to leave,
// and two buffers. All others are net/http's, with their connection, from the first one on.
package whole

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// readSize bounds what is served here: requests are no larger, with their heads. Bytes.
const readSize = 16 << 10

// grace is how long an answer may take that is in the making when the listener closes.
const grace = 2 * time.Second

// rest is how long accepting rests when it fails, for lack of descriptors mostly.
const rest = 100 * time.Millisecond

// Serve answers a request: what has been read of a connection, whole or not. The answer is appended to dst. It reports false,
// and nothing has been done, when net/http has to have the request. A panic of [http.ErrAbortHandler] ends the connection.
type Serve func(dst, request []byte, remote string) (answer []byte, ok bool)

// Listener reads connections before net/http does. It is the listener of an http.Server: Accept returns connections
// that begin with a request that Serve did not take.
type Listener struct {
	// Serve answers requests. May be nil: it takes none.
	Serve Serve
	// Other gets a connection with the first that was read of it, before Serve. It reports true when the connection is
	// its own from then on. May be nil.
	Other func(c net.Conn, first []byte) bool
	// First is how long a client may take for its first bytes, Idle for the next request. 0 is for ever.
	First, Idle time.Duration

	c       chan net.Conn
	quit    chan struct{}
	busy    sync.WaitGroup // one a connection in open, and one for From
	buffers sync.Pool      // of *[readSize]byte

	mu     sync.Mutex // guards the fields below
	closed bool
	from   []net.Listener
	open   map[net.Conn]*atomic.Bool // whether an answer is in the making
}

// New returns a listener to which connections come by From and Take.
func New() *Listener {
	l := &Listener{c: make(chan net.Conn), quit: make(chan struct{}), open: map[net.Conn]*atomic.Bool{}}
	l.buffers.New = func() any { return new([readSize]byte) }
	return l
}

// From takes what comes to ln, until l closes and ln with it. failed is told when that fails, for it is tried again.
func (l *Listener) From(ln net.Listener, failed func(error)) {
	l.mu.Lock()
	closed := l.closed
	if closed {
		ln.Close()
	} else {
		l.from = append(l.from, ln)
		l.busy.Add(1)
	}
	l.mu.Unlock()
	if closed {
		return
	}
	defer l.busy.Done()
	for {
		c, err := ln.Accept()
		if err == nil {
			busy, forget := l.track(c)
			go l.take(c, busy, forget)
			continue
		}
		select {
		case <-l.quit:
			return
		default:
		}
		failed(err)
		select {
		case <-l.quit:
			return
		case <-time.After(rest):
		}
	}
}

// Accept returns the next connection that is net/http's.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.c:
		return c, nil
	case <-l.quit:
		return nil, net.ErrClosed
	}
}

// Addr is that of the first listener that connections come from.
func (l *Listener) Addr() net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.from) == 0 {
		return &net.TCPAddr{}
	}
	return l.from[0].Addr()
}

// Close ends Accept and From, and closes the connections that wait for a request. Answers in the making have 2 s.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	close(l.quit)
	for _, ln := range l.from {
		ln.Close()
	}
	for c, busy := range l.open {
		if busy.Load() {
			c.SetDeadline(time.Now().Add(grace))
		} else {
			c.Close()
		}
	}
	return nil
}

// Wait waits until nothing of a closed listener runs any more, or ctx ends.
func (l *Listener) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		l.busy.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Track closes c when l closes, until the returned function is called.
func (l *Listener) Track(c net.Conn) (forget func()) {
	_, forget = l.track(c)
	return forget
}

func (l *Listener) track(c net.Conn) (busy *atomic.Bool, forget func()) {
	busy = new(atomic.Bool)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy.Add(1)
	l.open[c] = busy
	if l.closed {
		c.Close()
	}
	return busy, func() {
		l.mu.Lock()
		delete(l.open, c)
		l.mu.Unlock()
		l.busy.Done()
	}
}

// isClosed reports whether Close was called.
func (l *Listener) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// Take serves a connection until a request comes that Serve does not take, or the connection ends.
func (l *Listener) Take(c net.Conn) {
	busy, forget := l.track(c)
	l.take(c, busy, forget)
}

func (l *Listener) take(c net.Conn, busy *atomic.Bool, forget func()) {
	defer forget()
	buf := l.buffers.Get().(*[readSize]byte)
	defer l.buffers.Put(buf)
	defer func() {
		if p := recover(); p != nil {
			c.Close()
			if p != http.ErrAbortHandler {
				panic(p)
			}
		}
	}()
	remote, answer, other := c.RemoteAddr().String(), make([]byte, 0, 512), l.Other
	for wait := l.First; ; wait = l.Idle {
		until := time.Time{} // which ends no read, whatever the last one had
		if wait > 0 {
			until = time.Now().Add(wait)
		}
		c.SetReadDeadline(until)
		n, err := c.Read(buf[:])
		if err != nil {
			c.Close()
			return
		}
		if other != nil && other(c, buf[:n]) {
			return
		}
		other = nil
		busy.Store(true)
		taken := false
		if l.Serve != nil {
			if answer, taken = l.Serve(answer[:0], buf[:n], remote); !taken {
				if m := fill(c, buf[:], n); m > n {
					n = m
					answer, taken = l.Serve(answer[:0], buf[:n], remote)
				}
			}
		}
		if !taken {
			c.SetReadDeadline(time.Time{})
			l.put(&Peeked{c, bytes.Clone(buf[:n])})
			return
		}
		if _, err := c.Write(answer); err != nil {
			c.Close()
			return
		}
		if busy.Store(false); l.isClosed() { // Close may have seen it busy
			c.Close()
			return
		}
		if cap(answer) > 4*readSize {
			answer = make([]byte, 0, 512)
		}
	}
}

// soon is within what time a body follows its head where a client writes them one after the other, as boto3 does.
const soon = 50 * time.Millisecond

// fill reads what is missing of a request's body, if it fits and comes soon, and returns how much there is then.
func fill(c net.Conn, buf []byte, n int) int {
	head, body, ok := bytes.Cut(buf[:n], []byte("\r\n\r\n"))
	if !ok || bytes.Contains(head, []byte("xpect:")) { // that one waits for a word of ours
		return n
	}
	end := n - len(body) + length(head)
	if end > len(buf) {
		return n
	}
	c.SetReadDeadline(time.Now().Add(soon))
	for n < end {
		m, err := c.Read(buf[n:end])
		if n += m; err != nil {
			break // net/http will see it, too
		}
	}
	return n
}

// length is the length of the body as the head has it; 0 when it has none.
func length(head []byte) int {
	for _, name := range []string{"\r\nContent-Length: ", "\r\ncontent-length: "} {
		if _, v, ok := bytes.Cut(head, []byte(name)); ok {
			v, _, _ = bytes.Cut(v, []byte("\r"))
			n, _ := strconv.ParseUint(string(v), 10, 16)
			return int(n)
		}
	}
	return 0
}

// put hands c to Accept, or closes it when there will be no Accept.
func (l *Listener) put(c net.Conn) {
	select {
	case l.c <- c:
	case <-l.quit:
		c.Close()
	}
}

// Peeked is a connection of which Head has been read ahead.
type Peeked struct {
	net.Conn
	Head []byte
}

// Read reads what was read ahead first.
func (p *Peeked) Read(b []byte) (int, error) {
	if len(p.Head) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.Head)
	if p.Head = p.Head[n:]; len(p.Head) == 0 {
		p.Head = nil
	}
	return n, nil
}

// ReadFrom lets net/http send files without copying them.
func (p *Peeked) ReadFrom(r io.Reader) (int64, error) { return io.Copy(p.Conn, r) }

// CloseWrite tells the other side that no more comes, where the connection can.
func (p *Peeked) CloseWrite() error {
	if c, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return p.Conn.Close()
}

// response is what a handler answers.
type response struct {
	header http.Header
	status int
	body   []byte
}

var responses = sync.Pool{New: func() any { return &response{header: http.Header{}} }}

// Header is the answer's head.
func (w *response) Header() http.Header { return w.header }

// WriteHeader sets the status, once.
func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write adds to the body.
func (w *response) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, b...)
	return len(b), nil
}

// body is a request's body.
type body struct{ bytes.Reader }

// Close does nothing.
func (*body) Close() error { return nil }

// Append has h answer r, whose body is b, and appends the answer to dst. The handler must not keep the body, which is
// part of a buffer, nor flush, hijack, or write informational answers. Its context does not tell when the client leaves.
func Append(dst []byte, h http.Handler, r *http.Request, b []byte) []byte {
	w := responses.Get().(*response)
	in := new(body)
	in.Reset(b)
	r.Body = in
	h.ServeHTTP(w, r)
	dst = w.append(dst)
	clear(w.header)
	if w.status, w.body = 0, w.body[:0]; cap(w.body) <= 4*readSize {
		responses.Put(w)
	}
	return dst
}

func (w *response) append(dst []byte) []byte {
	w.WriteHeader(http.StatusOK)
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(w.status), 10)
	if text := http.StatusText(w.status); text != "" {
		dst = append(append(dst, ' '), text...)
	} else {
		dst = strconv.AppendInt(append(dst, " status code "...), int64(w.status), 10)
	}
	for name, values := range w.header {
		if name == "Content-Length" || name == "Date" || name == "Connection" || name == "Transfer-Encoding" {
			continue
		}
		for _, v := range values {
			dst = appendHeader(dst, name, v)
		}
	}
	if _, ok := w.header["Content-Type"]; !ok && len(w.body) > 0 {
		dst = appendHeader(dst, "Content-Type", http.DetectContentType(w.body))
	}
	dst = append(dst, "\r\nDate: "...)
	dst = time.Now().UTC().AppendFormat(dst, http.TimeFormat)
	if w.status != http.StatusNoContent && w.status != http.StatusNotModified {
		dst = append(dst, "\r\nContent-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(w.body)), 10)
		dst = append(dst, "\r\n\r\n"...)
		return append(dst, w.body...)
	}
	return append(dst, "\r\n\r\n"...)
}

// appendHeader appends a header; a value cannot end its line.
func appendHeader(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, "\r\n"...), name...), ": "...)
	at := len(dst)
	dst = append(dst, value...)
	for i := at; i < len(dst); i++ {
		if dst[i] == '\r' || dst[i] == '\n' {
			dst[i] = ' '
		}
	}
	return dst
}
