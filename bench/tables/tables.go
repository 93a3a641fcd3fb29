// Package tables compares the room of tables with the engine alone, and its DynamoDB and its
// Tablestore with a server that does nothing and with dynalite, moto and DynamoDB Local.
package tables

import (
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
	"strings"
	"sync"
	"time"

	engine "github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/dialect/aws/dynamodb"
	codec "github.com/sluicehq/sluice/gateway/wire"
	"github.com/sluicehq/sluice/internal/whole"
	"github.com/sluicehq/sluice/kv/pebble"
	"github.com/sluicehq/sluice/table"
)

// Area is the tables'.
var Area = measure.Area{Name: "tables", Open: open}

const (
	rows    = 20_000
	writers = 64
)

var value = strings.Repeat("0123456789abcdefghij", 10) // of 200 bytes

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
		if err := raw.Set(rawKey(i), []byte(value), engine.NoSync); err != nil {
			return nil, err
		}
	}
	indexed, err := tables.Create(ctx, table.Spec{Scope: "bench", Name: "indexed", Key: key, Indexes: []table.Index{{Name: "n", Key: []table.KeyColumn{{Name: "n", Type: table.Int}}, All: true}}})
	if err != nil {
		return nil, err
	}
	streamed, err := tables.Create(ctx, table.Spec{Scope: "bench", Name: "streamed", Key: key, Stream: &table.Stream{Hours: 1}})
	if err != nil {
		return nil, err
	}

	put := func(spec *table.Spec, n int64) func(*rand.Rand) error {
		return func(rnd *rand.Rand) error { return r.put(spec, rnd.Int64N(n), rnd.Int64()) }
	}
	rawPut := side("raw Pebble", writers, func(rnd *rand.Rand) error { return raw.Set(rawKey(rnd.Int64N(rows)), []byte(value), engine.Sync) })
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

	served := map[string]*wire{}
	for _, name := range []string{"null", "dynamodb", "tablestore"} {
		p, err := w.Serve("tables/" + name)
		if err != nil {
			return nil, err
		}
		closers = append(closers, p.Kill)
		served[name] = newWire("sluice", p.Addr)
	}
	us, ots := served["dynamodb"], served["tablestore"]
	us.err, ots.err = us.prepare(wireRows), ots.prepareTablestore(ctx)
	lite, stopLite := peer("dynalite in memory", wireRows, dynalite(ctx, w))
	level, stopLevel := peer("dynalite on LevelDB", wireRows, dynalite(ctx, w, "--path", filepath.Join(dir, "dynalite")))
	mock, stopMoto := peer("moto", fewRows, moto(ctx, w))
	java, stopJava := peer("DynamoDB Local in memory", wireRows, local(ctx, w, "-inMemory"))
	file, stopFile := peer("DynamoDB Local on its file", 10*fewRows, local(ctx, w, "-dbPath", w.Temp))
	java.warm()
	file.warm()
	for _, stop := range []func(){stopLite, stopLevel, stopMoto, stopJava, stopFile} {
		if stop != nil {
			closers = append(closers, stop)
		}
	}
	versions := measure.NpmVersions(filepath.Join(w.Cache, "npm"), "dynalite")
	versions["moto"] = motoVersion(w)
	if java.err == nil {
		versions["DynamoDB Local"] = localVersion
	}
	beside := func(goal string, x *wire, name string, ratio float64, workers int, of func(*wire) requests) measure.Case {
		c := measure.Case{Name: "DynamoDB " + name + " beside " + x.name + " (" + goal + ")", Unit: "per s", Goal: ratio, Ours: us.rate(workers, of), Reference: x.rate(workers, of)}
		if x.err != nil {
			c.Skip = x.err.Error()
		}
		return c
	}
	nothing, nothingOTS := newWire("empty net/http", served["null"].Addr).as(us), newWire("empty net/http", served["null"].Addr).as(ots)
	const perS = "per s"
	return &measure.Bench{
		Versions: versions,
		Close:    closeAll,
		Cases: []measure.Case{
			{Name: "durable put, 64 writers (G1)", Unit: perS, Goal: 0.5, Ours: ours(put(spec, rows)), Reference: rawPut},
			{Name: "conditional add, 64 writers (G2)", Unit: perS, Goal: 0.35, Ours: ours(add), Reference: rawPut},
			{Name: "64 writers on one row (G3)", Unit: perS, Goal: 0.8, Ours: ours(put(spec, 1)), Reference: named(ours(put(spec, rows)), "on many rows")},
			{Name: "durable put with an index (G4)", Unit: perS, Goal: 0.55, Ours: ours(put(indexed, rows)), Reference: named(ours(put(spec, rows)), "without")},
			{Name: "durable put with a stream (G4)", Unit: perS, Goal: 0.75, Ours: ours(put(streamed, rows)), Reference: named(ours(put(spec, rows)), "without")},
			{Name: "get, 8 readers", Unit: perS, Ours: side("sluice", 8, get), Reference: side("raw Pebble", 8, rawGet)},
			{Name: "range of all rows (G10)", Unit: "rows/s", Goal: 0.3, Ours: measure.Side{Name: "sluice", Take: func() (float64, error) { return r.walk(spec) }},
				Reference: measure.Side{Name: "raw Pebble", Take: func() (float64, error) { return walkRaw(raw) }}},
			{Name: "DynamoDB PutItem × 64 (G5)", Unit: perS, Goal: 0.40, Ours: us.rate(writers, puts), Reference: nothing.rate(writers, puts)},
			beside("G5", lite, "PutItem × 64", 1.4, writers, puts),
			beside("G5", level, "PutItem × 64", 2.3, writers, puts),
			beside("G5", mock, "PutItem × 64", 40, writers, puts),
			{Name: "DynamoDB PutItem × 64, p99", Unit: "ms", Cost: true, Ours: us.p99(writers, puts), Reference: nothing.p99(writers, puts)},
			{Name: "DynamoDB GetItem × 64 (G6)", Unit: perS, Goal: 0.70, Ours: us.rate(writers, gets), Reference: nothing.rate(writers, gets)},
			beside("G6", lite, "GetItem × 64", 1.8, writers, gets),
			beside("G6", mock, "GetItem × 64", 60, writers, gets),
			{Name: "DynamoDB GetItem × 64, p99", Unit: "ms", Cost: true, Ours: us.p99(writers, gets), Reference: nothing.p99(writers, gets)},
			beside("G7", lite, "Query of 100", 2, 4, queries),
			beside("G7", mock, "Query of 100", 50, 4, queries),
			beside("G8", lite, "UpdateItem with a condition × 32", 1.7, 32, updates),
			{Name: "DynamoDB PutItem, one after the other, p50 beyond raw Pebble's (G9)", Unit: "ms", Cost: true, Goal: 0.25, Ours: measure.Side{Name: "sluice", Take: func() (float64, error) {
				raws, err := times(1, func(rnd *rand.Rand) error { return raw.Set(rawKey(rnd.Int64N(rows)), []byte(value), engine.Sync) })
				if err != nil || us.err != nil {
					return 0, errors.Join(err, us.err)
				}
				took, err := times(1, us.one(puts))
				return measure.Percentile(took, 50) - measure.Percentile(raws, 50), err
			}}},
			{Name: "PostgreSQL, beside one statement a put (G11)", Unit: perS, Skip: "that engine is not built"},
			{Name: "dynalite's own suite (G12)", Unit: "of its cases", Skip: "docs/compatibility.md has the count"},
			{Name: "a whole sluice with 100,000 rows (G13)", Unit: "MB resident", Cost: true, Goal: 200, Rounds: 1, Ours: measure.Side{Name: "sluice", Take: func() (float64, error) { return filled(w, 100_000) }}},
			{Name: "push between two nodes (G15)", Unit: "ms", Cost: true, Skip: "the bus between nodes is not built"},
			{Name: "killed under load 100 times (G16)", Unit: "writes lost", Cost: true, Skip: "make soak does it"},
			beside("G17", java, "PutItem × 64", 1, writers, puts),
			beside("G17", java, "GetItem × 64", 1, writers, gets),
			beside("G17", java, "Query of 100", 1, 4, queries),
			beside("G17", java, "UpdateItem with a condition × 32", 1, 32, updates),
			beside("G17", file, "PutItem × 64", 1, writers, puts),
			beside("G17", file, "GetItem × 64", 1, writers, gets),
			{Name: "LocalStack (G17)", Unit: perS, Skip: "its DynamoDB is DynamoDB Local, which it fetches from no registry when it starts"},
			{Name: "Tablestore PutRow × 64", Unit: perS, Ours: ots.rate(writers, puts), Reference: nothingOTS.rate(writers, puts)},
			{Name: "Tablestore GetRow × 64", Unit: perS, Ours: ots.rate(writers, gets), Reference: nothingOTS.rate(writers, gets)},
		},
		Curves: r.curves(10_000, 100_000, 1_000_000),
	}, nil
}

