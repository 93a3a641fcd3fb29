package table_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/table"
)

// clock is a time that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func open(t testing.TB, store kv.Store, now func() time.Time) *table.Tables {
	t.Helper()
	tables, err := table.Open(t.Context(), store, table.Options{Log: slog.New(slog.DiscardHandler), Now: now, Sweep: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

// sweep runs the background work until the store satisfies done.
func sweep(t testing.TB, tables *table.Tables, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	finished := make(chan error, 1)
	go func() { finished <- tables.Run(ctx) }()
	deadline := time.Now().Add(time.Minute)
	ok := done()
	for ; !ok && time.Now().Before(deadline); ok = done() {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	if !ok {
		t.Fatal("the background work was not done in time")
	}
}

func create(t testing.TB, tables *table.Tables, spec table.Spec) *table.Spec {
	t.Helper()
	made, err := tables.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func str(s string) table.Value { return table.Value{Type: table.String, Str: s} }
func num(n int64) table.Value  { return table.Value{Type: table.Int, Int: n} }

var (
	lowest  = table.Value{Type: table.Min}
	highest = table.Value{Type: table.Max}
)

// cols makes columns of one version, written at ms: cols(7, "a", num(1), "b", num(2)).
func cols(ms int64, pairs ...any) []table.Column {
	var list []table.Column
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, table.Column{Name: pairs[i].(string), Cells: []table.Cell{{Value: pairs[i+1].(table.Value), Time: ms}}})
	}
	return list
}

func put(spec *table.Spec, key table.Key, columns ...table.Column) table.Op {
	return table.Op{Table: spec, Key: key, Do: func(*table.Row, int64) (*table.Row, error) {
		return &table.Row{Columns: columns}, nil
	}}
}

func remove(spec *table.Spec, key table.Key) table.Op {
	return table.Op{Table: spec, Key: key, Do: func(*table.Row, int64) (*table.Row, error) { return nil, nil }}
}

func apply(t testing.TB, tables *table.Tables, op table.Op) table.Change {
	t.Helper()
	ch, err := tables.Apply(t.Context(), op)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func get(t testing.TB, tables *table.Tables, spec *table.Spec, key ...table.Value) *table.Row {
	t.Helper()
	row, err := tables.Get(t.Context(), spec, key)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// all reads a whole range, page by page.
func all(t testing.TB, tables *table.Tables, rg table.Range) []table.Row {
	t.Helper()
	var rows []table.Row
	for {
		page, err := tables.Scan(t.Context(), rg)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, page.Rows...)
		if page.Next == nil {
			return rows
		}
		rg.From = page.Next
	}
}

// keys are the last key columns of rows, for short expectations.
func keys(rows []table.Row) string {
	s := ""
	for _, r := range rows {
		if v := r.Key[len(r.Key)-1]; v.Type == table.Int {
			s += fmt.Sprint(v.Int, " ")
		} else {
			s += v.Str + " "
		}
	}
	return s
}

func chat() table.Spec {
	return table.Spec{Scope: "inst", Name: "chat", Key: []table.KeyColumn{{Name: "room", Type: table.String}, {Name: "id", Type: table.Int}}}
}

func TestRowIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := create(t, tables, chat())
	key := table.Key{str("a"), num(1)}
	columns := cols(5, "b", num(1), "x", str("hi"))
	ch := apply(t, tables, put(spec, key, columns[1], columns[0]))
	want := &table.Row{Key: key, Columns: columns}
	if diff := cmp.Diff(table.Change{Key: key, After: want}, ch); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, get(t, tables, spec, key...)); diff != "" {
		t.Error(diff)
	}
	ch = apply(t, tables, remove(spec, key))
	if diff := cmp.Diff(table.Change{Key: key, Before: want}, ch); diff != "" {
		t.Error(diff)
	}
	if row := get(t, tables, spec, key...); row != nil {
		t.Errorf("deleted row is %v", row)
	}
}

func TestRefusedWriteChangesNothing(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := create(t, tables, chat())
	refusal := errors.New("no")
	op := table.Op{Table: spec, Key: table.Key{str("a"), num(1)}, Do: func(*table.Row, int64) (*table.Row, error) { return nil, refusal }}
	if _, err := tables.Apply(t.Context(), op); err != refusal {
		t.Errorf("error is %v, not the Mutate's own", err)
	}
	op.Do = func(*table.Row, int64) (*table.Row, error) { panic("oops") }
	if _, err := tables.Apply(t.Context(), op); err == nil {
		t.Error("a panic was no error")
	}
	bad := table.Column{Name: "x", Cells: []table.Cell{{Value: table.Value{Type: table.Decimal, Str: "1x"}}}}
	if _, err := tables.Apply(t.Context(), put(spec, op.Key, bad)); sluice.KindOf(err) != sluice.Invalid {
		t.Errorf("bad number: %v", err)
	}
	big := table.Column{Name: "x", Cells: []table.Cell{{Value: str(string(make([]byte, table.MaxRow)))}}}
	if _, err := tables.Apply(t.Context(), put(spec, op.Key, big)); sluice.KindOf(err) != sluice.TooMuch {
		t.Errorf("big row: %v", err)
	}
	if rows := all(t, tables, table.Range{Table: spec}); rows != nil {
		t.Errorf("rows: %v", rows)
	}
}

func TestKeyThatDoesNotFitIsInvalid(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := create(t, tables, chat())
	for _, key := range []table.Key{nil, {str("a")}, {str("a"), str("b")}, {str("a"), num(1), num(2)}, {str("a"), lowest}} {
		if _, err := tables.Get(t.Context(), spec, key); sluice.KindOf(err) != sluice.Invalid {
			t.Errorf("get %v: %v", key, err)
		}
		if _, err := tables.Apply(t.Context(), put(spec, key)); sluice.KindOf(err) != sluice.Invalid {
			t.Errorf("put %v: %v", key, err)
		}
	}
	long := table.Key{str(string(make([]byte, 40_000))), num(1)}
	if _, err := tables.Apply(t.Context(), put(spec, long)); sluice.KindOf(err) != sluice.TooMuch {
		t.Errorf("long key: %v", err)
	}
}

func TestRangesWalkBothWays(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := create(t, tables, chat())
	for _, room := range []string{"a", "b"} {
		for i := range 5 {
			apply(t, tables, put(spec, table.Key{str(room), num(int64(i))}))
		}
	}
	a, b := str("a"), str("b")
	for _, c := range []struct {
		name string
		rg   table.Range
		want string
	}{
		{"all", table.Range{}, "0 1 2 3 4 0 1 2 3 4 "},
		{"all back", table.Range{Reverse: true}, "4 3 2 1 0 4 3 2 1 0 "},
		{"one partition", table.Range{From: table.Key{a, lowest}, To: table.Key{a, highest}}, "0 1 2 3 4 "},
		{"from is in, to is out", table.Range{From: table.Key{a, num(1)}, To: table.Key{a, num(3)}}, "1 2 "},
		{"the same back", table.Range{From: table.Key{a, num(3)}, To: table.Key{a, num(1)}, Reverse: true}, "3 2 "},
		{"Max after a key leaves it out", table.Range{From: table.Key{a, num(1), highest}, To: table.Key{a, num(3), highest}}, "2 3 "},
		{"across partitions", table.Range{From: table.Key{a, num(4)}, To: table.Key{b, num(1)}}, "4 0 "},
		{"legal and empty", table.Range{From: table.Key{a, highest}, To: table.Key{b, lowest}}, ""},
		{"nothing between", table.Range{From: table.Key{b, num(1)}, To: table.Key{a, num(1)}}, ""},
		{"wide bounds", table.Range{From: table.Key{lowest, lowest}, To: table.Key{highest, highest}}, "0 1 2 3 4 0 1 2 3 4 "},
		{"wide bounds back", table.Range{From: table.Key{highest, highest}, To: table.Key{lowest, lowest}, Reverse: true}, "4 3 2 1 0 4 3 2 1 0 "},
		{"missing columns are Min", table.Range{From: table.Key{a}, To: table.Key{b}}, "0 1 2 3 4 "},
	} {
		c.rg.Table = spec
		for _, n := range []int{0, 1, 2, 3, 5} {
			c.rg.MaxRows = n
			if got := keys(all(t, tables, c.rg)); got != c.want {
				t.Errorf("%s by %d: %q, want %q", c.name, n, got, c.want)
			}
		}
	}
	page, err := tables.Scan(t.Context(), table.Range{Table: spec, MaxRows: 5, To: table.Key{b, lowest}})
	if err != nil || len(page.Rows) != 5 || page.Next != nil {
		t.Errorf("a page that ends with the range: %d rows, next %v, %v", len(page.Rows), page.Next, err)
	}
	page, err = tables.Scan(t.Context(), table.Range{Table: spec, MaxBytes: 1})
	if err != nil || len(page.Rows) != 1 || cmp.Diff(table.Key{a, num(1)}, page.Next) != "" {
		t.Errorf("a page of one byte: %d rows, next %v, %v", len(page.Rows), page.Next, err)
	}
	if _, err = tables.Scan(t.Context(), table.Range{Table: spec, From: table.Key{num(1)}}); sluice.KindOf(err) != sluice.Invalid {
		t.Errorf("bound of a wrong type: %v", err)
	}
}
