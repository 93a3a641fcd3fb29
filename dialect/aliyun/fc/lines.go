package fc

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	lineIdle = 3 * time.Second // servers in node close a connection that was idle for 5 s, maybe just when a call is sent
	lineBody = 32 << 10        // of a request that surely goes out although nobody reads it yet
	lineHead = 1 << 20         // of an answer, beyond its body
)

// lines is the transport to a server on this machine. A call is written and its answer is read by the caller's
// own goroutine, where net/http's transport hands both to others. A larger request goes through that one,
// as a server may answer before it has read it all.
type lines struct {
	large http.Transport

	mu    sync.Mutex // guards what follows
	idle  []*line    // the one used last at the end
	sweep *time.Timer
}

func newLines() *lines {
	return &lines{large: http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256, IdleConnTimeout: lineIdle}}
}

// line is one connection.
type line struct {
	conn  net.Conn
	in    io.LimitedReader // of conn
	r     *bufio.Reader    // of in
	w     *bufio.Writer
	since time.Time // it has been idle
}

// RoundTrip implements http.RoundTripper.
func (ls *lines) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.ContentLength < 0 || req.ContentLength > lineBody {
		return ls.large.RoundTrip(req)
	}
	l, err := ls.take(req)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(req.Context(), l.interrupt)
	res, err := l.call(req)
	if err != nil {
		stop()
		l.conn.Close()
		return nil, err
	}
	res.Body = &answerBody{ReadCloser: res.Body, lines: ls, line: l, stop: stop, last: res.Close || res.StatusCode < 200}
	return res, nil
}

// take returns a connection that nobody uses and the server has not closed.
func (ls *lines) take(req *http.Request) (*line, error) {
	for {
		l := ls.pop()
		if l == nil {
			break
		}
		if time.Since(l.since) < lineIdle && l.r.Buffered() == 0 && silent(l.conn) {
			return l, nil
		}
		l.conn.Close()
	}
	var d net.Dialer
	conn, err := d.DialContext(req.Context(), "tcp", req.URL.Host)
	if err != nil {
		return nil, err
	}
	l := &line{conn: conn, in: io.LimitedReader{R: conn}, w: bufio.NewWriter(conn)}
	l.r = bufio.NewReader(&l.in)
	return l, nil
}

func (ls *lines) pop() *line {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	n := len(ls.idle)
	if n == 0 {
		return nil
	}
	l := ls.idle[n-1]
	ls.idle[n-1] = nil
	ls.idle = ls.idle[:n-1]
	return l
}

// put gives a connection to the next call.
func (ls *lines) put(l *line) {
	l.since = time.Now()
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.idle = append(ls.idle, l)
	if ls.sweep == nil {
		ls.sweep = time.AfterFunc(lineIdle, ls.closeOld)
	}
}

// closeOld closes the connections that have been idle for too long.
func (ls *lines) closeOld() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for len(ls.idle) > 0 && time.Since(ls.idle[0].since) >= lineIdle {
		ls.idle[0].conn.Close()
		ls.idle[0] = nil
		ls.idle = ls.idle[1:]
	}
	ls.sweep = nil
	if len(ls.idle) > 0 {
		ls.sweep = time.AfterFunc(lineIdle, ls.closeOld)
	}
}

// CloseIdleConnections closes those that no call uses.
func (ls *lines) CloseIdleConnections() {
	ls.mu.Lock()
	for _, l := range ls.idle {
		l.conn.Close()
	}
	ls.idle = nil
	if ls.sweep != nil {
		ls.sweep.Stop()
		ls.sweep = nil
	}
	ls.mu.Unlock()
	ls.large.CloseIdleConnections()
}

// interrupt lets what waits for the connection fail.
func (l *line) interrupt() { l.conn.SetDeadline(time.Unix(1, 0)) }

// call sends a request and reads the head of its answer.
func (l *line) call(req *http.Request) (*http.Response, error) {
	if err := req.Write(l.w); err != nil {
		return nil, err
	}
	if err := l.w.Flush(); err != nil {
		return nil, err
	}
	l.in.N = maxPayload + lineHead
	if _, err := l.r.Peek(1); err != nil {
		return nil, err // io.EOF: there is no answer; later it would be an unexpected one
	}
	for {
		res, err := http.ReadResponse(l.r, req)
		if err != nil || res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			return res, err
		}
	}
}

// answerBody is an answer's body; with its end the connection becomes free.
type answerBody struct {
	io.ReadCloser
	lines *lines
	line  *line       // nil when closed
	stop  func() bool // keeps the end of the call's context from the connection
	last  bool        // the server closes the connection
	whole bool        // all has been read
}

// Read reads on.
func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.whole = b.whole || err == io.EOF
	return n, err
}

// Close ends the call.
func (b *answerBody) Close() error {
	l := b.line
	if l == nil {
		return nil
	}
	b.line = nil
	if b.stop() && b.whole && !b.last {
		b.lines.put(l)
		return nil
	}
	return l.conn.Close()
}
