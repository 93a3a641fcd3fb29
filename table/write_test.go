package table_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/table"
)

// add adds n to the column "n".
func add(spec *table.Spec, key table.Key, n int64) table.Op {
	return table.Op{Table: spec, Key: key, Do: func(cur *table.Row, now int64) (*table.Row, error) {
		if cur != nil {
			n := n + cur.Column("n").Cells[0].Value.Int
			return &table.Row{Columns: cols(now, "n", num(n))}, nil
		}
		return &table.Row{Columns: cols(now, "n", num(n))}, nil
	}}
}

func refuse(spec *table.Spec, key table.Key, err error) table.Op {
	return table.Op{Table: spec, Key: key, Do: func(*table.Row, int64) (*table.Row, error) { return nil, err }}
}

func value(row *table.Row) int64 {
	if row == nil {
		return -1
	}
	return row.Column("n").Cells[0].Value.Int
}

func TestApplyManyStopsForNoOne(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := create(t, tables, chat())
	a, b, refusal := table.Key{str("a"), num(1)}, table.Key{str("b"), num(1)}, errors.New("no")
	got := tables.ApplyMany(t.Context(), []table.Op{
		add(spec, a, 1), refuse(spec, a, refusal), add(spec, a, 10), add(spec, b, 5), put(spec, table.Key{num(1)}), remove(spec, b), add(spec, a, 100),
	})
	want := []int64{1, -1, 11, 5, -1, -1, 111}
	for i, ch := range got {
		if value(ch.After) != want[i] {
			t.Errorf("op %d left %d, want %d", i, value(ch.After), want[i])
		}
	}
	if got[1].Err != refusal || sluice.KindOf(got[4].Err) != sluice.Invalid || got[6].Err != nil {
		t.Errorf("errors are %v, %v, %v", got[1].Err, got[4].Err, got[6].Err)
	}
	if value(got[5].Before) != 5 || value(get(t, tables, spec, a...)) != 111 || get(t, tables, spec, b...) != nil {
		t.Error("writes to one row are not in order")
	}
}

func TestVeryLargeBatchIsDoneInParts(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := create(t, tables, chat())
	var ops []table.Op
	big := table.Value{Type: table.Binary, Str: string(make([]byte, 3<<20))}
	for i := range 40 { // 120 MiB, twice what one transaction takes
		ops = append(ops, put(spec, table.Key{str("a"), num(int64(i))}, cols(1, "v", big)...))
	}
	for i, ch := range tables.ApplyMany(t.Context(), ops) {
		if ch.Err != nil || cmp.Diff(ops[i].Key, ch.Key) != "" {
			t.Errorf("op %d: %v, %v", i, ch.Key, ch.Err)
		}
	}
	page, err := tables.Scan(t.Context(), table.Range{Table: spec})
	if err != nil || len(page.Rows) != 2 || page.Next == nil {
		t.Errorf("a page has %d rows, %v", len(page.Rows), err)
	}
	if _, err := tables.Transact(t.Context(), ops); sluice.KindOf(err) != sluice.TooMuch {
		t.Errorf("transaction: %v", err)
	}
}

func TestTransactIsAllOrNothing(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := create(t, tables, chat())
	a, b, refusal := table.Key{str("a"), num(1)}, table.Key{str("b"), num(1)}, errors.New("no")
	got, err := tables.Transact(t.Context(), []table.Op{add(spec, a, 1), add(spec, b, 2), add(spec, a, 3)})
	if err != nil || value(got[2].After) != 4 || value(got[2].Before) != 1 {
		t.Fatalf("changes %v, %v", got, err)
	}
	_, err = tables.Transact(t.Context(), []table.Op{add(spec, a, 1), refuse(spec, b, refusal), remove(spec, a), put(spec, nil)})
	var te *table.TransactError
	if !errors.As(err, &te) || !errors.Is(err, refusal) {
		t.Fatalf("error is %v", err)
	}
	if i, _ := te.First(); i != 1 || te.Errs[0] != nil || te.Errs[2] != nil || sluice.KindOf(te.Errs[3]) != sluice.Invalid {
		t.Errorf("errors are %v", te.Errs)
	}
	if value(get(t, tables, spec, a...)) != 4 {
		t.Error("a refused transaction wrote")
	}
}

