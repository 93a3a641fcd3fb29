package table_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/table"
)

func TestExpiredRowIsNotSeenAndThenSwept(t *testing.T) {
	t.Parallel()
	at := &clock{time.Unix(1000, 0)}
	store := memory.New()
	tables := open(t, store, at.now)
	spec := chat()
	spec.Stream = &table.Stream{Hours: 1}
	spec.Indexes = []table.Index{{Name: "x", Key: []table.KeyColumn{{Name: "n", Type: table.Int}}, All: true}}
	made := create(t, tables, spec)
	a, b := table.Key{str("a"), num(1)}, table.Key{str("b"), num(1)}
	expiring := func(cur *table.Row, _ int64) (*table.Row, error) {
		return &table.Row{Columns: cols(1, "n", num(1)), Expires: 1010}, nil
	}
	for _, key := range []table.Key{a, b} {
		apply(t, tables, table.Op{Table: made, Key: key, Do: expiring})
	}
	at.at = time.Unix(1009, 0)
	if row := get(t, tables, made, a...); row == nil || row.Expires != 1010 {
		t.Errorf("before its time the row is %+v", row)
	}
	at.at = time.Unix(1010, 0)
	if row := get(t, tables, made, a...); row != nil {
		t.Errorf("after its time the row is %+v", row)
	}
	for _, index := range []string{"", "x"} {
		if rows := all(t, tables, table.Range{Table: made, Index: index}); rows != nil {
			t.Errorf("a scan of %q sees %+v", index, rows)
		}
	}
	if ch := apply(t, tables, add(made, b, 7)); ch.Before != nil || value(ch.After) != 7 {
		t.Errorf("a write found %+v", ch.Before)
	}
	sweep(t, tables, func() bool { return left(t, store, "R") == 1 })
	if n := left(t, store, "T"); n != 0 {
		t.Errorf("%d keys are left in the expiry space", n)
	}
	if rows := all(t, tables, table.Range{Table: made, Index: "x"}); keys(rows) != "1 " || left(t, store, "I") != 1 {
		t.Errorf("the index has %+v", rows)
	}
	recs, err := tables.ReadStream(t.Context(), made, 4, 0)
	if err != nil || len(recs) != 1 || !recs[0].Expired || recs[0].After != nil || value(recs[0].Before) != 1 {
		t.Errorf("records are %+v, %v", recs, err)
	}
}

