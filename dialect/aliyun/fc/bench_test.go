package fc

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/internal/direct"
)

// quiet is a process that only is there.
type quiet struct{ function.Process }

func (quiet) PeakMB() int             { return 10 }
func (quiet) Exited() <-chan struct{} { return nil }

// Spawn makes a function.Spawner of it as well.
func (quiet) Spawn(context.Context, function.Command) (function.Process, error) { return quiet{}, nil }

// noLog is a log that keeps nothing.
type noLog struct{}

func (noLog) Log(function.LogLine) {}

// answers serves calls, whose bodies end with a brace, with as little as can be, and returns its address.
func answers(tb testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 64<<10)
				for n := 0; ; {
					m, err := c.Read(buf[n:])
					if err != nil {
						return
					}
					if n += m; bytes.HasSuffix(buf[:n], []byte("}")) {
						n = 0
						c.Write([]byte("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Type: application/json; charset=utf-8\r\nDate: Sat, 21 Nov 2026 18:00:00 GMT\r\nContent-Length: 59\r\n\r\n{\"cid\":\"1795112345678901234-1\",\"id\":12345,\"checkStatus\":1}\n"))
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// BenchmarkInvokeHTTP is one call of a server's, with the least that a server does.
func BenchmarkInvokeHTTP(b *testing.B) {
	in := &instance{keys: fakeKeys{}, client: direct.New(&http.Transport{}), address: answers(b)}
	v := &function.Version{App: "app", Spec: sluice.Function{Name: "f", Timeout: time.Minute}, Env: map[string]string{"FC_REGION": "r"}}
	if err := in.run(b.Context(), v, quiet{}, noLog{}, "", nil, map[string]string{}); err != nil {
		b.Fatal(err)
	}
	defer in.client.CloseIdleConnections()
	inv := &sluice.Invocation{
		RequestID: "5B6F4C7A-0C0B-4D0A-9A2B-000000000000", Kind: sluice.InvokeHTTP,
		Payload: []byte(`{"message":"hello from player-1","fromId":"player-1","fromName":"player-1","cid":"1795112345678901234-1"}`),
		HTTP: &sluice.HTTPRequest{Method: "POST", Path: "/send", Host: "127.0.0.1:8080", Header: http.Header{
			"Content-Type": {"application/json"}, "User-Agent": {"Go-http-client/1.1"}, "Accept-Encoding": {"gzip"},
			"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Ca-Request-Id": {"5B6F4C7A"}, "Via": {"5B6F4C7A"},
		}},
	}
	b.ReportAllocs()
	for b.Loop() {
		if res, err := in.Invoke(b.Context(), inv); err != nil || res.HTTP.Status != 200 {
			b.Fatal(res, err)
		}
	}
}
