package direct

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/until"
)

// script is a server that answers every request on a connection by the request's path.
type script struct {
	url   string
	conns atomic.Int64
}

func newScript(t *testing.T) *script {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	s := &script{url: "http://" + ln.Addr().String()}
	go func() { // ends with its listener
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			go s.serve(c)
		}
	}()
	return s
}

func (s *script) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for asked := 0; ; {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		switch req.URL.Path {
		case "/plain":
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		case "/parts":
			fmt.Fprintf(c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		case "/last":
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s", body)
			return
		case "/leaves":
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			return
		case "/chatters":
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%sHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong", len(body), body)
		case "/empty":
			fmt.Fprint(c, "HTTP/1.1 204 No Content\r\n\r\n")
		case "/once": // hangs up on whom it has answered before
			if asked++; asked > 1 {
				return
			}
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		case "/hangs":
			io.Copy(io.Discard, r)
			return
		case "/endless":
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n")
			for err == nil {
				_, err = fmt.Fprintf(c, "X-More: %s\r\n", strings.Repeat("m", 4000))
			}
			return
		}
	}
}

// ask makes a call and returns the answer's body.
func ask(ctx context.Context, tr *Transport, url, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

// only returns the one connection that nobody uses.
func (t *Transport) only(tt *testing.T) *line {
	tt.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ls := range t.idle {
		if len(ls) == 1 && len(t.idle) == 1 {
			return ls[0]
		}
	}
	tt.Fatalf("idle: %v", t.idle)
	return nil
}

func TestConnectionsAreKept(t *testing.T) {
	for _, c := range []struct {
		path  string
		conns int64 // for three calls
	}{{"/plain", 1}, {"/parts", 1}, {"/empty", 1}, {"/last", 3}, {"/leaves", 3}, {"/chatters", 3}} {
		t.Run(c.path, func(t *testing.T) {
			s, tr := newScript(t), New(&http.Transport{})
			defer tr.CloseIdleConnections()
			for i := range 3 {
				said := fmt.Sprint("call ", i)
				if c.path == "/empty" {
					said = ""
				}
				if got, err := ask(t.Context(), tr, s.url+c.path, said); got != said || err != nil {
					t.Fatalf("%q was answered %q, %v", said, got, err)
				}
				if c.path == "/leaves" { // until its end has come
					for end := time.Now().Add(time.Minute); silent(tr.only(t).conn) && time.Now().Before(end); {
						time.Sleep(time.Millisecond)
					}
				}
			}
			if got := s.conns.Load(); got != c.conns {
				t.Errorf("three calls took %d connections, want %d", got, c.conns)
			}
		})
	}
}

func TestLargeRequests(t *testing.T) {
	s, tr := newScript(t), New(&http.Transport{})
	defer tr.CloseIdleConnections()
	said := strings.Repeat("x", 1<<20)
	if got, err := ask(t.Context(), tr, s.url+"/plain", said); got != said || err != nil {
		t.Fatalf("answered %d bytes, %v", len(got), err)
	}
}

func TestCallsEnd(t *testing.T) {
	s, tr := newScript(t), New(&http.Transport{})
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := ask(ctx, tr, s.url+"/hangs", ""); err != context.DeadlineExceeded {
		t.Fatalf("a call without an answer ended with %v", err)
	}
	within := until.New(t.Context(), time.Now().Add(20*time.Millisecond))
	defer within.Release()
	if _, err := ask(within, tr, s.url+"/hangs", ""); err != context.DeadlineExceeded {
		t.Fatalf("a call without an answer ended with %v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, leave)
	if _, err := ask(until.New(gone, time.Now().Add(time.Hour)), tr, s.url+"/hangs", ""); err != context.Canceled {
		t.Fatalf("a call whose caller left ended with %v", err)
	}
	if len(tr.idle) != 0 {
		t.Error("its connection is kept")
	}
	if _, err := ask(t.Context(), tr, s.url+"/endless", ""); err == nil {
		t.Error("an endless head is an answer")
	}
	var op *net.OpError
	if _, err := ask(t.Context(), tr, "http://127.0.0.1:1/", ""); !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("where nobody listens: %v", err)
	}
}

// late is a context whose deadline has passed, and whose timer has not run yet.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Unix(1, 0), true }

func TestADeadlineIsTheReasonBeforeItsTimerSaysSo(t *testing.T) {
	s, tr := newScript(t), New(&http.Transport{})
	if _, err := ask(late{t.Context()}, tr, s.url+"/plain", ""); err != context.DeadlineExceeded {
		t.Errorf("a call after its deadline ended with %v", err)
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	s, tr := newScript(t), New(&http.Transport{})
	if _, err := ask(t.Context(), tr, s.url+"/plain", "x"); err != nil {
		t.Fatal(err)
	}
	tr.only(t).since = time.Now().Add(-tr.keep)
	tr.closeOld()
	if len(tr.idle) != 0 || tr.sweep != nil {
		t.Errorf("%d are kept", len(tr.idle))
	}
}

// TestAGetIsAskedAgain of another connection when the one at hand ends: its server may have hung up meanwhile.
func TestAGetIsAskedAgain(t *testing.T) {
	s, tr := newScript(t), New(&http.Transport{})
	defer tr.CloseIdleConnections()
	for _, c := range []struct {
		method string
		err    error
		conns  int64
	}{{"GET", nil, 1}, {"GET", nil, 2}, {"POST", io.EOF, 2}, {"POST", nil, 3}} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, s.url+"/once", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := tr.RoundTrip(req)
		if err != c.err || s.conns.Load() != c.conns {
			t.Fatalf("%s: %v after %d connections, want %v after %d", c.method, err, s.conns.Load(), c.err, c.conns)
		}
		if err == nil {
			res.Body.Close()
		}
	}
}

// TestOthersRequests go through net/http's transport, here seen by the proxy that it is told of.
func TestOthersRequests(t *testing.T) {
	var proxied atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { proxied.Add(1) }))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	other := &http.Transport{Proxy: func(r *http.Request) (*url.URL, error) {
		if strings.HasPrefix(r.URL.Host, "127.") {
			return nil, nil
		}
		return at, nil
	}}
	s, tr := newScript(t), New(other)
	defer tr.CloseIdleConnections()
	if got, err := ask(t.Context(), tr, "http://far.example/", "x"); err != nil || proxied.Load() != 1 {
		t.Errorf("through a proxy: %q, %v", got, err)
	}
	if got, err := ask(t.Context(), tr, s.url+"/plain", "x"); err != nil || got != "x" || proxied.Load() != 1 || tr.only(t) == nil {
		t.Errorf("past it: %q, %v", got, err)
	}
	for name, alter := range map[string]func(r *http.Request){
		"TLS":               func(r *http.Request) { r.URL.Scheme = "https" },
		"an odd method":     func(r *http.Request) { r.Method = "GET / HTTP/1.1\r\nX: y" },
		"an upgrade":        func(r *http.Request) { r.Header.Set("Upgrade", "websocket") },
		"an unknown length": func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), 0 },
		"a host in Chinese": func(r *http.Request) { r.URL.Host = "\u5f39\u5e55.example" },
	} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		if alter(req); tr.fits(req) {
			t.Error(name)
		}
	}
}

// TestIdleConnectionsAreFew keeps no more of them for a host than it was told to.
func TestIdleConnectionsAreFew(t *testing.T) {
	s, tr := newScript(t), New(&http.Transport{MaxIdleConnsPerHost: 1})
	defer tr.CloseIdleConnections()
	var open []*http.Response
	for range 3 {
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/plain", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, res)
	}
	for _, res := range open {
		res.Body.Close()
	}
	tr.only(t)
}
