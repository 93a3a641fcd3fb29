package table_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/pebble"
	"github.com/sluicehq/sluice/table"
)

// onDisk opens tables on a new store of the embedded engine.
func onDisk(t testing.TB) (*table.Tables, kv.Store) {
	t.Helper()
	store, err := pebble.Open(t.TempDir(), pebble.Options{Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return open(t, store, nil), store
}

// fill puts rows 0…n-1 of one room.
func fill(t testing.TB, tables *table.Tables, spec *table.Spec, n int64) {
	t.Helper()
	text := table.Value{Type: table.Binary, Str: string(make([]byte, 200))}
	for at := int64(0); at < n; {
		var ops []table.Op
		for ; len(ops) < 500 && at < n; at++ {
			ops = append(ops, put(spec, table.Key{str("a"), num(at)}, cols(1, "n", num(at), "text", text)...))
		}
		for _, ch := range tables.ApplyMany(t.Context(), ops) {
			if ch.Err != nil {
				t.Fatal(ch.Err)
			}
		}
	}
}

func TestLargeRangeNeedsLittleMemory(t *testing.T) {
	if testing.Short() || raced() {
		t.Skip("writes 200,000 rows and looks at the heap")
	}
	tables, _ := onDisk(t)
	spec := create(t, tables, chat())
	const n = 200_000
	fill(t, tables, spec, n)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	base := heap()
	for _, reverse := range []bool{false, true} {
		rg := table.Range{Table: spec, Reverse: reverse}
		for next := int64(0); ; {
			page, err := tables.Scan(t.Context(), rg)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range page.Rows {
				want := next
				if reverse {
					want = n - 1 - next
				}
				if row.Key[1].Int != want {
					t.Fatalf("row %d, want %d", row.Key[1].Int, want)
				}
				next++
			}
			if len(page.Rows) > 5000 || page.Seen > 4<<20+1000 {
				t.Fatalf("a page of %d rows and %d bytes", len(page.Rows), page.Seen)
			}
			if now := heap(); now > base+24<<20 {
				t.Fatalf("the heap grew from %d to %d bytes", base, now)
			}
			if rg.From = page.Next; rg.From == nil {
				if next != n {
					t.Fatalf("%d rows", next)
				}
				break
			}
		}
	}
}

// raced says whether this binary has the race detector, which takes memory of its own.
func raced() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// spread calls fn b.N times in all from so many goroutines.
func spread(b *testing.B, workers int, fn func(rnd *rand.Rand) error) {
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	var n atomic.Int64
	for w := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			for n.Add(1) <= int64(b.N) {
				if err := fn(rnd); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

const benchRows = 20_000

// The baseline of these is kv/pebble's BenchmarkPut/raw.
func BenchmarkPut(b *testing.B) {
	val := make([]byte, 200)
	rand.NewChaCha8([32]byte{}).Read(val)
	text := table.Value{Type: table.Binary, Str: string(val)}
	indexed := chat()
	indexed.Indexes = []table.Index{{Name: "n", Key: []table.KeyColumn{{Name: "n", Type: table.Int}}, All: true}}
	streamed := chat()
	streamed.Stream = &table.Stream{Hours: 1}
	for _, c := range []struct {
		name    string
		spec    table.Spec
		workers int
	}{{"1", chat(), 1}, {"64", chat(), 64}, {"64 indexed", indexed, 64}, {"64 streamed", streamed, 64}} {
		b.Run(c.name, func(b *testing.B) {
			tables, _ := onDisk(b)
			spec := create(b, tables, c.spec)
			spread(b, c.workers, func(rnd *rand.Rand) error {
				n := rnd.Int64N(benchRows)
				op := put(spec, table.Key{str("a"), num(n)}, cols(1, "n", num(rnd.Int64()), "v", text)...)
				op.Put, _ = op.Do(nil, 0)
				_, err := tables.Apply(b.Context(), op)
				return err
			})
		})
	}
}

func BenchmarkConditionalAdd(b *testing.B) {
	for _, rows := range []int64{1, benchRows} {
		b.Run(fmt.Sprintf("64 writers on %d rows", rows), func(b *testing.B) {
			tables, _ := onDisk(b)
			spec := create(b, tables, chat())
			fill(b, tables, spec, rows)
			spread(b, 64, func(rnd *rand.Rand) error {
				_, err := tables.Apply(b.Context(), add(spec, table.Key{str("a"), num(rnd.Int64N(rows))}, 1))
				return err
			})
		})
	}
}

func BenchmarkGet(b *testing.B) {
	tables, _ := onDisk(b)
	spec := create(b, tables, chat())
	fill(b, tables, spec, benchRows)
	spread(b, 8, func(rnd *rand.Rand) error {
		_, err := tables.Get(b.Context(), spec, table.Key{str("a"), num(rnd.Int64N(benchRows))})
		return err
	})
}

// BenchmarkScan reads all rows in pages; one operation is one row.
func BenchmarkScan(b *testing.B) {
	tables, store := onDisk(b)
	spec := create(b, tables, chat())
	fill(b, tables, spec, benchRows)
	b.Run("table", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; n < b.N; {
			rows := all(b, tables, table.Range{Table: spec})
			n += len(rows)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; n < b.N; {
			err := store.View(b.Context(), func(r kv.Reader) error {
				it := r.Scan([]byte("R"), []byte("S"), kv.ScanOpts{Limit: benchRows})
				defer it.Close()
				for it.Next() {
					n++
				}
				return it.Err()
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}
