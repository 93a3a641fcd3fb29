package table_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/table"
)

func TestRowEndsByItsColumnAndIsSeenUntilSwept(t *testing.T) {
	t.Parallel()
	at := &clock{time.Unix(1_700_000_000, 0)}
	tables := open(t, memory.New(), at.now)
	spec := chat()
	spec.Stream = &table.Stream{Hours: 1}
	made := create(t, tables, spec)
	put := func(name string, ends table.Value) {
		apply(t, tables, table.Op{Table: made, Key: table.Key{str(name), num(1)}, Do: func(*table.Row, int64) (*table.Row, error) {
			return &table.Row{Columns: cols(0, "ttl", ends)}, nil
		}})
	}
	decimal := func(s string) table.Value { return table.Value{Type: table.Decimal, Str: s} }
	put("over", decimal("1699999999.5"))
	put("int", num(1_700_000_000))
	put("later", decimal("1700000100"))
	put("long ago", decimal("1500000000"))
	put("text", str("1"))
	put("huge", decimal("1"+strings.Repeat("0", 30)))
	present := func() int {
		n := 0
		for _, name := range []string{"over", "int", "later", "long ago", "text", "huge"} {
			if get(t, tables, made, str(name), num(1)) != nil {
				n++
			}
		}
		return n
	}
	// The description comes after the rows: they are walked, and those that are over go.
	if n := present(); n != 6 {
		t.Fatalf("%d rows are there before any column ends them", n)
	}
	made, err := tables.Alter(t.Context(), made.Scope, made.Name, func(s *table.Spec) error { s.Ends = "ttl"; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if n := present(); n != 4 {
		t.Errorf("%d rows are left, want 4", n)
	}
	put("over", decimal("1699999999"))
	if get(t, tables, made, str("over"), num(1)) == nil {
		t.Error("a row that is over is not seen before the sweeper has come")
	}
	at.at = time.Unix(1_700_000_100, 0)
	sweep(t, tables, func() bool { return present() == 3 })
	recs, err := tables.ReadStream(t.Context(), made, 8, 0)
	expired := 0
	for _, r := range recs {
		if r.Expired && r.Before != nil && r.After == nil {
			expired++
		}
	}
	if err != nil || expired != 3 { // int or over of the walk, over again, later
		t.Errorf("%d records of expired rows among %+v, %v", expired, recs, err)
	}
}

func TestPartsOfAScanAreAllRowsOnce(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := chat()
	spec.Hash = true
	made := create(t, tables, spec)
	want := map[string]bool{}
	for i := range 200 {
		name := "k" + strconv.Itoa(i)
		want[name] = true
		apply(t, tables, add(made, table.Key{str(name), num(1)}, 1))
	}
	for _, parts := range []int{1, 2, 7, 4096, 100_000} {
		seen := map[string]bool{}
		for part := range parts {
			if parts > 10 && part%97 != 0 { // the few that are asked for have to agree with PartOf
				continue
			}
			for _, row := range all(t, tables, table.Range{Table: made, Part: part, Parts: parts}) {
				name := row.Key[0].Str
				if n, err := table.PartOf(row.Key[0], parts); err != nil || n != part || seen[name] {
					t.Errorf("%s is in part %d of %d, PartOf says %d, %v", name, part, parts, n, err)
				}
				seen[name] = true
			}
		}
		if parts < 10 && len(seen) != len(want) {
			t.Errorf("%d parts have %d rows", parts, len(seen))
		}
	}
}

func TestBoundsJustBeforeAndAfterAKey(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	made := create(t, tables, chat())
	for i := range 4 {
		apply(t, tables, add(made, table.Key{str("a"), num(int64(i))}, 1))
	}
	least, most := table.Value{Type: table.Min}, table.Value{Type: table.Max}
	cut := func(n int64, side table.Value) table.Key { return table.Key{str("a"), num(n), side} }
	for _, tc := range []struct {
		lo, hi table.Key
		want   []int64
	}{
		{cut(1, least), cut(2, most), []int64{1, 2}},
		{cut(1, most), cut(3, least), []int64{2}},
		{cut(2, least), cut(2, most), []int64{2}},
		{cut(2, most), cut(2, least), nil},
		{cut(3, least), cut(0, most), nil},
	} {
		for _, reverse := range []bool{false, true} {
			rg, want := table.Range{Table: made, From: tc.lo, To: tc.hi, Reverse: reverse}, slices.Clone(tc.want)
			if reverse {
				rg.From, rg.To = tc.hi, tc.lo
				slices.Reverse(want)
			}
			var got []int64
			for _, row := range all(t, tables, rg) {
				got = append(got, row.Key[1].Int)
			}
			if !slices.Equal(got, want) {
				t.Errorf("from %v to %v reads %v, want %v", rg.From, rg.To, got, want)
			}
		}
	}
}

func TestRowEndsByAColumnOfItsKey(t *testing.T) {
	t.Parallel()
	at := &clock{time.Unix(1_700_000_000, 0)}
	tables := open(t, memory.New(), at.now)
	spec := chat()
	spec.Ends = spec.Key[1].Name
	made := create(t, tables, spec)
	for _, ends := range []int64{1_699_999_990, 1_700_000_050, 1} {
		apply(t, tables, add(made, table.Key{str("a"), num(ends)}, 1))
	}
	sweep(t, tables, func() bool { return len(all(t, tables, table.Range{Table: made})) == 2 })
	at.at = time.Unix(1_700_000_050, 0)
	sweep(t, tables, func() bool {
		return keys(all(t, tables, table.Range{Table: made})) == keys([]table.Row{{Key: table.Key{str("a"), num(1)}}})
	})
}
