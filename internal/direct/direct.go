// Package direct asks HTTP servers from the caller's own goroutine, where net/http's transport hands a request
// and its answer to two others.
package direct

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/until"
)

const (
	maxBody = 32 << 10 // of a request that surely goes out although nobody reads it yet, in bytes
	maxHead = 1 << 20  // of an answer, in bytes
)

// Transport is an http.RoundTripper. It is safe for concurrent use.
type Transport struct {
	other   *http.Transport
	keep    time.Duration
	perHost int

	mu    sync.Mutex         // guards the fields below
	idle  map[string][]*line // by host; the one used last at the end
	sweep *time.Timer        // nil when none is idle
}

// New asks as other does: its Proxy, IdleConnTimeout (0 is 3 s: servers in Node close a connection that was idle for
// 5, maybe just when a request is sent) and MaxIdleConnsPerHost (0 is 64) hold. Other itself gets what takes more
// than one write and one answer in its turn: TLS, proxies, upgrades, bodies of more than 32 KB or unknown length.
// Answers are not asked to be compressed.
func New(other *http.Transport) *Transport {
	other.DisableCompression = true
	other.IdleConnTimeout = cmp.Or(other.IdleConnTimeout, 3*time.Second)
	other.MaxIdleConnsPerHost = cmp.Or(other.MaxIdleConnsPerHost, 64)
	return &Transport{other: other, keep: other.IdleConnTimeout, perHost: other.MaxIdleConnsPerHost, idle: map[string][]*line{}}
}

// line is one connection.
type line struct {
	conn  net.Conn
	host  string           // of the URL
	in    io.LimitedReader // of conn
	r     *bufio.Reader    // of in
	w     *bufio.Writer
	since time.Time // it has been idle
}

// RoundTrip implements http.RoundTripper. Its errors are the context's, or the network's.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !t.fits(req) {
		return t.other.RoundTrip(req)
	}
	ctx := req.Context()
	if req.Body != nil {
		defer req.Body.Close() // when it was not sent
	}
	for {
		l, used, err := t.take(req)
		if err != nil {
			return nil, why(ctx, err)
		}
		base, _ := until.Split(ctx)
		stop := func() bool { return true }
		if base.Done() != nil {
			stop = context.AfterFunc(base, l.interrupt)
		}
		res, err := l.call(req)
		if err == nil {
			res.Body = &answerBody{ReadCloser: res.Body, ctx: ctx, t: t, line: l, stop: stop, whole: res.Body == http.NoBody, last: res.Close || res.StatusCode < 200}
			return res, nil
		}
		stop()
		l.conn.Close()
		if !used || !again(req) || ctx.Err() != nil {
			return nil, why(ctx, err)
		}
	}
}

// fits reports whether a request needs nothing of net/http's transport.
func (t *Transport) fits(req *http.Request) bool {
	empty := req.Body == nil || req.Body == http.NoBody
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		return false
	}
	if req.URL.Scheme != "http" || req.ContentLength < 0 || req.ContentLength == 0 && !empty || req.ContentLength > maxBody ||
		req.Close || req.TransferEncoding != nil || req.Trailer != nil || req.Header["Upgrade"] != nil || req.Header["Expect"] != nil {
		return false
	}
	for _, c := range []byte(req.URL.Host) {
		if c >= 0x80 {
			return false // net/http says it in Punycode
		}
	}
	if t.other.Proxy == nil {
		return true
	}
	proxy, err := t.other.Proxy(req)
	return proxy == nil && err == nil
}

// again reports whether a request may be sent to a server that might have seen it.
func again(req *http.Request) bool {
	return (req.Body == nil || req.Body == http.NoBody) && (req.Method == http.MethodGet || req.Method == http.MethodHead || req.Method == http.MethodOptions)
}

// why is the context's error when that is what ended a call.
func why(ctx context.Context, err error) error {
	if e := ctx.Err(); e != nil {
		return e
	}
	if at, ok := ctx.Deadline(); ok && !time.Now().Before(at) { // the connection's timer was sooner than the context's
		return context.DeadlineExceeded
	}
	return err
}

// take returns a connection that ends with the request's deadline, and whether it was used before: then nobody
// else uses it and the server has not closed it.
func (t *Transport) take(req *http.Request) (l *line, used bool, err error) {
	ctx, host := req.Context(), req.URL.Host
	_, at := until.Split(ctx)
	for {
		l := t.pop(host)
		if l == nil {
			break
		}
		l.conn.SetDeadline(at) // a past one would be an error below
		if time.Since(l.since) < t.keep && l.r.Buffered() == 0 && silent(l.conn) {
			return l, true, nil
		}
		l.conn.Close()
	}
	address := host
	if req.URL.Port() == "" {
		address = net.JoinHostPort(req.URL.Hostname(), "80")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, false, err
	}
	conn.SetDeadline(at)
	l = &line{conn: conn, host: host, in: io.LimitedReader{R: conn}, w: bufio.NewWriter(conn)}
	l.r = bufio.NewReader(&l.in)
	return l, false, nil
}

func (t *Transport) pop(host string) *line {
	t.mu.Lock()
	defer t.mu.Unlock()
	ls := t.idle[host]
	n := len(ls)
	if n == 0 {
		return nil
	}
	l := ls[n-1]
	ls[n-1] = nil
	t.idle[host] = ls[:n-1] // stays until the sweep, as the next call is likely to want it
	return l
}

// put gives a connection to the next call.
func (t *Transport) put(l *line) {
	l.since = time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idle[l.host]) >= t.perHost {
		l.conn.Close()
		return
	}
	t.idle[l.host] = append(t.idle[l.host], l)
	if t.sweep == nil {
		t.sweep = time.AfterFunc(t.keep, t.closeOld)
	}
}

// closeOld closes the connections that have been idle for too long.
func (t *Transport) closeOld() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for host, ls := range t.idle {
		n := 0
		for n < len(ls) && time.Since(ls[n].since) >= t.keep {
			ls[n].conn.Close()
			ls[n] = nil
			n++
		}
		if t.idle[host] = ls[n:]; n == len(ls) {
			delete(t.idle, host)
		}
	}
	t.sweep = nil
	if len(t.idle) > 0 {
		t.sweep = time.AfterFunc(t.keep, t.closeOld)
	}
}

// CloseIdleConnections closes those that no call uses.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	for _, ls := range t.idle {
		for _, l := range ls {
			l.conn.Close()
		}
	}
	clear(t.idle)
	if t.sweep != nil {
		t.sweep.Stop()
		t.sweep = nil
	}
	t.mu.Unlock()
	t.other.CloseIdleConnections()
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
	l.in.N = maxHead
	if _, err := l.r.Peek(1); err != nil {
		return nil, err // io.EOF: there is no answer; later it would be an unexpected one
	}
	for {
		res, err := http.ReadResponse(l.r, req)
		if err != nil {
			return nil, err
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			l.in.N = math.MaxInt64
			return res, nil
		}
	}
}

// answerBody is an answer's body; with its end the connection becomes free.
type answerBody struct {
	io.ReadCloser
	ctx   context.Context
	t     *Transport
	line  *line       // nil when closed
	stop  func() bool // keeps the end of the call's context from the connection
	last  bool        // the server closes the connection
	whole bool        // all has been read
}

// Read reads on. Its errors are the context's, or the network's.
func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.whole = true
	} else if err != nil {
		err = why(b.ctx, err)
	}
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
		b.t.put(l)
		return nil
	}
	return l.conn.Close()
}