// Rows is how the room grows to so many rows that filling it takes minutes.
var Rows = measure.Area{Name: "rows", Open: func(ctx context.Context, w *measure.Workshop) (*measure.Bench, error) {
	store, err := pebble.Open(filepath.Join(w.Temp, "rows"), pebble.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	tables, err := table.Open(ctx, store, table.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	r := &room{ctx: ctx, Tables: tables, filled: map[int]*table.Spec{}}
	return &measure.Bench{Curves: r.curves(10_000, 100_000, 1_000_000, 10_000_000), Close: func() { store.Close() }}, nil
}}

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

// op is a put without a condition, whose answer does not tell what was there.
func (r *room) op(spec *table.Spec, at, n int64) table.Op {
	row := &table.Row{Columns: []table.Column{
		{Name: "n", Cells: []table.Cell{{Value: table.Value{Type: table.Int, Int: n}, Time: 1}}},
		{Name: "v", Cells: []table.Cell{{Value: table.Value{Type: table.Binary, Str: value}, Time: 1}}},
	}}
	return table.Op{Table: spec, Key: keyOf(at), Put: row}
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

// curves are what reading and writing a row cost in tables of so many.
func (r *room) curves(at ...int) []measure.Curve {
	curve := func(name string, workers int, do func(*rand.Rand, *table.Spec, int64) error) measure.Curve {
		return measure.Curve{Name: name, Of: "rows", Unit: "µs", At: at, Take: func(n int) (float64, error) {
			spec, err := r.of(n)
			if err != nil {
				return 0, err
			}
			rate, err := perSecond(workers, func(rnd *rand.Rand) error { return do(rnd, spec, int64(n)) })
			return 1e6 / rate, err
		}}
	}
	return []measure.Curve{
		curve("one get", 1, func(rnd *rand.Rand, spec *table.Spec, n int64) error {
			_, err := r.Get(r.ctx, spec, keyOf(rnd.Int64N(n)))
			return err
		}),
		curve("one put of 64 at once", writers, func(rnd *rand.Rand, spec *table.Spec, n int64) error {
			return r.put(spec, rnd.Int64N(n), rnd.Int64())
		}),
	}
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

// times are how long operations take, in ms, while so many workers do them for a second.
func times(workers int, do func(*rand.Rand) error) ([]float64, error) {
	var mu sync.Mutex
	var all []float64
	_, err := perSecond(workers, func(rnd *rand.Rand) error {
		t := time.Now()
		err := do(rnd)
		ms := float64(time.Since(t)) / 1e6
		mu.Lock()
		all = append(all, ms)
		mu.Unlock()
		return err
	})
	return all, err
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
	tables, err := onDisk()
	if err != nil {
		return err
	}
	return serveWhole(dynamodb.New(dynamodb.Options{Tables: tables, Log: slog.New(slog.DiscardHandler)}))
}

// onDisk is a room for a server that ends with its process.
func onDisk() (*table.Tables, error) {
	dir, err := os.MkdirTemp("", "tables-*")
	if err != nil {
		return nil, err
	}
	quiet := slog.New(slog.DiscardHandler)
	store, err := pebble.Open(dir, pebble.Options{Log: quiet})
	if err != nil {
		return nil, err
	}
	return table.Open(context.Background(), store, table.Options{Log: quiet})
}

func serve(h http.Handler) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return http.Serve(ln, h)
}

// serveWhole is serve as the admin listener does it.
func serveWhole(h http.Handler) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	front := whole.New()
	front.Serve = func(dst, request []byte, _ string) ([]byte, bool) {
		r, body := codec.ParsePost(request)
		if r == nil {
			return nil, false
		}
		return whole.Append(dst, h, r, body), true
	}
	go front.From(ln, func(err error) { fmt.Fprintln(os.Stderr, err) })
	return http.Serve(front, h)
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(string, ...any) {}
