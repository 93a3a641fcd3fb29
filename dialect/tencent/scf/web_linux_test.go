package scf

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
)

// Somebody else takes the first port before the function does: this process, until it has been asked whether the
// function serves there. The function ends then, and does not say why.
func TestAnothersServerIsNotTheFunctions(t *testing.T) {
	t.Parallel()
	root := code(t, "server", "scf_bootstrap", `#!/bin/sh
if ! [ -e asked ]; then
  echo $PORT >new && mv new port
  until [ -e asked ]; do sleep 0.01; done
fi
exec ./server $PORT
`)
	quick := make(chan error, 1)
	go func() {
		quick <- func() error {
			var port []byte
			for len(port) == 0 && t.Context().Err() == nil {
				time.Sleep(time.Millisecond)
				port, _ = os.ReadFile(filepath.Join(root, "port"))
			}
			ln, err := net.Listen("tcp", "127.0.0.1:"+strings.TrimSpace(string(port)))
			if err != nil {
				return err
			}
			t.Cleanup(func() { ln.Close() })
			conn, err := ln.Accept()
			if err != nil {
				return err
			}
			conn.Close()
			return os.WriteFile(filepath.Join(root, "asked"), nil, 0o600)
		}()
	}()
	in, _ := start(t, &Web{}, version(root, WebRuntime("Any")))
	if err := <-quick; err != nil {
		t.Fatal(err)
	}
	res, err := in.Invoke(t.Context(), &sluice.Invocation{RequestID: "R1", Payload: []byte(`"echo ours"`)})
	if err != nil || string(res.Payload) != `"ours"` {
		t.Errorf("%+v %s %v", res, res.Payload, err)
	}
}
