package scf

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/sluicehq/sluice"
)

// Somebody else takes the first port before the function does.
func TestAnothersServerIsNotTheFunctions(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3")
	}
	t.Parallel()
	const serve = `import http.server as h, os, signal, sys
class H(h.BaseHTTPRequestHandler):
  def do_GET(self):
    self.send_response(200)
    self.end_headers()
    self.wfile.write(sys.argv[1].encode())
s = h.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), H)
if sys.argv[1] == 'theirs':
  open('theirs', 'w').write(str(os.getpid()))
  signal.alarm(60)
s.serve_forever()
`
	root := code(t, "", "serve.py", serve, "scf_bootstrap", `#!/bin/sh
if ! [ -e theirs ]; then
  setsid python3 serve.py theirs >/dev/null 2>&1 </dev/null &
  until [ -s theirs ]; do sleep 0.01; done
  sleep 0.3
fi
exec python3 serve.py ours
`)
	in, _ := start(t, &Web{}, version(root, WebRuntime("Any")))
	t.Cleanup(func() {
		text, _ := os.ReadFile(filepath.Join(root, "theirs"))
		if pid, _ := strconv.Atoi(string(text)); pid > 0 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	res, err := in.Invoke(t.Context(), &sluice.Invocation{RequestID: "R1", Kind: sluice.InvokeHTTP, HTTP: &sluice.HTTPRequest{Method: "GET", Path: "/"}})
	if err != nil || string(res.Payload) != "ours" {
		t.Errorf("%+v %s %v", res, res.Payload, err)
	}
}
