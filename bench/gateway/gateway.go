// Package gateway compares sluice's gateway with an epoll loop that parses nothing and keeps nothing, and
// with what registries have: gws (Go) and ws (Node).
package gateway

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/sluicehq/sluice/bench/measure"
)

const (
	crowdOf = 1000 // connections of echo and broadcast
	idlers  = 9000 // connections of memory and handshakes

	idlersTLS = 3000 // whose handshakes cost the load more than the server
)

// Area is the gateway's.
var Area = measure.Area{Name: "gateway", Open: open}

func open(ctx context.Context, w *measure.Workshop) (*measure.Bench, error) {
	side := func(name string, start func() (*measure.Process, error), take func(*measure.Process) (float64, error)) measure.Side {
		return measure.Side{Name: name, Take: func() (float64, error) {
			p, err := start()
			if err != nil {
				return 0, err
			}
			defer p.Kill()
			return take(p)
		}}
	}
	type take = func(*measure.Process) (float64, error)
	ours := func(t take) measure.Side {
		return side("sluice", func() (*measure.Process, error) { return w.Serve("gateway/sluice") }, t)
	}
	bare := func(t take) measure.Side {
		return side("bare epoll", func() (*measure.Process, error) { return w.Serve("gateway/bare") }, t)
	}
	gws := func(t take) measure.Side {
		return side("gws", func() (*measure.Process, error) { return w.Serve("gateway/gws") }, t)
	}
	served := func(name, server string, t take) measure.Side {
		return side(name, func() (*measure.Process, error) { return w.Serve(server) }, t)
	}
	dir, missing := w.Installed(ctx, "ws")
	node := func(t take) measure.Side {
		return side("ws (Node)", func() (*measure.Process, error) {
			file := filepath.Join(dir, "gateway-ws.js")
			if err := os.WriteFile(file, []byte(nodeServer), 0o644); err != nil {
				return nil, err
			}
			cmd := exec.Command("node", file)
			cmd.Dir = dir
			return measure.Start(cmd, false)
		}, t)
	}
	skip := ""
	if missing != nil {
		skip = missing.Error()
	}
	idleTLS := func(s *measure.Process) (float64, error) { return idleCost(s, idlersTLS, false) }
	collectedTLS := func(s *measure.Process) (float64, error) { return idleCost(s, idlersTLS, true) }
	idle := func(s *measure.Process) (float64, error) { return idleCost(s, idlers, false) }
	echo64 := func(s *measure.Process) (float64, error) { return echo(s, crowdOf, 64) }
	one := func(s *measure.Process) (float64, error) { return broadcast(s, crowdOf, 1) }
	sixteen := func(s *measure.Process) (float64, error) { return broadcast(s, crowdOf, 16) }
	shake := func(s *measure.Process) (float64, error) { return handshakes(s, idlers) }
	echoP := func(p float64) take {
		return func(s *measure.Process) (float64, error) { return echoLatency(s, crowdOf, 64, p) }
	}
	tellP := func(p float64) take {
		return func(s *measure.Process) (float64, error) { return broadcastLatency(s, crowdOf, 16, p) }
	}
	const perCPU = "per CPU-s"
	return &measure.Bench{
		Versions: merged(measure.NpmVersions(dir, "ws"), map[string]string{"gws": measure.Module("github.com/lxzan/gws"), "node": measure.Version("node", "-v")}),
		Cases: []measure.Case{
			{Name: "idle connection (G1)", Unit: "B of user space", Cost: true, Goal: 750, Ours: ours(idle)},
			{Name: "idle connection", Unit: "B of user space", Cost: true, Goal: 1.0 / 12, Ours: ours(idle), Reference: gws(idle), Rounds: 2},
			{Name: "idle connection over TLS (G3)", Unit: "B of user space", Cost: true, Goal: 12 << 10, Ours: served("sluice", "gateway/sluice-tls", idleTLS), Rounds: 2},
			{Name: "idle connection over TLS, after a collection", Unit: "B of user space", Cost: true, Goal: 12 << 10, Ours: served("sluice", "gateway/sluice-tls", collectedTLS), Rounds: 2},
			{Name: "idle connection over TLS (G3)", Unit: "B of user space", Cost: true, Goal: 0.55, Ours: served("sluice", "gateway/sluice-tls", idleTLS), Reference: served("gws over TLS", "gateway/gws-tls", idleTLS), Rounds: 2},
			{Name: "echo over TLS, 64 active of 1,000", Unit: perCPU, Ours: served("sluice", "gateway/sluice-tls", echo64), Reference: served("gws over TLS", "gateway/gws-tls", echo64)},
			{Name: "echo, 64 active of 1,000 (G8)", Unit: perCPU, Goal: 0.85, Ours: ours(echo64), Reference: bare(echo64)},
			{Name: "echo beside gws (G8)", Unit: perCPU, Goal: 1.25, Ours: ours(echo64), Reference: gws(echo64)},
			{Name: "echo beside ws", Unit: perCPU, Ours: ours(echo64), Reference: node(echo64), Skip: skip, Rounds: 2},
			{Name: "broadcast to 1,000, 1 in flight (G4)", Unit: perCPU, Goal: 0.90, Ours: ours(one), Reference: bare(one)},
			{Name: "broadcast to 1,000, 16 in flight (G5)", Unit: perCPU, Goal: 7, Ours: ours(sixteen), Reference: bare(sixteen)},
			{Name: "broadcast beside ws, 16 in flight", Unit: perCPU, Ours: ours(sixteen), Reference: node(sixteen), Skip: skip, Rounds: 2},
			{Name: "echo, 64 active of 1,000, p50", Unit: "µs", Cost: true, Ours: ours(echoP(50)), Reference: bare(echoP(50))},
			{Name: "echo, 64 active of 1,000, p99", Unit: "µs", Cost: true, Ours: ours(echoP(99)), Reference: bare(echoP(99))},
			{Name: "broadcast to 1,000, 16 in flight, p50", Unit: "µs", Cost: true, Ours: ours(tellP(50)), Reference: bare(tellP(50))},
			{Name: "broadcast to 1,000, 16 in flight, p99 (G7)", Unit: "µs", Cost: true, Goal: 0.15, Ours: ours(tellP(99)), Reference: bare(tellP(99))},
			{Name: "broadcast beside nchan and pushpin", Unit: perCPU, Skip: "they are packages of the system, which a bench should not install"},
			{Name: "handshakes (G9)", Unit: perCPU, Goal: 0.6, Ours: ours(shake), Reference: bare(shake)},
			{Name: "handshakes beside gws", Unit: perCPU, Ours: ours(shake), Reference: gws(shake), Rounds: 2},
		},
		Curves: []measure.Curve{
			{Name: "one broadcast", Of: "subscribers", Unit: "µs of CPU", At: []int{100, 1000, 9000}, Take: func(n int) (float64, error) {
				s := ours(func(s *measure.Process) (float64, error) {
					rate, err := broadcast(s, n, 1)
					return float64(n) / rate * 1e6, err
				})
				return s.Take()
			}},
			{Name: "one echo among idle ones", Of: "connections", Unit: "µs of CPU", At: []int{100, 1000, 9000}, Take: func(n int) (float64, error) {
				s := ours(func(s *measure.Process) (float64, error) {
					rate, err := echo(s, n, 64)
					return 1e6 / rate, err
				})
				return s.Take()
			}},
		},
	}, nil
}

func merged(a, b map[string]string) map[string]string {
	for k, v := range b {
		a[k] = v
	}
	return a
}

// nodeServer does what ServeSluice does, with ws.
const nodeServer = `const { WebSocketServer } = require('ws');
const http = require('http').createServer();
const all = new Set();
new WebSocketServer({ server: http }).on('connection', (c) => {
  c.on('close', () => all.delete(c));
  c.on('message', (data) => {
    if (data[0] === 80) { for (const o of all) o.send(data, { binary: false }); return; }
    if (data[0] === 74) all.add(c);
    c.send(data, { binary: false });
  });
});
http.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => console.log('127.0.0.1:' + http.address().port));
`
