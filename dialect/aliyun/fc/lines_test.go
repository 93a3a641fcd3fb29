package fc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
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
	for {
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
func ask(ctx context.Context, ls *lines, url, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	res, err := ls.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func TestLinesKeepWhatCanBeKept(t *testing.T) {
	for _, c := range []struct {
		path  string
		conns int64 // for three calls
	}{{"/plain", 1}, {"/parts", 1}, {"/last", 3}, {"/leaves", 3}, {"/chatters", 3}} {
		t.Run(c.path, func(t *testing.T) {
			s, ls := newScript(t), newLines()
			defer ls.CloseIdleConnections()
			for i := range 3 {
				said := fmt.Sprint("call ", i)
				if got, err := ask(t.Context(), ls, s.url+c.path, said); got != said || err != nil {
					t.Fatalf("%q was answered %q, %v", said, got, err)
				}
				if c.path == "/leaves" { // until its end has come
					for end := time.Now().Add(5 * time.Second); silent(ls.idle[0].conn) && time.Now().Before(end); {
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

func TestLinesCarryLargeRequests(t *testing.T) {
	s, ls := newScript(t), newLines()
	defer ls.CloseIdleConnections()
	said := strings.Repeat("x", 1<<20)
	if got, err := ask(t.Context(), ls, s.url+"/plain", said); got != said || err != nil {
		t.Fatalf("answered %d bytes, %v", len(got), err)
	}
}

func TestLinesEndWithTheirCall(t *testing.T) {
	s, ls := newScript(t), newLines()
	defer ls.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := ask(ctx, ls, s.url+"/hangs", ""); err == nil || ctx.Err() == nil {
		t.Fatalf("a call without an answer ended with %v", err)
	}
	if len(ls.idle) != 0 {
		t.Error("its connection is kept")
	}
	if _, err := ask(t.Context(), ls, s.url+"/endless", ""); err == nil {
		t.Error("an endless head is an answer")
	}
	var op *net.OpError
	if _, err := ask(t.Context(), ls, "http://127.0.0.1:1/", ""); !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("where nobody listens: %v", err)
	}
}

func TestLinesThatAreIdleAreClosed(t *testing.T) {
	s, ls := newScript(t), newLines()
	if _, err := ask(t.Context(), ls, s.url+"/plain", "x"); err != nil {
		t.Fatal(err)
	}
	ls.idle[0].since = time.Now().Add(-lineIdle)
	ls.closeOld()
	if len(ls.idle) != 0 || ls.sweep != nil {
		t.Errorf("%d are kept", len(ls.idle))
	}
}
