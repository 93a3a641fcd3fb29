package gateway

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
)

// tells is a plain handler that says what it got.
func tells(o *Options) {
	o.Plain = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s tls=%v %s %d", r.Method, r.URL.Path, r.Host, r.TLS != nil, r.Proto, len(body))
	})
}

func TestPlainRequestsThenAnUpgradeOnOneConnection(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{AutoAccept: true}, &handler{handle: echo}, tells)
		c := s.connect()
		body := strings.Repeat("b", 100_000)
		for _, tc := range []struct{ request, answer string }{
			{"GET /one HTTP/1.1\r\nHost: h\r\n\r\n", "GET /one h tls=false HTTP/1.1 0"},
			{"POST /two HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + body, "POST /two h tls=false HTTP/1.1 100000"},
		} {
			c.write([]byte(tc.request))
			resp := c.response()
			if got, _ := io.ReadAll(resp.Body); string(got) != tc.answer {
				t.Errorf("answered %q, want %q", got, tc.answer)
			}
		}
		c.write([]byte(strings.Replace(handshake, "13", "12", 1) + "\r\n"))
		if resp := c.response(); resp.StatusCode != 426 || resp.Header.Get("Sec-WebSocket-Version") != "13" {
			t.Errorf("wrong version: %d", resp.StatusCode)
		} else {
			io.Copy(io.Discard, resp.Body)
		}
		c.write(append([]byte(handshake+"\r\n"), masked(0x81, []byte("with the handshake"))...))
		if resp := c.response(); resp.StatusCode != 101 {
			t.Fatal(resp.Status)
		}
		c.want("with the handshake")
		c.text("after it")
		c.want("after it")
		if n := len(s.conns(1)); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestHeadThatIsTooBigIsRefused(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{AutoAccept: true}, &handler{})
		c := s.connect()
		go c.Write([]byte(handshake + "X: " + strings.Repeat("x", 60<<10) + "\r\n\r\n"))
		if resp := c.response(); resp.StatusCode != 431 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}

func TestTLS(t *testing.T) {
	t.Run("any listener", func(t *testing.T) {
		testTLS(t, func(s *server, ln *net.TCPListener, cfg *tls.Config) error {
			return s.Serve(t.Context(), tls.NewListener(ln, cfg))
		})
	})
	t.Run("ours", func(t *testing.T) {
		testTLS(t, func(s *server, ln *net.TCPListener, cfg *tls.Config) error { return s.ServeTLS(t.Context(), ln, cfg) })
	})
}