func TestReturningTheRowItselfWritesNothing(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := chat()
	spec.Stream = &table.Stream{Hours: 1}
	made := create(t, tables, spec)
	key := table.Key{str("a"), num(1)}
	same := table.Op{Table: made, Key: key, Do: func(cur *table.Row, _ int64) (*table.Row, error) { return cur, nil }}
	apply(t, tables, same)
	apply(t, tables, add(made, key, 1))
	if ch := apply(t, tables, same); value(ch.Before) != 1 || value(ch.After) != 1 {
		t.Errorf("change is %+v", ch)
	}
	recs, err := tables.ReadStream(t.Context(), made, 0, 0)
	if err != nil || len(recs) != 1 {
		t.Errorf("%d records, %v", len(recs), err)
	}
}

func TestColumnsAndVersionsAreTidied(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := chat()
	spec.MaxVersions = 2
	made := create(t, tables, spec)
	key := table.Key{str("a"), num(1)}
	ch := apply(t, tables, put(made, key,
		table.Column{Name: "z", Cells: []table.Cell{{num(1), 1}, {num(9), 9}, {num(5), 5}, {num(99), 9}}},
		table.Column{Name: "none"},
		table.Column{Name: "a", Cells: []table.Cell{{num(1), 1}}},
	))
	want := []table.Column{
		{Name: "a", Cells: []table.Cell{{num(1), 1}}},
		{Name: "z", Cells: []table.Cell{{num(9), 9}, {num(5), 5}}},
	}
	if diff := cmp.Diff(want, ch.After.Columns); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, get(t, tables, made, key...).Columns); diff != "" {
		t.Error(diff)
	}
	if _, err := tables.Apply(t.Context(), put(made, key, want[0], want[0])); sluice.KindOf(err) != sluice.Invalid {
		t.Errorf("a column twice: %v", err)
	}
}

func counting() table.Spec {
	spec := chat()
	spec.Key[1].AutoIncrement = true
	return spec
}

func TestAutoIncrementGrowsWithinItsPartition(t *testing.T) {
	t.Parallel()
	at := &clock{time.UnixMilli(1000)}
	store := memory.New()
	tables := open(t, store, at.now)
	spec := create(t, tables, counting())
	next := func(room string, want int64) {
		t.Helper()
		ch := apply(t, tables, put(spec, table.Key{str(room), lowest}))
		if got := ch.Key[1].Int; got != want {
			t.Errorf("%s got %d, want %d", room, got, want)
		}
		if get(t, tables, spec, ch.Key...) == nil {
			t.Errorf("row %d of %s is not there", want, room)
		}
	}
	next("a", 1_000_000)
	next("a", 1_000_001)
	next("b", 1_000_000)
	at.at = time.UnixMilli(2000)
	next("a", 2_000_000)
	at.at = time.UnixMilli(500) // the clock may go back
	next("a", 2_000_001)
	apply(t, tables, remove(spec, table.Key{str("a"), num(2_000_001)}))
	next("a", 2_000_002)
	apply(t, tables, put(spec, table.Key{str("a"), num(2_000_003)})) // chosen by a client
	next("a", 2_000_004)
	if _, err := tables.Apply(t.Context(), refuse(spec, table.Key{str("a"), lowest}, errors.New("no"))); err == nil {
		t.Error("not refused")
	}
	tables = open(t, store, at.now) // a restart
	next("a", 2_000_005)
	at.at = time.UnixMilli(1 << 53 / 1000)
	apply(t, tables, put(spec, table.Key{str("a"), lowest}))
	at.at = at.at.Add(time.Hour)
	if _, err := tables.Apply(t.Context(), put(spec, table.Key{str("a"), lowest})); sluice.KindOf(err) != sluice.TooMuch {
		t.Errorf("beyond 2^53: %v", err)
	}
}

func TestAutoIncrementNeverRepeatsUnderLoad(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := create(t, tables, counting())
	var mu sync.Mutex
	seen := map[int64]bool{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			last := int64(0)
			for range 20 {
				ops := []table.Op{put(spec, table.Key{str("a"), lowest}), put(spec, table.Key{str("a"), lowest})}
				for _, ch := range tables.ApplyMany(t.Context(), ops) {
					n := ch.Key[1].Int
					mu.Lock()
					if ch.Err != nil || seen[n] || n <= last {
						t.Errorf("%d after %d, seen: %v, %v", n, last, seen[n], ch.Err)
					}
					seen[n] = true
					mu.Unlock()
					last = n
				}
			}
		})
	}
	wg.Wait()
	if rows := all(t, tables, table.Range{Table: spec}); len(rows) != 16*20*2 {
		t.Errorf("%d rows", len(rows))
	}
}