func TestPutThatReadsNothingOutlivesWhatItReplaces(t *testing.T) {
	t.Parallel()
	at := &clock{time.Unix(1000, 0)}
	store := memory.New()
	tables := open(t, store, at.now)
	made := create(t, tables, chat())
	key := table.Key{str("a"), num(1)}
	apply(t, tables, table.Op{Table: made, Key: key, Do: func(*table.Row, int64) (*table.Row, error) {
		return &table.Row{Columns: cols(1, "n", num(1)), Expires: 1010}, nil
	}})
	op := put(made, key, cols(1, "n", num(2))...)
	op.Put, _ = op.Do(nil, 0)
	if ch := apply(t, tables, op); ch.Before != nil || value(ch.After) != 2 {
		t.Errorf("the put says %+v", ch)
	}
	at.at = time.Unix(1011, 0)
	sweep(t, tables, func() bool { return left(t, store, "T") == 0 })
	if row := get(t, tables, made, key...); row == nil || value(row) != 2 || row.Expires != 0 {
		t.Errorf("the row is %+v", row)
	}
	// What hangs on the row it replaces has it read.
	made, err := tables.Alter(t.Context(), made.Scope, made.Name, func(s *table.Spec) error {
		s.Stream = &table.Stream{Hours: 1}
		s.Indexes = []table.Index{{Name: "x", Key: []table.KeyColumn{{Name: "n", Type: table.Int}}, All: true}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(2) {
		op := put(op.Table, key, cols(1, "n", num(3+n))...) // the description is an old one
		op.Put, _ = op.Do(nil, 0)
		if ch := apply(t, tables, op); value(ch.Before) != 2+n || value(ch.After) != 3+n {
			t.Errorf("the put says %+v", ch)
		}
	}
	if rows := all(t, tables, table.Range{Table: made, Index: "x"}); len(rows) != 1 || left(t, store, "I") != 1 {
		t.Errorf("the index has %+v", rows)
	}
	recs, err := tables.ReadStream(t.Context(), made, 1, 0)
	if err != nil || len(recs) != 2 || value(recs[1].Before) != 3 {
		t.Errorf("records are %+v, %v", recs, err)
	}
}

func TestExpiredCellsAreNotSeenAndThenSwept(t *testing.T) {
	t.Parallel()
	at := &clock{time.Unix(1000, 0)}
	store := memory.New()
	tables := open(t, store, at.now)
	spec := chat()
	spec.TTL, spec.MaxVersions = 100, 3
	spec.Indexes = []table.Index{{Name: "x", Key: []table.KeyColumn{{Name: "old", Type: table.Int}}, Project: []string{"new"}}}
	made := create(t, tables, spec)
	key, bare := table.Key{str("a"), num(1)}, table.Key{str("b"), num(1)}
	cell := func(n, sec int64) table.Cell { return table.Cell{Value: num(n), Time: sec * 1000} }
	apply(t, tables, put(made, key,
		table.Column{Name: "both", Cells: []table.Cell{cell(2, 990), cell(1, 950)}},
		table.Column{Name: "new", Cells: []table.Cell{cell(3, 1000)}},
		table.Column{Name: "old", Cells: []table.Cell{cell(4, 950)}},
	))
	apply(t, tables, put(made, bare)) // a row without columns has nothing that ends
	at.at = time.Unix(1050, 0)        // 950+100: not yet
	if row := get(t, tables, made, key...); len(row.Columns) != 3 || len(row.Columns[0].Cells) != 2 {
		t.Errorf("at the end of the second the row is %+v", row)
	}
	if rows := all(t, tables, table.Range{Table: made, Index: "x"}); len(rows) != 1 || len(rows[0].Columns) != 1 {
		t.Errorf("the index has %+v", rows)
	}
	at.at = time.Unix(1051, 0)
	want := &table.Row{Key: key, Columns: []table.Column{
		{Name: "both", Cells: []table.Cell{cell(2, 990)}}, {Name: "new", Cells: []table.Cell{cell(3, 1000)}},
	}}
	check := func() {
		t.Helper()
		if diff := cmp.Diff(want, get(t, tables, made, key...)); diff != "" {
			t.Error(diff)
		}
		if rows := all(t, tables, table.Range{Table: made, Index: "x"}); rows != nil {
			t.Errorf("the index has %+v", rows)
		}
	}
	check()
	sweep(t, tables, func() bool { return left(t, store, "I") == 0 })
	check()
	at.at = time.Unix(1101, 0)
	if row := get(t, tables, made, key...); row != nil {
		t.Errorf("at last the row is %+v", row)
	}
	sweep(t, tables, func() bool { return left(t, store, "RT") == 1 })
	if row := get(t, tables, made, bare...); row == nil {
		t.Error("the bare row is gone")
	}
}

func TestTTLGivenLaterCountsForOldRows(t *testing.T) {
	t.Parallel()
	at := &clock{time.Unix(1000, 0)}
	store := memory.New()
	tables := open(t, store, at.now)
	spec := create(t, tables, chat())
	for i := range 250 {
		apply(t, tables, put(spec, table.Key{str("a"), num(int64(i))}, cols(900_000, "n", num(1))...))
	}
	ttl := func(n int64) {
		t.Helper()
		if _, err := tables.Alter(t.Context(), "inst", "chat", func(s *table.Spec) error { s.TTL = n; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	ttl(200)
	if n := len(all(t, tables, table.Range{Table: spec})); n != 250 {
		t.Errorf("%d rows", n)
	}
	ttl(50)
	if n := len(all(t, tables, table.Range{Table: spec})); n != 0 {
		t.Errorf("%d rows are seen beyond their TTL", n)
	}
	ttl(-1)
	if n := len(all(t, tables, table.Range{Table: spec})); n != 0 && n != 250 {
		t.Errorf("%d rows", n)
	}
	ttl(99)
	sweep(t, tables, func() bool { return left(t, store, "RT") == 0 })
}

func TestOneProcessAtATimeSweeps(t *testing.T) {
	t.Parallel()
	at := &clock{time.Unix(1000, 0)}
	store := memory.New()
	first, second := open(t, store, at.now), open(t, store, at.now)
	leased := func() bool { return left(t, store, "L") == 1 }
	sweep(t, first, leased)
	if leased() {
		t.Error("the lease was not given back")
	}
	sweep(t, second, func() bool {
		if !leased() {
			return false
		}
		// While the second holds the lease, the first does nothing.
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := first.Run(ctx); err != nil {
			t.Error(err)
		}
		return leased()
	})
}
