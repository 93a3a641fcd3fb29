package tencent

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/e2e/live"
)

const sockets = "../testdata/tencent-socket"

// backend is a WebSocket server that sluice does not run.
func backend(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	must(t, l.Close())
	cmd := exec.Command("node", "server.js")
	cmd.Dir, cmd.Env = sockets, append(os.Environ(), "BACKEND_PORT="+port)
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			return "ws://127.0.0.1:" + port
		}
		if time.Now().After(end) {
			t.Fatal("the backend does not listen")
		}
	}
}

// TestWebFunctionsHoldTheirSockets runs a web function with npm's ws behind the gateway, and ws as its client
// (tencent.md 1.10). It has to be installed: npm ci.
func TestWebFunctionsHoldTheirSockets(t *testing.T) {
	if _, err := os.Stat(sockets + "/node_modules"); err != nil {
		t.Fatal("ws is not installed: run \"make test\", or npm ci in e2e/testdata/tencent-socket")
	}
	t.Setenv("BACKEND", backend(t))
	s := live.Launch(t, t.TempDir(), "dev", sockets, "--no-reload")
	cmd := exec.CommandContext(t.Context(), "node", "--test", "socket.test.js")
	cmd.Dir, cmd.Env = sockets, append(os.Environ(), "WS="+strings.TrimSuffix(s.WS(), "/"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
	}
	// Each connection was one call, whose status tells how it ended.
	said, err := s.Sluice("logs", "Socket")
	must(t, err)
	for _, want := range []string{`"statusCode":439`, `"statusCode":455`, `"statusCode":456`} {
		if !strings.Contains(said, want) {
			t.Errorf("no call ended with %s:\n%s", want, said)
		}
	}

	c, err := join(s)
	must(t, err)
	if _, err := c.hear(); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if got, err := c.hear(); err == nil || !strings.Contains(err.Error(), "\\x03\\xe9") {
		t.Errorf("at the end of the server: %q, %v; want a close with 1001", got, err)
	}
}