func TestStreamTellsEveryChangeInOrder(t *testing.T) {
	t.Parallel()
	at := &clock{time.UnixMilli(5_000_000)}
	tables := open(t, memory.New(), at.now)
	spec := create(t, tables, chat())
	a := table.Key{str("a"), num(1)}
	apply(t, tables, add(spec, a, 1)) // before the stream
	_, err := tables.Alter(t.Context(), "inst", "chat", func(s *table.Spec) error { s.Stream = &table.Stream{Hours: 1}; return nil })
	if err != nil {
		t.Fatal(err)
	}
	apply(t, tables, add(spec, a, 2)) // with the old description
	tables.Apply(t.Context(), refuse(spec, a, errors.New("no")))
	tables.Transact(t.Context(), []table.Op{add(spec, a, 1), refuse(spec, a, errors.New("no"))})
	apply(t, tables, remove(spec, a))
	apply(t, tables, remove(spec, a)) // nothing there: nothing to tell
	row := func(n int64) *table.Row { return &table.Row{Key: a, Columns: cols(5_000_000, "n", num(n))} }
	recs, err := tables.ReadStream(t.Context(), spec, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []table.Record{
		{Seq: 1, Time: 5_000_000, Key: a, Before: row(1), After: row(3)},
		{Seq: 2, Time: 5_000_000, Key: a, Before: row(3)},
	}
	if diff := cmp.Diff(want, recs); diff != "" {
		t.Error(diff)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 25 {
				apply(t, tables, add(spec, table.Key{str("b"), num(int64(w))}, int64(i)))
			}
		})
	}
	wg.Wait()
	last := map[string]int64{}
	for from, n := uint64(3), 0; n < 200; {
		recs, err := tables.ReadStream(t.Context(), spec, from, 7)
		if err != nil || len(recs) == 0 {
			t.Fatalf("after %d: %v", from, err)
		}
		for _, r := range recs {
			if r.Seq != from {
				t.Fatalf("record %d, want %d", r.Seq, from)
			}
			k := fmt.Sprint(r.Key)
			if r.Before != nil && value(r.Before) != last[k] {
				t.Errorf("record %d begins with %d, the one before ended with %d", r.Seq, value(r.Before), last[k])
			}
			last[k] = value(r.After)
			from++
			n++
		}
	}
	if oldest, next, err := tables.StreamBounds(t.Context(), spec); oldest != 1 || next != 203 || err != nil {
		t.Errorf("bounds %d, %d, %v", oldest, next, err)
	}
	at.at = at.at.Add(time.Hour + time.Second)
	apply(t, tables, add(spec, a, 7))
	sweep(t, tables, func() bool {
		oldest, next, err := tables.StreamBounds(t.Context(), spec)
		return err == nil && oldest == 203 && next == 204
	})
	if recs, err := tables.ReadStream(t.Context(), spec, 0, 0); err != nil || len(recs) != 1 || recs[0].Seq != 203 {
		t.Errorf("after trimming: %v, %v", recs, err)
	}
}

func TestAPausedStreamKeepsItsRecords(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := chat()
	spec.Stream = &table.Stream{Hours: 24}
	made := create(t, tables, spec)
	pause := func(paused bool) {
		t.Helper()
		var err error
		if made, err = tables.Alter(t.Context(), made.Scope, made.Name, func(s *table.Spec) error {
			s.Stream.Paused = paused
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i, paused := range []bool{false, true, false} {
		pause(paused)
		apply(t, tables, put(made, table.Key{str("a"), num(int64(i))}))
	}
	sweep(t, tables, func() bool { return true }) // takes nothing
	recs, err := tables.ReadStream(t.Context(), made, 0, 0)
	if err != nil || len(recs) != 2 || recs[0].Key[1].Int != 0 || recs[1].Key[1].Int != 2 || recs[1].Seq != 2 {
		t.Errorf("the stream has %+v, %v", recs, err)
	}
}
