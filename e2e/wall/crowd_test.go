package wall

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestTenThousandSocketsCostLittle holds 10,000 sockets in one process at less than 2 KB of its memory
// each, and the wall still works for all who are there.
func TestTenThousandSocketsCostLittle(t *testing.T) {
	const n = 10_000
	s := start(t, "")
	s.set(s.admin(), map[string]any{"status": 0, "rate": 0})
	screen := connect(t, s, "screen-1", "screen")
	crowd := make([]net.Conn, n)
	t.Cleanup(func() {
		for _, c := range crowd {
			if c != nil {
				c.Close()
			}
		}
	})
	hold := func(from, to int) {
		var wg sync.WaitGroup
		for w := range 32 {
			wg.Go(func() {
				for i := from + w; i < to; i += 32 {
					var err error
					if crowd[i], err = upgrade(t.Context(), s); err != nil {
						t.Errorf("socket %d: %v", i, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	hold(0, 500) // what every process needs once is not the sockets' cost
	before := anonymous(t, s.Cmd.Process.Pid)
	hold(500, n)
	if t.Failed() {
		return
	}
	cost := (anonymous(t, s.Cmd.Process.Pid) - before) / (n - 500)
	t.Logf("%d bytes of user space per idle socket", cost)
	if cost >= 2048 {
		t.Errorf("a socket costs %d bytes, want less than 2048", cost)
	}
	if _, err := s.say("ann", "1", "to all of you"); err != nil {
		t.Fatal(err)
	}
	if f := screen.next("message"); f.Message != "to all of you" {
		t.Fatalf("screen showed %q", f.Message)
	}
}

// upgrade opens a bare WebSocket and keeps nothing about it.
func upgrade(ctx context.Context, s *server) (net.Conn, error) {
	d := net.Dialer{Timeout: patience}
	addr := strings.TrimPrefix(s.Public[0], "http://")
	c, err := d.DialContext(ctx, "tcp", strings.Replace(addr, "localhost", "127.0.0.1", 1))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", addr)
	c.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
	if err != nil {
		c.Close()
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		c.Close()
		return nil, fmt.Errorf("handshake answered %s", resp.Status)
	}
	return c, nil
}

// anonymous is a process's own memory, in bytes: resident, without files.
func anonymous(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("no RssAnon in /proc status")
	return 0
}
