// Package tables compares the room of tables with the engine alone, and its DynamoDB with a server that
// does nothing and with dynalite.
package tables

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	engine "github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/dialect/aws/dynamodb"
	"github.com/sluicehq/sluice/kv/pebble"
	"github.com/sluicehq/sluice/table"
)

// Area is the tables'.
var Area = measure.Area{Name: "tables", Open: open}

const (
	rows    = 20_000
	writers = 64
)

var value = bytes.Repeat([]byte("0123456789abcdefghij"), 10) // of 200 bytes

func open(ctx context.Context, w *measure.Workshop) (b *measure.Bench, err error) {
	var closers []func()
	closeAll := func() {
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	dir := filepath.Join(w.Temp, "tables")
	raw, err := engine.Open(filepath.Join(dir, "raw"), &engine.Options{Logger: silent{}, MemTableSize: 4 << 20})
	if err != nil {
		return nil, err
	}
	closers = append(closers, func() { raw.Close() })
	store, err := pebble.Open(filepath.Join(dir, "store"), pebble.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	closers = append(closers, func() { store.Close() })
	tables, err := table.Open(ctx, store, table.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	r := &room{ctx: ctx, Tables: tables, filled: map[int]*table.Spec{}}
	spec, err := r.of(rows)
	if err != nil {
		return nil, err
	}
	for i := range int64(rows) {
		if err := raw.Set(rawKey(i), value, engine.NoSync); err != nil {
			return nil, err
		}
	}
	indexed, err := tables.Create(ctx, table.Spec{Scope: "bench", Name: "indexed", Key: key, Indexes: []table.Index{{Name: "n", Key: []table.KeyColumn{{Name: "n", Type: table.Int}}, All: true}}})
	if err != nil {
		return nil, err
	}

	put := func(spec *table.Spec, n int64) func(*rand.Rand) error {
		return func(rnd *rand.Rand) error { return r.put(spec, rnd.Int64N(n), rnd.Int64()) }
	}
	rawPut := side("raw Pebble", writers, func(rnd *rand.Rand) error { return raw.Set(rawKey(rnd.Int64N(rows)), value, engine.Sync) })
	ours := func(do func(*rand.Rand) error) measure.Side { return side("sluice", writers, do) }
	add := func(rnd *rand.Rand) error { return r.add(spec, rnd.Int64N(rows)) }
	get := func(*rand.Rand) error {
		_, err := tables.Get(ctx, spec, keyOf(rand.Int64N(rows)))
		return err
	}
	rawGet := func(*rand.Rand) error {
		_, c, err := raw.Get(rawKey(rand.Int64N(rows)))
		if err == nil {
			c.Close()
		}
		return err
	}

	null, err := w.Serve("tables/null")
	if err != nil {
		return nil, err
	}
	closers = append(closers, null.Kill)
	dynamo, err := w.Serve("tables/dynamodb")
	if err != nil {
		return nil, err
	}
	closers = append(closers, dynamo.Kill)
	us, nothing := &wire{name: "sluice", base: "http://" + dynamo.Addr}, &wire{name: "empty net/http", base: "http://" + null.Addr}
	peer := &wire{name: "dynalite in memory"}
	peerStop, versions := peer.start(ctx, w)
	closers = append(closers, peerStop)
	skip := ""
	if peer.err != nil {
		skip = peer.err.Error()
	}
	for _, x := range []*wire{us, peer} {
		if x.err == nil {
			x.err = x.prepare()
		}
	}
	const perS = "per s"
	return &measure.Bench{
		Versions: versions,
		Close:    closeAll,
		Cases: []measure.Case{
			{Name: "durable put, 64 writers (G1)", Unit: perS, Goal: 0.5, Ours: ours(put(spec, rows)), Reference: rawPut},
			{Name: "conditional add, 64 writers (G2)", Unit: perS, Goal: 0.35, Ours: ours(add), Reference: rawPut},
			{Name: "64 writers on one row (G3)", Unit: perS, Goal: 0.8, Ours: ours(put(spec, 1)), Reference: named(ours(put(spec, rows)), "on many rows")},
			{Name: "durable put with an index (G4)", Unit: perS, Goal: 0.55, Ours: ours(put(indexed, rows)), Reference: named(ours(put(spec, rows)), "without")},
			{Name: "get, 8 readers", Unit: perS, Ours: side("sluice", 8, get), Reference: side("raw Pebble", 8, rawGet)},
			{Name: "range of all rows (G10)", Unit: "rows/s", Goal: 0.3, Ours: measure.Side{Name: "sluice", Take: func() (float64, error) { return r.walk(spec) }},
				Reference: measure.Side{Name: "raw Pebble", Take: func() (float64, error) { return walkRaw(raw) }}},
			{Name: "DynamoDB PutItem × 64 (G5)", Unit: perS, Goal: 0.40, Ours: us.puts(), Reference: nothing.puts()},
			{Name: "DynamoDB PutItem × 64 beside dynalite (G5)", Unit: perS, Goal: 1.4, Ours: us.puts(), Reference: peer.puts(), Skip: skip},
			{Name: "DynamoDB GetItem × 64 (G6)", Unit: perS, Goal: 0.70, Ours: us.gets(), Reference: nothing.gets()},
			{Name: "DynamoDB GetItem × 64 beside dynalite (G6)", Unit: perS, Goal: 1.8, Ours: us.gets(), Reference: peer.gets(), Skip: skip},
			{Name: "DynamoDB Query of 100 beside dynalite (G7)", Unit: perS, Goal: 2, Ours: us.queries(), Reference: peer.queries(), Skip: skip},
		},
		Curves: []measure.Curve{
			{Name: "one get", Of: "rows", Unit: "µs", At: []int{10_000, 100_000, 400_000}, Take: func(n int) (float64, error) {
				spec, err := r.of(n)
				if err != nil {
					return 0, err
				}
				rate, err := perSecond(1, func(*rand.Rand) error {
					_, err := tables.Get(ctx, spec, keyOf(rand.Int64N(int64(n))))
					return err
				})
				return 1e6 / rate, err
			}},
			{Name: "one put of 64 at once", Of: "rows", Unit: "µs", At: []int{10_000, 100_000, 400_000}, Take: func(n int) (float64, error) {
				spec, err := r.of(n)
				if err != nil {
					return 0, err
				}
				rate, err := perSecond(writers, put(spec, int64(n)))
				return 1e6 / rate, err
			}},
		},
	}, nil
}

// room is the room of tables in this process.
type room struct {
	*table.Tables
	ctx    context.Context
	filled map[int]*table.Spec
}

var key = []table.KeyColumn{{Name: "room", Type: table.String}, {Name: "id", Type: table.Int}}

func keyOf(n int64) table.Key {
	return table.Key{{Type: table.String, Str: "a"}, {Type: table.Int, Int: n}}
}

func rawKey(n int64) []byte { return fmt.Appendf(nil, "Ra%016x", n) }

// of is a table with n rows.
func (r *room) of(n int) (*table.Spec, error) {
	if spec := r.filled[n]; spec != nil {
		return spec, nil
	}
	spec, err := r.Create(r.ctx, table.Spec{Scope: "bench", Name: fmt.Sprint("of", n), Key: key})
	if err != nil {
		return nil, err
	}
	for at := int64(0); at < int64(n); {
		var ops []table.Op
		for ; len(ops) < 1000 && at < int64(n); at++ {
			ops = append(ops, r.op(spec, at, at))
		}
		for _, ch := range r.ApplyMany(r.ctx, ops) {
			if ch.Err != nil {
				return nil, ch.Err
			}
		}
	}
	r.filled[n] = spec
	return spec, nil
}

func (r *room) op(spec *table.Spec, at, n int64) table.Op {
	return table.Op{Table: spec, Key: keyOf(at), Do: func(*table.Row, int64) (*table.Row, error) {
		return &table.Row{Columns: []table.Column{
			{Name: "n", Cells: []table.Cell{{Value: table.Value{Type: table.Int, Int: n}, Time: 1}}},
			{Name: "v", Cells: []table.Cell{{Value: table.Value{Type: table.Binary, Bytes: value}, Time: 1}}},
		}}, nil
	}}
}

func (r *room) put(spec *table.Spec, at, n int64) error {
	_, err := r.Apply(r.ctx, r.op(spec, at, n))
	return err
}

// add is an UpdateItem with ADD, if the row is there.
func (r *room) add(spec *table.Spec, at int64) error {
	_, err := r.Apply(r.ctx, table.Op{Table: spec, Key: keyOf(at), Do: func(cur *table.Row, _ int64) (*table.Row, error) {
		if cur == nil {
			return nil, errors.New("no such row")
		}
		next := *cur
		next.Columns = append([]table.Column(nil), cur.Columns...)
		n := cur.Columns[0].Cells[0].Value
		n.Int++
		next.Columns[0] = table.Column{Name: "n", Cells: []table.Cell{{Value: n, Time: 1}}}
		return &next, nil
	}})
	return err
}

// walk reads all rows in pages and says how many a second.
func (r *room) walk(spec *table.Spec) (float64, error) {
	t, seen := time.Now(), 0
	for time.Since(t) < time.Second {
		for rg := (table.Range{Table: spec}); ; {
			page, err := r.Scan(r.ctx, rg)
			if err != nil {
				return 0, err
			}
			seen += len(page.Rows)
			if rg.From = page.Next; rg.From == nil {
				break
			}
		}
	}
	return float64(seen) / time.Since(t).Seconds(), nil
}

func walkRaw(db *engine.DB) (float64, error) {
	t, seen := time.Now(), 0
	for time.Since(t) < time.Second {
		it, err := db.NewIter(nil)
		if err != nil {
			return 0, err
		}
		for ok := it.First(); ok; ok = it.Next() {
			seen++
		}
		if err := it.Close(); err != nil {
			return 0, err
		}
	}
	return float64(seen) / time.Since(t).Seconds(), nil
}

func side(name string, workers int, do func(*rand.Rand) error) measure.Side {
	return measure.Side{Name: name, Take: func() (float64, error) { return perSecond(workers, do) }}
}

func named(s measure.Side, name string) measure.Side {
	s.Name = name
	return s
}

// perSecond is how many operations so many workers get done in a second.
func perSecond(workers int, do func(*rand.Rand) error) (float64, error) {
	var wg sync.WaitGroup
	counts, errs := make([]int, workers), make([]error, workers)
	warm := time.Now().Add(200 * time.Millisecond)
	end := warm.Add(time.Second)
	for i := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), uint64(warm.UnixNano())))
			for {
				if errs[i] = do(rnd); errs[i] != nil {
					return
				}
				if now := time.Now(); now.After(end) {
					return
				} else if now.After(warm) {
					counts[i]++
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for i := range workers {
		if errs[i] != nil {
			return 0, errs[i]
		}
		sum += counts[i]
	}
	return float64(sum), nil
}

// ServeNull reads requests and answers {}.
func ServeNull() error {
	return serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.Write([]byte("{}"))
	}))
}

// ServeDynamoDB is the protocol on the room on disk; no signature is wrong, for dynalite checks none.
func ServeDynamoDB() error {
	dir, err := os.MkdirTemp("", "tables-*")
	if err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	store, err := pebble.Open(dir, pebble.Options{Log: quiet})
	if err != nil {
		return err
	}
	tables, err := table.Open(context.Background(), store, table.Options{Log: quiet})
	if err != nil {
		return err
	}
	return serve(dynamodb.New(dynamodb.Options{Tables: tables, Log: quiet}))
}

func serve(h http.Handler) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return http.Serve(ln, h)
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(string, ...any) {}
