package tencent

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/e2e/live"
)

const sockets = "../testdata/tencent-socket"

// backend is a WebSocket server that sluice does not run.
func backend(t *testing.T) (url string) {
	t.Helper()
	cmd := exec.Command("node", "server.js")
	cmd.Dir, cmd.Env = sockets, append(os.Environ(), "BACKEND_PORT=0")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	return "ws://127.0.0.1:" + strings.TrimSpace(port)
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
