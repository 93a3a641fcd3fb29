package whole

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestAnswersAreAsNetHTTPMakesThem compares what a client sees.
func TestAnswersAreAsNetHTTPMakesThem(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"nothing":   func(http.ResponseWriter, *http.Request) {},
		"echo":      func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) },
		"two":       func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>"); io.WriteString(w, "two") },
		"status":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418); io.WriteString(w, "tea") },
		"unknown":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599) },
		"no body":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"twice":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(500) },
		"late":      func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x"); w.WriteHeader(500) },
		"two lines": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-A", "b\r\nX-Evil: c") },
		"own head": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["x-amz-lower"] = []string{"1", "2"}
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.Header().Set("Content-Length", "2")
			io.WriteString(w, "{}")
		},
	} {
		t.Run(name, func(t *testing.T) {
			seen := func(raw io.Reader) string {
				res, err := http.ReadResponse(bufio.NewReader(raw), nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				if err != nil {
					t.Fatal(err)
				}
				if res.Header.Get("Date") == "" {
					t.Error("no date")
				}
				res.Header.Del("Date")
				return fmt.Sprint(res.Status, res.Header, res.ContentLength, string(body))
			}
			s := httptest.NewUnstartedServer(h)
			s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // it tells of second WriteHeaders
			s.Start()
			defer s.Close()
			c, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprint(c, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
			want := seen(c)
			r := httptest.NewRequest("POST", "/a", nil)
			for range 2 { // what is used again holds nothing of the last answer
				if diff := cmp.Diff(want, seen(bytes.NewReader(Append(nil, h, r, []byte("abc"))))); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// server is a listener before net/http. "hold" waits for free, "panic" aborts.
type server struct {
	l         *Listener
	dial      func() (net.Conn, error)
	held      chan struct{}
	free      chan struct{}
	netHTTP   *http.Server
	serveDone chan error
}

func serve(t *testing.T, set func(*Listener)) *server {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, ln, func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }, set)
}

// pipes is a listener whose connections are in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

// timed runs a test in a bubble where time jumps, as it cannot around sockets. Each write is a read of its own.
func timed(t *testing.T, set func(*Listener), test func(t *testing.T, s *server)) {
	synctest.Test(t, func(t *testing.T) {
		ln := make(pipes)
		test(t, serveOn(t, ln, func() (net.Conn, error) {
			c, theirs := net.Pipe()
			ln <- theirs
			return c, nil
		}, set))
	})
}

func serveOn(t *testing.T, ln net.Listener, dial func() (net.Conn, error), set func(*Listener)) *server {
	s := &server{l: New(), dial: dial, held: make(chan struct{}, 1), free: make(chan struct{}), serveDone: make(chan error, 1)}
	s.l.Serve = func(dst, request []byte, _ string) ([]byte, bool) {
		switch {
		case bytes.Contains(request, []byte("hold")):
			s.held <- struct{}{}
			<-s.free
		case bytes.Contains(request, []byte("panic")):
			panic(http.ErrAbortHandler)
		}
		return append(dst, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"...), bytes.HasSuffix(request, []byte("."))
	}
	if set != nil {
		set(s.l)
	}
	s.netHTTP = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "net/http %s", body)
	})}
	go s.l.From(ln, func(err error) { t.Errorf("accept: %v", err) })
	go func() { s.serveDone <- s.netHTTP.Serve(s.l) }()
	t.Cleanup(func() {
		s.netHTTP.Close()
		<-s.serveDone
		if err := s.l.Wait(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *server) client(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c, bufio.NewReader(c)
}

func request(text string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
}

func says(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); string(body) != want || err != nil {
		t.Errorf("%q %v, want %q", body, err, want)
	}
}

func TestWhatIsNotTakenIsNetHTTPsFromThenOn(t *testing.T) {
	s := serve(t, nil)
	c, r := s.client(t)
	for range 3 {
		io.WriteString(c, request("one."))
		says(t, r, "whole")
	}
	io.WriteString(c, request("other"))
	says(t, r, "net/http other")
	io.WriteString(c, request("one."))
	says(t, r, "net/http one.")
}

func TestABodyMayFollowItsHead(t *testing.T) {
	timed(t, nil, func(t *testing.T, s *server) {
		c, r := s.client(t)
		write := func(parts ...string) {
			for _, p := range parts {
				io.WriteString(c, p)
				time.Sleep(soon / 3) // both parts of a body are there in time
			}
		}
		for _, name := range []string{"Content-Length", "content-length"} {
			write("POST / HTTP/1.1\r\nHost: x\r\n"+name+": 4\r\n\r\n", "on", "e.")
			says(t, r, "whole")
		}
		write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65000\r\n\r\n", strings.Repeat(".", 65000))
		says(t, r, "net/http "+strings.Repeat(".", 65000))

		c, r = s.client(t)
		write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
		time.Sleep(2 * soon)
		write("one.")
		says(t, r, "net/http one.")

		c, r = s.client(t)
		write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
			t.Errorf("%q %v", line, err)
		}
		r.ReadString('\n')
		write("one.")
		says(t, r, "net/http one.")
	})
}

func TestAPanicEndsItsConnection(t *testing.T) {
	s := serve(t, nil)
	c, r := s.client(t)
	io.WriteString(c, request("panic."))
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("%v", err)
	}
}

func TestConnectionsThatRestTooLongAreClosed(t *testing.T) {
	timed(t, func(l *Listener) { l.First, l.Idle = 20*time.Millisecond, 10*time.Millisecond }, func(t *testing.T, s *server) {
		_, r := s.client(t)
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("one that says nothing: %v", err)
		}
		c, r := s.client(t)
		io.WriteString(c, request("one."))
		says(t, r, "whole")
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("one that says nothing more: %v", err)
		}
	})
}

func TestConnectionsMayRestForEver(t *testing.T) {
	timed(t, func(l *Listener) { l.First = 60 * time.Millisecond }, func(t *testing.T, s *server) {
		c, r := s.client(t)
		io.WriteString(c, request("one."))
		says(t, r, "whole")
		text := request("two.")
		io.WriteString(c, text[:len(text)-4]) // its body has a time of its own, which is over then, too
		time.Sleep(2 * time.Millisecond)
		io.WriteString(c, text[len(text)-4:])
		says(t, r, "whole")
		time.Sleep(2 * s.l.First)
		io.WriteString(c, request("three."))
		says(t, r, "whole")
	})
}

func TestOthersAreTheirTakers(t *testing.T) {
	taken := make(chan string, 1)
	s := serve(t, func(l *Listener) {
		l.Other = func(c net.Conn, first []byte) bool {
			if first[0] != 0x16 {
				return false
			}
			taken <- string(first)
			c.Close()
			return true
		}
	})
	c, _ := s.client(t)
	io.WriteString(c, "\x16hello")
	if got := <-taken; got != "\x16hello" {
		t.Errorf("%q", got)
	}
	c, r := s.client(t)
	io.WriteString(c, request("one."))
	says(t, r, "whole")
}

func TestCloseLetsAnAnswerFinish(t *testing.T) {
	s := serve(t, nil)
	_, idle := s.client(t)
	c, r := s.client(t)
	io.WriteString(c, request("hold."))
	<-s.held
	stopped := make(chan error, 1)
	go func() { stopped <- s.netHTTP.Shutdown(t.Context()) }()
	if _, err := idle.ReadByte(); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("an idle connection: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.l.Wait(ctx); err == nil {
		t.Error("there is an answer in the making")
	}
	close(s.free)
	says(t, r, "whole")
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("after its answer: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
