package table_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/table"
)

func isMissing(err error) bool { return errors.As(err, new(*table.MissingError)) }

// left counts the keys of a store that are no descriptions and no counter of table ids.
func left(t testing.TB, store kv.Store, spaces string) (n int) {
	t.Helper()
	err := store.View(context.Background(), func(r kv.Reader) error {
		n = 0
		for _, space := range []byte(spaces) {
			it := r.Scan([]byte{space}, []byte{space + 1}, kv.ScanOpts{Limit: 1_000_000, KeysOnly: true})
			for it.Next() {
				n++
			}
			if err := errors.Join(it.Err(), it.Close()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTablesAreMadeFoundAndListed(t *testing.T) {
	t.Parallel()
	store := memory.New()
	tables := open(t, store, nil)
	made := create(t, tables, chat())
	if made.ID == 0 || made.Version != 1 || made.Created == 0 {
		t.Errorf("made %+v", made)
	}
	if _, err := tables.Create(t.Context(), chat()); !errors.As(err, new(*table.ExistsError)) {
		t.Errorf("second create: %v", err)
	}
	for range 2 { // from the store, from the cache
		found, err := tables.Lookup(t.Context(), "inst", "chat")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(made, found); diff != "" {
			t.Error(diff)
		}
	}
	for _, name := range []string{"b", "a"} {
		spec := chat()
		spec.Name = name
		create(t, tables, spec)
	}
	other := chat()
	other.Scope = "inst2"
	create(t, tables, other)
	list, err := open(t, store, nil).List(t.Context(), "inst")
	if err != nil {
		t.Fatal(err)
	}
	names := ""
	for _, s := range list {
		names += s.Name + " "
	}
	if names != "a b chat " {
		t.Errorf("listed %s", names)
	}
	if _, err := tables.Lookup(t.Context(), "ins", "tchat"); !isMissing(err) {
		t.Errorf("lookup of none: %v", err)
	}
	if list, err := tables.List(t.Context(), "none"); len(list) != 0 || err != nil {
		t.Errorf("list of an empty scope: %v, %v", list, err)
	}
}

func TestImpossibleTablesAreRefused(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	key := func(cols ...table.KeyColumn) table.Spec { return table.Spec{Name: "t", Key: cols} }
	s, i := table.KeyColumn{Name: "s", Type: table.String}, table.KeyColumn{Name: "i", Type: table.Int, AutoIncrement: true}
	index := func(x ...table.Index) table.Spec {
		spec := key(s)
		spec.Indexes = x
		return spec
	}
	for name, spec := range map[string]table.Spec{
		"no name": {Key: []table.KeyColumn{s}}, "zero in the name": {Name: "a\x00b", Key: []table.KeyColumn{s}},
		"no key": key(), "key of floats": key(table.KeyColumn{Name: "f", Type: table.Float}), "column twice": key(s, s),
		"counting partition": key(i), "counting string": key(s, table.KeyColumn{Name: "x", Type: table.String, AutoIncrement: true}),
		"two counters":     key(s, i, table.KeyColumn{Name: "j", Type: table.Int, AutoIncrement: true}),
		"nameless index":   index(table.Index{Key: []table.KeyColumn{s}}),
		"index twice":      index(table.Index{Name: "x", Key: []table.KeyColumn{s}}, table.Index{Name: "x", Key: []table.KeyColumn{s}}),
		"index of nothing": index(table.Index{Name: "x"}),
		"other type":       index(table.Index{Name: "x", Key: []table.KeyColumn{{Name: "s", Type: table.Int}}}),
	} {
		if _, err := tables.Create(t.Context(), spec); sluice.KindOf(err) != sluice.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAlterChangesWhatItMayOnly(t *testing.T) {
	t.Parallel()
	store := memory.New()
	tables := open(t, store, nil)
	old := create(t, tables, chat())
	got, err := tables.Alter(t.Context(), "inst", "chat", func(s *table.Spec) error {
		s.MaxVersions, s.Extra, s.ID, s.Name, s.Created = 3, []byte("x"), 99, "other", 1
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := *old
	want.MaxVersions, want.Extra, want.Version = 3, []byte("x"), 2
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
	if found, _ := tables.Lookup(t.Context(), "inst", "chat"); cmp.Diff(&want, found) != "" {
		t.Errorf("the cache has %+v", found)
	}
	refusal := errors.New("no")
	if _, err := tables.Alter(t.Context(), "inst", "chat", func(*table.Spec) error { return refusal }); err != refusal {
		t.Errorf("refused: %v", err)
	}
	_, err = tables.Alter(t.Context(), "inst", "chat", func(s *table.Spec) error { s.Key = s.Key[:1]; return nil })
	if sluice.KindOf(err) != sluice.Invalid {
		t.Errorf("another key: %v", err)
	}
	if _, err := tables.Alter(t.Context(), "inst", "none", func(*table.Spec) error { return nil }); !isMissing(err) {
		t.Errorf("alter of none: %v", err)
	}
	// A writer and a reader who still hold the old description follow the new one.
	key := table.Key{str("a"), num(1)}
	three := table.Column{Name: "c", Cells: []table.Cell{{Value: num(1), Time: 1}, {Value: num(3), Time: 3}, {Value: num(2), Time: 2}, {Value: num(4), Time: 4}}}
	apply(t, tables, put(old, key, three))
	if row := get(t, tables, old, key...); len(row.Columns[0].Cells) != 3 || row.Columns[0].Cells[0].Time != 4 {
		t.Errorf("the row is %+v", row)
	}
}

func TestDroppedTableIsGoneForThoseWhoHoldItsDescription(t *testing.T) {
	t.Parallel()
	store := memory.New()
	tables := open(t, store, nil)
	spec := chat()
	spec.Stream = &table.Stream{Hours: 1}
	spec.TTL = 100
	spec.Indexes = []table.Index{{Name: "x", Key: []table.KeyColumn{{Name: "v", Type: table.Int}}}}
	old := create(t, tables, spec)
	for i := range 3000 {
		apply(t, tables, put(old, table.Key{str("a"), num(int64(i))}, cols(4e12, "v", num(int64(i)))...))
	}
	if err := tables.Drop(t.Context(), "inst", "chat"); err != nil {
		t.Fatal(err)
	}
	if err := tables.Drop(t.Context(), "inst", "chat"); !isMissing(err) {
		t.Errorf("second drop: %v", err)
	}
	check := func() {
		t.Helper()
		key := table.Key{str("a"), num(1)}
		if _, err := tables.Apply(t.Context(), put(old, key)); !isMissing(err) {
			t.Errorf("write: %v", err)
		}
		if _, err := tables.Transact(t.Context(), []table.Op{put(old, key)}); !isMissing(err) {
			t.Errorf("transaction: %v", err)
		}
		if _, err := tables.Get(t.Context(), old, key); !isMissing(err) {
			t.Errorf("read: %v", err)
		}
		if _, err := tables.Scan(t.Context(), table.Range{Table: old}); !isMissing(err) {
			t.Errorf("scan: %v", err)
		}
		if _, err := tables.ReadStream(t.Context(), old, 0, 0); !isMissing(err) {
			t.Errorf("stream: %v", err)
		}
	}
	check()
	if _, err := tables.Lookup(t.Context(), "inst", "chat"); !isMissing(err) {
		t.Errorf("lookup: %v", err)
	}
	again := create(t, tables, chat())
	if again.ID == old.ID {
		t.Error("the id was used again")
	}
	check()
	if rows := all(t, tables, table.Range{Table: again}); rows != nil {
		t.Errorf("%d rows in a new table", len(rows))
	}
	// One write names both: that to the living table is done.
	ch := tables.ApplyMany(t.Context(), []table.Op{
		put(again, table.Key{str("a"), num(1)}), put(old, table.Key{str("a"), num(1)}), put(again, table.Key{str("a"), num(2)}),
	})
	if ch[0].Err != nil || !isMissing(ch[1].Err) || ch[2].Err != nil {
		t.Errorf("errors are %v, %v, %v", ch[0].Err, ch[1].Err, ch[2].Err)
	}
	sweep(t, tables, func() bool { return left(t, store, "RISTF") == 2 }) // the two rows just put
	if n := left(t, store, "C"); n != 1 {
		t.Errorf("%d counters, want that of the ids", n)
	}
}

func TestDescriptionsAreNeverStaleInTheCache(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	create(t, tables, chat())
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					tables.Lookup(t.Context(), "inst", "chat")
				}
			}
		})
	}
	for i := range 300 {
		_, err := tables.Alter(t.Context(), "inst", "chat", func(s *table.Spec) error { s.Extra = fmt.Append(nil, i); return nil })
		if err != nil {
			t.Error(err)
		}
		spec, err := tables.Lookup(t.Context(), "inst", "chat")
		if err != nil || string(spec.Extra) != fmt.Sprint(i) {
			t.Errorf("after change %d the cache has %s, %v", i, spec.Extra, err)
		}
	}
	close(stop)
	wg.Wait()
}

func TestChangesByAnotherProcessAreNoticed(t *testing.T) {
	t.Parallel()
	store := memory.New()
	here, there := open(t, store, nil), open(t, store, nil)
	spec := create(t, here, chat())
	key := table.Key{str("a"), num(1)}
	if _, err := there.Alter(t.Context(), "inst", "chat", func(s *table.Spec) error { s.MaxVersions = 5; return nil }); err != nil {
		t.Fatal(err)
	}
	apply(t, here, put(spec, key))
	if spec, _ = here.Lookup(t.Context(), "inst", "chat"); spec.MaxVersions != 5 {
		t.Errorf("after a write the description is %+v", spec)
	}
	if err := there.Drop(t.Context(), "inst", "chat"); err != nil {
		t.Fatal(err)
	}
	again := create(t, there, chat())
	if _, err := here.Apply(t.Context(), put(spec, key)); !isMissing(err) {
		t.Errorf("write to the dropped table: %v", err)
	}
	if spec, _ = here.Lookup(t.Context(), "inst", "chat"); spec.ID != again.ID {
		t.Errorf("after that the description is %+v", spec)
	}
}
