// Package gateway compares sluice's gateway with an epoll loop that parses nothing and keeps nothing, and
// with what registries have: gws (Go) and ws (Node).
package gateway

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/sluicehq/sluice/bench/measure"
)

const (
	crowdOf = 1000 // connections of echo and broadcast
	idlers  = 9000 // connections of memory and handshakes

	idlersTLS = 3000 // whose handshakes cost the load more than the server
	idlersFew = 3000 // of pushpin's, which takes a millisecond for each and, at 9000, refuses some
)

// Area is the gateway's.
var Area = measure.Area{Name: "gateway", Open: open}

func open(ctx context.Context, w *measure.Workshop) (*measure.Bench, error) {
	const (
		perCPU     = "per CPU-s"
		byBareLoop = "by the bare loop's"
		userSpace  = "B of user space"
	)
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
	startNchan, packages, noNchan := nchan(ctx, w)
	nchan := func(t take) measure.Side { return side("nchan", startNchan, t) }
	startBun, bunVersion, noBun := uWebSockets(ctx, w)
	bun := func(t take) measure.Side { return side("µWebSockets (Bun)", startBun, t) }
	startPushpin, pushpinPackages, noPushpin := pushpin(ctx, w)
	behind := func(name string, start func(function string) (*measure.Process, error), t take) measure.Side {
		return measure.Side{Name: name, Take: func() (float64, error) { return asked(w, start, t) }}
	}
	asksGWS := func(function string) (*measure.Process, error) { return w.Serve("gateway/gws-asking", function) }
	asks := func(function string) (*measure.Process, error) { return asking(w, function) }
	// Peers that cannot be had are compared by what was recorded of them once, on another day: by its ratio to a bare
	// loop, beside ours to ours.
	recorded := func(name string, v float64) measure.Side {
		return measure.Side{Name: name + ", recorded", Take: func() (float64, error) { return v, nil }}
	}
	byBare := func(t take) measure.Side {
		mine, limit := ours(t), bare(t)
		return measure.Side{Name: "sluice", Take: func() (float64, error) {
			b, err := limit.Take()
			if err != nil {
				return 0, err
			}
			v, err := mine.Take()
			return v / b, err
		}}
	}
	startCentrifugo, noCentrifugo := centrifugo(w)
	// here makes a row beside what was recorded of Centrifugo one beside the Centrifugo that is here, if there is one.
	here := func(c measure.Case, unit string, t take) measure.Case {
		if noCentrifugo == nil {
			c.Unit, c.Ours, c.Reference = unit, ours(t), behind("Centrifugo", startCentrifugo, t)
		}
		return c
	}
	idleTLS := func(s *measure.Process) (float64, error) { return idleCost(s, idlersTLS, false) }
	collectedTLS := func(s *measure.Process) (float64, error) { return idleCost(s, idlersTLS, true) }
	idle := func(s *measure.Process) (float64, error) { return idleCost(s, idlers, false) }
	echo64 := func(s *measure.Process) (float64, error) { return echo(s, crowdOf, 64) }
	replies := func(s *measure.Process) (float64, error) { return echo(s, 200, 32) }
	one := func(s *measure.Process) (float64, error) { return broadcast(s, crowdOf, 1) }
	sixteen := func(s *measure.Process) (float64, error) { return broadcast(s, crowdOf, 16) }
	shake := func(s *measure.Process) (float64, error) { return handshakes(s, idlers) }
	shakeFew := func(s *measure.Process) (float64, error) { return handshakes(s, idlersFew) }
	echoP := func(p float64) take {
		return func(s *measure.Process) (float64, error) { return echoLatency(s, crowdOf, 64, p) }
	}
	tellP := func(p float64) take {
		return func(s *measure.Process) (float64, error) { return broadcastLatency(s, crowdOf, 16, p) }
	}
	// each is what a push costs beyond a bare write of its frame, in µs.
	each := func() (float64, error) {
		var cost [2]float64
		for i, s := range []measure.Side{
			bare(one),
			ours(func(s *measure.Process) (float64, error) { return deliveries(s, crowdOf, 1, 'U') }),
		} {
			rate, err := s.Take()
			if err != nil {
				return 0, err
			}
			cost[i] = 1e6 / rate
		}
		return cost[1] - cost[0], nil
	}
	versions := map[string]string{"gws": measure.Module("github.com/lxzan/gws"), "node": measure.Version("node", "-v")}
	for _, of := range []map[string]string{measure.NpmVersions(dir, "ws"), packages, bunVersion, pushpinPackages} {
		maps.Copy(versions, of)
	}
	return &measure.Bench{
		Versions: versions,
		Cases: []measure.Case{
			{Name: "idle connection (G1)", Unit: userSpace, Cost: true, Goal: 750, Ours: ours(idle)},
			{Name: "idle connection", Unit: userSpace, Cost: true, Goal: 1.0 / 12, Ours: ours(idle), Reference: gws(idle), Rounds: 2},
			here(measure.Case{Name: "idle connection beside Centrifugo (G2)", Unit: userSpace, Cost: true, Goal: 1.0 / 40, Ours: ours(idle), Reference: recorded("Centrifugo", 46_631), Rounds: 2}, userSpace, idle),
			{Name: "idle connection over TLS, freed (G3)", Unit: userSpace, Cost: true, Goal: 12 << 10, Ours: served("sluice", "gateway/sluice-tls", collectedTLS), Rounds: 2},
			{Name: "idle connection over TLS, freed, beside gws (G3)", Unit: userSpace, Cost: true, Goal: 0.55, Ours: served("sluice", "gateway/sluice-tls", collectedTLS), Reference: served("gws over TLS", "gateway/gws-tls", collectedTLS), Rounds: 2},
			{Name: "idle connection over TLS, natural", Unit: userSpace, Cost: true, Ours: served("sluice", "gateway/sluice-tls", idleTLS), Reference: served("gws over TLS", "gateway/gws-tls", idleTLS), Rounds: 2},
			{Name: "echo over TLS, 64 active of 1,000", Unit: perCPU, Ours: served("sluice", "gateway/sluice-tls", echo64), Reference: served("gws over TLS", "gateway/gws-tls", echo64)},
			{Name: "echo, 64 active of 1,000 (G8)", Unit: perCPU, Goal: 0.85, Ours: ours(echo64), Reference: bare(echo64)},
			{Name: "echo beside gws (G8)", Unit: perCPU, Goal: 1.25, Ours: ours(echo64), Reference: gws(echo64)},
			{Name: "echo beside ws", Unit: perCPU, Ours: ours(echo64), Reference: node(echo64), Skip: why(missing), Rounds: 2},
			{Name: "broadcast to 1,000, 1 in flight (G4)", Unit: perCPU, Goal: 0.90, Ours: ours(one), Reference: bare(one)},
			{Name: "broadcast to 1,000, 16 in flight (G5)", Unit: perCPU, Goal: 7, Ours: ours(sixteen), Reference: bare(sixteen)},
			{Name: "broadcast beside ws, 16 in flight", Unit: perCPU, Ours: ours(sixteen), Reference: node(sixteen), Skip: why(missing), Rounds: 2},
			{Name: "echo, 64 active of 1,000, p50", Unit: "µs", Cost: true, Ours: ours(echoP(50)), Reference: bare(echoP(50))},
			{Name: "echo, 64 active of 1,000, p99", Unit: "µs", Cost: true, Ours: ours(echoP(99)), Reference: bare(echoP(99))},
			{Name: "broadcast to 1,000, 16 in flight, p50", Unit: "µs", Cost: true, Ours: ours(tellP(50)), Reference: bare(tellP(50))},
			{Name: "broadcast to 1,000, 16 in flight, p99 (G7)", Unit: "µs", Cost: true, Goal: 0.15, Ours: ours(tellP(99)), Reference: bare(tellP(99))},
			{Name: "broadcast beside nchan, 1 in flight", Unit: perCPU, Ours: ours(one), Reference: nchan(one), Skip: why(noNchan), Rounds: 2},
			{Name: "broadcast beside nchan, 16 in flight", Unit: perCPU, Ours: ours(sixteen), Reference: nchan(sixteen), Skip: why(noNchan), Rounds: 2},
			here(measure.Case{Name: "broadcast beside Centrifugo, 1 in flight (G6)", Unit: byBareLoop, Goal: 1.6, Ours: byBare(one), Reference: recorded("Centrifugo", 0.51), Rounds: 2}, perCPU, one),
			here(measure.Case{Name: "broadcast beside Centrifugo, 16 in flight (G6)", Unit: byBareLoop, Goal: 10, Ours: byBare(sixteen), Reference: recorded("Centrifugo", 0.55), Rounds: 2}, perCPU, sixteen),
			{Name: "broadcast beside µWebSockets, 16 in flight (G6)", Unit: perCPU, Goal: 0.75, Ours: ours(sixteen), Reference: bun(sixteen), Skip: why(noBun)},
			// Centrifugo's RPC proxy was recorded at 0.67 of gws with such a client: 1.5 times it is what gws does.
			{Name: "message, function behind HTTP, reply (G10)", Unit: perCPU, Goal: 1, Ours: behind("sluice", asks, replies), Reference: behind("gws with net/http's client", asksGWS, replies)},
			{Name: "message, function behind HTTP, reply beside Centrifugo (G10)", Unit: perCPU, Goal: 1.5, Ours: behind("sluice", asks, replies), Reference: behind("Centrifugo", startCentrifugo, replies), Skip: why(noCentrifugo)},
			{Name: "message, function behind HTTP, reply beside pushpin (G10)", Unit: perCPU, Goal: 14, Ours: behind("sluice", asks, replies), Reference: behind("pushpin", startPushpin, replies), Skip: why(noPushpin)},
			{Name: "a push to each of 1,000, beyond a bare write (G12)", Unit: "µs of CPU", Cost: true, Goal: 1, Ours: measure.Side{Name: "sluice", Take: each}},
			{Name: "a push to another node, and to one that is gone (G12)", Unit: "µs of CPU", Skip: "a server is one node yet, so that there is no other"},
			{Name: "handshakes (G9)", Unit: perCPU, Goal: 0.6, Ours: ours(shake), Reference: bare(shake)},
			here(measure.Case{Name: "handshakes beside Centrifugo (G9)", Unit: byBareLoop, Goal: 7, Ours: byBare(shake), Reference: recorded("Centrifugo", 6000.0/62500), Rounds: 2}, perCPU, shake),
			{Name: "handshakes beside pushpin (G9)", Unit: perCPU, Goal: 40, Ours: ours(shake), Reference: behind("pushpin", startPushpin, shakeFew), Skip: why(noPushpin), Rounds: 2},
			{Name: "handshakes beside nchan", Unit: perCPU, Ours: ours(shake), Reference: nchan(shake), Skip: why(noNchan), Rounds: 2},
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

// why is the reason that a peer is left out, or nothing.
func why(missing error) string {
	if missing == nil {
		return ""
	}
	return missing.Error()
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