func testTLS(t *testing.T, serve func(*server, *net.TCPListener, *tls.Config) error) {
	t.Parallel()
	s := start(t, false, Policy{AutoAccept: true}, &handler{handle: echo}, tells)
	cert := httptest.NewUnstartedServer(nil)
	cert.EnableHTTP2 = true
	cert.StartTLS()
	defer cert.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- serve(s, tcp.(*net.TCPListener), cert.TLS) }()

	web := cert.Client()
	for proto := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		tr := &http.Transport{TLSClientConfig: web.Transport.(*http.Transport).TLSClientConfig.Clone(), ForceAttemptHTTP2: proto == "HTTP/2.0"}
		if proto == "HTTP/1.1" {
			tr.TLSClientConfig.NextProtos = []string{"http/1.1"}
		}
		resp, err := (&http.Client{Transport: tr, Timeout: patience}).Get("https://" + tcp.Addr().String() + "/x")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := fmt.Sprintf("GET /x %s tls=true %s 0", tcp.Addr(), proto); string(body) != want {
			t.Errorf("answered %q, want %q", body, want)
		}
		tr.CloseIdleConnections()
	}

	cfg := web.Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.ServerName, cfg.NextProtos = "example.com", nil
	conn, err := tls.Dial("tcp", tcp.Addr().String(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	c := &client{conn, t, bufio.NewReader(conn)}
	if resp := c.greet(); resp.StatusCode != 101 {
		t.Fatal(resp.Status)
	}
	big := strings.Repeat("0123456789", 50_000)
	for range 3 {
		c.text(big)
		c.want(big)
	}
	s.Close(t.Context(), s.conns(1)[0], sluice.CloseSpec{Code: 4000})
	c.wantClose(4000)
	c.closeFrame(4000)
	c.wantEnd()
	s.stop()
	if err := receive(t, served, "end of Serve"); err != nil {
		t.Error(err)
	}
}

func TestDrainSpreadsClosesAndWaits(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		const n, window = 20, 4 * time.Second
		s, closes := journaled(t, streams, nil, Policy{DrainNotice: []byte("going")}, false)
		var clients []*client
		for range n {
			clients = append(clients, s.dial())
		}
		s.connect() // never says anything
		eventually(t, "all are accepted", func() bool { return s.Stats().Live == n+1 })
		drained := make(chan error, 1)
		begin := time.Now()
		go func() { drained <- s.Drain(t.Context(), window) }()
		times := make(chan time.Duration, n)
		for _, c := range clients {
			go func() {
				c.want("going")
				c.wantClose(1012)
				times <- time.Since(begin)
				c.closeFrame(1012)
			}()
		}
		early := 0
		for range n {
			if receive(t, times, "close frame") < window/2 {
				early++
			}
		}
		if early == 0 || early > n*3/4 {
			t.Errorf("%d of %d closed in the first half of the window", early, n)
		}
		if err := receive(t, drained, "end of Drain"); err != nil {
			t.Error(err)
		}
		if len(closes) != n || s.Stats().Live != 0 {
			t.Errorf("%d closes told, %d live", len(closes), s.Stats().Live)
		}
		if c, err := net.Dial("tcp", s.addr); err == nil {
			c.Close()
			t.Error("still accepting")
		}
	})
}

func TestConnectionsMoveToANewDeploy(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{AutoAccept: true}, &handler{handle: echo})
		c := s.dial()
		c.text("old")
		c.want("old")
		s.router.ep.Store(&Endpoint{App: "app", Name: "ws", Handler: &handler{control: func(ControlConn, []byte, bool) Control {
			return Control{Consumed: true, Send: []sluice.Frame{{Data: []byte("new deploy")}}}
		}}})
		c.text("new")
		c.want("new deploy")
	})
}

func TestTunnelsGetTheConnectionItself(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{}, &handler{}, tells)
		s.router.ep.Store(&Endpoint{App: "app", Name: "ws", Tunnel: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\n\r\n%s %s\n", r.URL, r.Header.Get("Sec-Websocket-Version"))
			line, _ := rw.ReadString('\n')
			rw.WriteString(line)
			rw.Flush()
			<-r.Context().Done()
			io.WriteString(conn, "goodbye")
		})})
		kept := s.connect()
		kept.write([]byte("GET /one HTTP/1.1\r\nHost: h\r\n\r\n"))
		io.ReadAll(kept.response().Body)
		clients := []*client{s.connect(), kept}
		for _, c := range clients {
			c.write([]byte(handshake + "\r\nno frame, after the handshake\n"))
			resp := c.response()
			for _, want := range []string{"/path?q=1 13\n", "no frame, after the handshake\n"} {
				if got, err := c.r.ReadString('\n'); resp.StatusCode != 101 || got != want {
					t.Fatalf("%d %q (%v), want %q", resp.StatusCode, got, err, want)
				}
			}
		}
		if n := s.Stats().Live; n != 0 {
			t.Errorf("the gateway holds %d connections of tunnels", n)
		}
		if err := s.Drain(t.Context(), 0); err != nil {
			t.Error(err)
		}
		for _, c := range clients {
			if got, _ := io.ReadAll(c.r); string(got) != "goodbye" {
				t.Errorf("at the end: %q", got)
			}
		}
	})
}
