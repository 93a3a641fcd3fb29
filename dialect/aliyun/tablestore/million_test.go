package tablestore

import (
	"log/slog"
	"runtime"
	"testing"

	"github.com/sluicehq/sluice/kv/pebble"
	"github.com/sluicehq/sluice/table"
)

// TestAMillionRowsAreWalkedInBoundedMemory reads a table from end to end, as a client does.
func TestAMillionRowsAreWalkedInBoundedMemory(t *testing.T) {
	const (
		million = 1_000_000
		batch   = 10_000
		growth  = 32 << 20 // bytes of live heap that reading may add
	)
	store, err := pebble.Open(t.TempDir(), pebble.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c := newServerOn(t, store, nil).operator("inst")
	c.createTable("t", nil, keySchema{Name: "gid", Type: keyInteger}, keySchema{Name: "id", Type: keyInteger})
	spec, err := c.tables.Lookup(t.Context(), "inst", "t")
	if err != nil {
		t.Fatal(err)
	}
	key := func(n int) table.Key { return table.Key{intValue(int64(n / 1000)), intValue(int64(n % 1000))} }
	columns := []table.Column{{Name: "text", Cells: []table.Cell{{Value: textValue("a row among many")}}}}
	ops := make([]table.Op, batch)
	for at := 0; at < million; at += batch {
		for i := range ops {
			row := &table.Row{Columns: columns}
			ops[i] = table.Op{Table: spec, Key: key(at + i), Do: func(*table.Row, int64) (*table.Row, error) { return row, nil }}
		}
		if _, err := c.tables.Transact(t.Context(), ops); err != nil {
			t.Fatal(err)
		}
	}
	ops = nil
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, most := heap(), int64(0)
	n, pages := 0, 0
	req := &getRangeRequest{Table: "t", MaxVersions: one, From: keyRow(minCell("gid"), minCell("id")), To: keyRow(maxCell("gid"), maxCell("id"))}
	for req.From != nil {
		var resp getRangeResponse
		c.do("GetRange", req, &resp)
		for _, row := range c.rows(resp.Rows) {
			if want := key(n); row.Key[0].Value.Int != want[0].Int || row.Key[1].Value.Int != want[1].Int {
				t.Fatalf("row %d has key %+v", n, row.Key)
			}
			n++
		}
		if pages++; pages%25 == 0 {
			most = max(most, heap()-before)
		}
		req.From = resp.Next
	}
	if n != million || pages < million/maxRangeRows {
		t.Errorf("%d rows in %d pages", n, pages)
	}
	if most > growth {
		t.Errorf("reading took %d MiB of heap", most>>20)
	}
}
