package gateway

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/sluicehq/sluice/bench/measure"
)

// bunServer does what ServeSluice does, with the µWebSockets that Bun's server is made of.
const bunServer = `const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  fetch: (request, server) => server.upgrade(request) ? undefined : new Response('a WebSocket is expected', { status: 426 }),
  websocket: {
    message(c, data) {
      if (data[0] === 'P') { server.publish('all', data); return; }
      if (data[0] === 'J') c.subscribe('all');
      c.send(data);
    },
  },
});
console.log('127.0.0.1:' + server.port);
`

// uWebSockets gets Bun and says how to start it.
func uWebSockets(ctx context.Context, w *measure.Workshop) (start func() (*measure.Process, error), versions map[string]string, err error) {
	dir, err := w.Installed(ctx, "bun")
	if err != nil {
		return nil, nil, err
	}
	start = func() (*measure.Process, error) {
		file := filepath.Join(w.Temp, "gateway-bun.js")
		if err := os.WriteFile(file, []byte(bunServer), 0o644); err != nil {
			return nil, err
		}
		return measure.Start(exec.Command(filepath.Join(dir, "node_modules", ".bin", "bun"), file), false)
	}
	p, err := start()
	if err != nil {
		return nil, nil, err
	}
	p.Kill()
	return start, measure.NpmVersions(dir, "bun"), nil
}
