//go:build unix

package process

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

// floor is what no invocation can be faster than: the same bytes through the same node and back.
const floorCode = `const s = new (require('net').Socket)({ fd: 3, readable: true, writable: true }); s.on('data', (b) => s.write(b)); s.on('end', () => process.exit(0));`

const benchHandler = `exports.handler = async (event) => { const e = JSON.parse(event); return { statusCode: 200, body: 'ok:' + e.requestContext.connectionId } }`

var benchEvent = []byte(`{"requestContext":{"connectionId":"AbCdEfGhIjKlMn0="},"pad":"` + strings.Repeat("x", 790-62) + `"}`)

type floor struct{ sock *os.File }

func newFloor(b *testing.B) *floor {
	b.Helper()
	s := newSpawner(b, Options{})
	dir := b.TempDir()
	write(b, filepath.Join(dir, "echo.js"), floorCode)
	ours, theirs, err := socketPair()
	if err != nil {
		b.Fatal(err)
	}
	p := spawn(b, s, function.Command{Path: "node", Args: []string{filepath.Join(dir, "echo.js")}, Env: []string{"PATH=" + os.Getenv("PATH")}, Files: []*os.File{theirs}})
	theirs.Close()
	b.Cleanup(func() { ours.Close(); p.Kill(); <-p.Exited() })
	return &floor{ours}
}

func (f *floor) call(b *testing.B, buf []byte) {
	if _, err := f.sock.Write(benchEvent); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(f.sock, buf[:len(benchEvent)]); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkWarmAgainstEcho alternates rounds of invocations and of a bare echo and reports the median
// ratio of their medians: goal G1 is 1.25. The JSON handler does work of its own, which no echo does.
func BenchmarkWarmAgainstEcho(b *testing.B) {
	b.Run("echo", func(b *testing.B) { againstEcho(b, `exports.handler = (event, context, cb) => cb(null, event)`) })
	b.Run("json", func(b *testing.B) { againstEcho(b, benchHandler) })
}

func againstEcho(b *testing.B, code string) {
	w := newWorld(b, nil)
	w.deploy("f", code, nil)
	e := newFloor(b)
	buf := make([]byte, 64<<10)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	inv := sluice.Invocation{App: "app", Function: "f", Payload: benchEvent}
	invoke := func() {
		if res, err := w.f.Invoke(ctx, inv); err != nil || res.Failure != nil {
			b.Fatal(err, res.Failure)
		}
	}
	for range 3000 {
		e.call(b, buf)
		invoke()
	}
	var ratios, ours, floors []float64
	for b.Loop() {
		bare := median(300, func() { e.call(b, buf) })
		full := median(300, invoke)
		ours, floors = append(ours, float64(full.Nanoseconds())/1e3), append(floors, float64(bare.Nanoseconds())/1e3)
		ratios = append(ratios, float64(full)/float64(bare))
	}
	for _, s := range [][]float64{ratios, ours, floors} {
		slices.Sort(s)
	}
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(ours[len(ours)/2], "µs/invoke")
	b.ReportMetric(floors[len(floors)/2], "µs/echo")
	b.ReportMetric(0, "ns/op")
}

func median(n int, f func()) time.Duration {
	d := make([]time.Duration, n)
	for i := range d {
		t := time.Now()
		f()
		d[i] = time.Since(t)
	}
	slices.Sort(d)
	return d[n/2]
}

// BenchmarkWarm16 is 16 callers of one instance that takes 16 calls at once.
func BenchmarkWarm16(b *testing.B) {
	w := newWorld(b, nil)
	w.deploy("f", benchHandler, func(v *function.Version) { v.Spec.Concurrency, v.Spec.MaxInstances = 16, 1 })
	w.invoke("f", string(benchEvent))
	inv := sluice.Invocation{App: "app", Function: "f", Payload: benchEvent}
	b.ReportAllocs()
	var n atomic.Int64
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for n.Add(1) <= int64(b.N) {
				if res, err := w.f.Invoke(context.Background(), inv); err != nil || res.Failure != nil {
					b.Error(err, res.Failure)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkWarm is one caller; its allocations are the supervisor's.
func BenchmarkWarm(b *testing.B) {
	w := newWorld(b, nil)
	w.deploy("f", benchHandler, nil)
	w.invoke("f", string(benchEvent))
	inv := sluice.Invocation{App: "app", Function: "f", Payload: benchEvent}
	b.ReportAllocs()
	for b.Loop() {
		if res, err := w.f.Invoke(context.Background(), inv); err != nil || res.Failure != nil {
			b.Fatal(err, res.Failure)
		}
	}
}

// BenchmarkFromZero is the time to the first reply of a function that has nothing running: from the
// pool of booted instances, prewarmed, and cold, beside node's own start.
func BenchmarkFromZero(b *testing.B) {
	first := func(b *testing.B, change func(*function.Options, *NodeOptions), prewarmed bool) {
		w := newWorld(b, change)
		v := w.deploy("f", benchHandler, nil)
		w.invoke("f", string(benchEvent))
		for b.Loop() {
			b.StopTimer()
			w.f.Remove(b.Context(), v.App, v.Spec.Name)
			waitFor(b, func() bool { return settled(w.node.spares) })
			if err := w.f.Deploy(b.Context(), v); err != nil {
				b.Fatal(err)
			}
			if prewarmed {
				waitFor(b, func() bool { s, _ := w.f.Status("app", "f"); return s.Stats.Idle == 1 })
			}
			b.StartTimer()
			w.invoke("f", string(benchEvent))
		}
	}
	b.Run("bare node", func(b *testing.B) {
		s := newSpawner(b, Options{})
		file := filepath.Join(b.TempDir(), "a.js")
		write(b, file, "")
		for b.Loop() {
			<-spawn(b, s, function.Command{Path: "node", Args: []string{file}, Env: []string{"PATH=" + os.Getenv("PATH")}}).Exited()
		}
	})
	b.Run("cold", func(b *testing.B) {
		first(b, func(o *function.Options, n *NodeOptions) { o.NoPrewarm, n.Spares = true, -1 }, false)
	})
	b.Run("generic", func(b *testing.B) {
		first(b, func(o *function.Options, n *NodeOptions) { o.NoPrewarm = true }, false)
	})
	b.Run("prewarmed", func(b *testing.B) { first(b, nil, true) })
}
