package table_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/table"
)

func TestIndexFollowsItsTable(t *testing.T) {
	t.Parallel()
	store := memory.New()
	tables := open(t, store, nil)
	spec := chat()
	spec.Indexes = []table.Index{
		{Name: "user", Key: []table.KeyColumn{{Name: "user", Type: table.String}}, Project: []string{"text"}},
		{Name: "turned", Key: []table.KeyColumn{{Name: "id", Type: table.Int}}, All: true},
	}
	made := create(t, tables, spec)
	row := func(room string, id int64, pairs ...any) {
		t.Helper()
		apply(t, tables, put(made, table.Key{str(room), num(id)}, cols(7, pairs...)...))
	}
	row("a", 1, "user", str("eve"), "text", str("hi"), "secret", num(1))
	row("a", 2, "user", str("bob"))
	row("b", 1, "user", num(5)) // another type: not in the index
	row("b", 2)
	row("b", 3, "user", str("bob"), "text", str("x"))
	got := all(t, tables, table.Range{Table: made, Index: "user"})
	want := []table.Row{
		{Key: table.Key{str("bob"), str("a"), num(2)}},
		{Key: table.Key{str("bob"), str("b"), num(3)}, Columns: cols(7, "text", str("x"))},
		{Key: table.Key{str("eve"), str("a"), num(1)}, Columns: cols(7, "text", str("hi"))},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	bob := table.Range{Table: made, Index: "user", From: table.Key{str("bob"), highest}, To: table.Key{str("bob"), lowest}, Reverse: true}
	if got := keys(all(t, tables, bob)); got != "3 2 " {
		t.Errorf("bob's rows backwards: %s", got)
	}
	got = all(t, tables, table.Range{Table: made, Index: "turned", To: table.Key{num(2)}})
	if keys(got) != "a b " || len(got[0].Columns) != 3 {
		t.Errorf("the turned index has %+v", got)
	}
	row("a", 1, "user", str("zoe")) // moves
	row("b", 3, "text", str("x"))   // leaves
	apply(t, tables, remove(made, table.Key{str("a"), num(2)}))
	want = []table.Row{{Key: table.Key{str("zoe"), str("a"), num(1)}}}
	if diff := cmp.Diff(want, all(t, tables, table.Range{Table: made, Index: "user"})); diff != "" {
		t.Error(diff)
	}
	if _, err := tables.Scan(t.Context(), table.Range{Table: made, Index: "none"}); sluice.KindOf(err) != sluice.Missing {
		t.Errorf("no such index: %v", err)
	}
	cols := made.IndexColumns(made.FindIndex("turned"))
	if diff := cmp.Diff([]table.KeyColumn{{Name: "id", Type: table.Int}, {Name: "room", Type: table.String}}, cols); diff != "" {
		t.Error(diff)
	}
}

func addIndex(t *testing.T, tables *table.Tables, columns ...string) *table.Spec {
	t.Helper()
	spec, err := tables.Alter(t.Context(), "inst", "chat", func(s *table.Spec) error {
		s.Indexes = nil
		for _, c := range columns {
			s.Indexes = append(s.Indexes, table.Index{Name: "by " + c, Key: []table.KeyColumn{{Name: c, Type: table.Int}}})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func TestIndexAddedLaterHasTheOldRows(t *testing.T) {
	t.Parallel()
	store := memory.New()
	tables := open(t, store, nil)
	old := create(t, tables, chat())
	for i := range int64(500) {
		apply(t, tables, put(old, table.Key{str("a"), num(i)}, cols(1, "n", num(-i), "m", num(i))...))
	}
	spec := addIndex(t, tables, "n")
	if spec.Indexes[0].Building {
		t.Error("a small table's index is not ready at once")
	}
	rows := all(t, tables, table.Range{Table: spec, Index: "by n", MaxRows: 77})
	if len(rows) != 500 || rows[0].Key[2].Int != 499 {
		t.Errorf("%d rows, first %v", len(rows), rows[0].Key)
	}
	apply(t, tables, remove(old, table.Key{str("a"), num(499)})) // by one who does not know of the index
	if rows := all(t, tables, table.Range{Table: spec, Index: "by n"}); len(rows) != 499 {
		t.Errorf("%d rows after a delete", len(rows))
	}
	spec = addIndex(t, tables, "m") // and "n" goes
	sweep(t, tables, func() bool { return left(t, store, "I") == 499 })
	if rows := all(t, tables, table.Range{Table: spec, Index: "by m"}); len(rows) != 499 {
		t.Errorf("%d rows in the second index", len(rows))
	}
	if again := addIndex(t, tables, "m", "n"); again.Indexes[1].ID == 1 || again.Indexes[0].ID != spec.Indexes[0].ID {
		t.Errorf("ids are %d and %d", again.Indexes[0].ID, again.Indexes[1].ID)
	}
}

func TestALateIndexHasNoOldRowsUntilTheyAreWrittenAgain(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	old := create(t, tables, chat())
	write := func(id int64) { apply(t, tables, put(old, table.Key{str("a"), num(id)}, cols(1, "n", num(id))...)) }
	for i := range int64(5) {
		write(i)
	}
	spec, err := tables.Alter(t.Context(), "inst", "chat", func(s *table.Spec) error {
		s.Indexes = append(s.Indexes, table.Index{Name: "late", Key: []table.KeyColumn{{Name: "n", Type: table.Int}}, Late: true})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := func() string {
		t.Helper()
		got := ""
		for _, r := range all(t, tables, table.Range{Table: spec, Index: "late"}) {
			got += fmt.Sprint(r.Key[0].Int)
		}
		return got
	}
	if got := seen(); spec.Indexes[0].Building || got != "" {
		t.Errorf("at first it has %q", got)
	}
	write(7)
	write(3) // without a change
	if got := seen(); got != "37" {
		t.Errorf("after two writes it has %q", got)
	}
	// Another index's walk over the old rows does not enter them.
	spec, err = tables.Alter(t.Context(), "inst", "chat", func(s *table.Spec) error {
		s.Indexes = append(s.Indexes, table.Index{Name: "whole", Key: []table.KeyColumn{{Name: "n", Type: table.Int}}})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if whole := all(t, tables, table.Range{Table: spec, Index: "whole"}); len(whole) != 6 {
		t.Errorf("the other index has %d rows", len(whole))
	}
	if got := seen(); got != "37" {
		t.Errorf("after the walk it has %q", got)
	}
	apply(t, tables, remove(spec, table.Key{str("a"), num(0)}))
	apply(t, tables, remove(spec, table.Key{str("a"), num(7)}))
	if got := seen(); got != "3" {
		t.Errorf("after two deletes it has %q", got)
	}
}

func TestIndexesAreOnBooleansFloatsAndTheBeginningsOfTexts(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := chat()
	for name, of := range map[string]table.Type{"b": table.Bool, "f": table.Float, "s": table.String} {
		spec.Indexes = append(spec.Indexes, table.Index{Name: name, Key: []table.KeyColumn{{Name: name, Type: of}}, Cut: 3})
	}
	made := create(t, tables, spec)
	for i, f := range []float64{2.5, -1, 0, -7.25, 1e300} {
		yes := table.Value{Type: table.Bool, Int: int64(i % 2)}
		text := str(strings.Repeat("x", i) + "tail" + strings.Repeat("y", 1<<16)) // as a whole it is too long for a key
		apply(t, tables, put(made, table.Key{str("a"), num(int64(i))}, cols(1, "b", yes, "f", table.Value{Type: table.Float, Float: f}, "s", text)...))
	}
	for name, want := range map[string]string{"b": "02413", "f": "31204", "s": "01234"} {
		got := ""
		for _, r := range all(t, tables, table.Range{Table: made, Index: name}) {
			got += fmt.Sprint(r.Key[2].Int)
		}
		if got != want {
			t.Errorf("by %s the rows are %s, want %s", name, got, want)
		}
	}
	rg := table.Range{Table: made, Index: "f", From: table.Key{{Type: table.Float, Float: -1}}, To: table.Key{{Type: table.Float, Float: 2.5}}}
	if got := all(t, tables, rg); len(got) != 2 {
		t.Errorf("from -1 to 2.5 there are %+v", got)
	}
	spec.Name, spec.Key = "other", []table.KeyColumn{{Name: "k", Type: table.Float}}
	if _, err := tables.Create(t.Context(), spec); sluice.KindOf(err) != sluice.Invalid {
		t.Errorf("a table with a float for its key: %v", err)
	}
}

func TestLargeIndexIsBuiltWhileWritesGoOn(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 12,000 rows")
	}
	t.Parallel()
	store := memory.New()
	tables := open(t, store, nil)
	spec := create(t, tables, chat())
	var ops []table.Op
	for i := range int64(12_000) {
		ops = append(ops, put(spec, table.Key{str("a"), num(i)}, cols(1, "n", num(i))...))
	}
	for i := 0; i < len(ops); i += 500 {
		for _, ch := range tables.ApplyMany(t.Context(), ops[i:i+500]) {
			if ch.Err != nil {
				t.Fatal(ch.Err)
			}
		}
	}
	built := addIndex(t, tables, "n")
	if !built.Indexes[0].Building {
		t.Fatal("the index is ready, so that this test shows nothing")
	}
	if _, err := tables.Scan(t.Context(), table.Range{Table: built, Index: "by n"}); sluice.KindOf(err) != sluice.Unavailable {
		t.Errorf("reading an unfinished index: %v", err)
	}
	var wg sync.WaitGroup
	for w := range int64(4) {
		wg.Go(func() {
			for i := w * 3000; i < w*3000+400; i++ {
				apply(t, tables, remove(spec, table.Key{str("a"), num(i)}))
				apply(t, tables, put(spec, table.Key{str("b"), num(i)}, cols(1, "n", num(-i))...))
			}
		})
	}
	sweep(t, tables, func() bool {
		s, err := tables.Lookup(t.Context(), "inst", "chat")
		return err == nil && !s.Indexes[0].Building
	})
	wg.Wait()
	sameIndex(t, tables, "inst", "chat")
	if n := left(t, store, "RI"); n != 24_000 {
		t.Errorf("%d keys, want 24,000", n)
	}
}

// sameIndex compares every index of Int columns with what the table's rows say it must hold.
func sameIndex(t testing.TB, tables *table.Tables, scope, name string) {
	t.Helper()
	spec, err := tables.Lookup(t.Context(), scope, name)
	if err != nil {
		t.Fatal(err)
	}
	rows := all(t, tables, table.Range{Table: spec})
	for _, x := range spec.Indexes {
		want, got := map[string]bool{}, map[string]bool{}
		for _, r := range rows {
			if c := r.Column(x.Key[0].Name); c != nil && c.Cells[0].Value.Type == table.Int {
				want[fmt.Sprint(append(table.Key{c.Cells[0].Value}, r.Key...))] = true
			}
		}
		for _, r := range all(t, tables, table.Range{Table: spec, Index: x.Name}) {
			got[fmt.Sprint(r.Key)] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("index %s: %s", x.Name, diff)
		}
	}
}

func TestHashedTableKeepsPartitionsInOrder(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := chat()
	spec.Hash = true
	spec.Indexes = []table.Index{{Name: "n", Key: []table.KeyColumn{{Name: "n", Type: table.Int}}, Hash: true}}
	made := create(t, tables, spec)
	for i := range 30 {
		for j := range int64(3) {
			apply(t, tables, put(made, table.Key{str(fmt.Sprint(i)), num(j)}, cols(1, "n", num(j))...))
		}
	}
	room := str("7")
	for _, c := range []struct {
		rg   table.Range
		want string
	}{
		{table.Range{From: table.Key{room, lowest}, To: table.Key{room, highest}}, "0 1 2 "},
		{table.Range{From: table.Key{room, highest}, To: table.Key{room, lowest}, Reverse: true}, "2 1 0 "},
		{table.Range{From: table.Key{room, num(1)}, To: table.Key{room, highest}}, "1 2 "},
	} {
		c.rg.Table = made
		for _, c.rg.MaxRows = range []int{1, 2, 0} {
			if got := keys(all(t, tables, c.rg)); got != c.want {
				t.Errorf("%+v: %s, want %s", c.rg, got, c.want)
			}
		}
	}
	for _, reverse := range []bool{false, true} {
		for _, n := range []int{0, 7} {
			seen := map[string]bool{}
			for _, row := range all(t, tables, table.Range{Table: made, MaxRows: n, Reverse: reverse}) {
				seen[fmt.Sprint(row.Key)] = true
			}
			if len(seen) != 90 {
				t.Errorf("a walk by %d, reverse %v, saw %d rows of 90", n, reverse, len(seen))
			}
		}
	}
	ones := all(t, tables, table.Range{Table: made, Index: "n", From: table.Key{num(1), lowest}, To: table.Key{num(1), highest}})
	if len(ones) != 30 {
		t.Errorf("%d rows of the hashed index", len(ones))
	}
}

func TestScatteredIndexHasAnOrderOfItsOwnAmongEquals(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := chat()
	spec.Hash = true
	spec.Indexes = []table.Index{{Name: "x", Key: []table.KeyColumn{{Name: "n", Type: table.Int}}, Hash: true, Scatter: true}}
	made := create(t, tables, spec)
	for _, name := range []string{"a", "b", "c", "d"} {
		for i := range 3 {
			apply(t, tables, add(made, table.Key{str(name), num(int64(i))}, 7))
		}
	}
	from, to := table.Key{num(7), {Type: table.Min}}, table.Key{num(7), {Type: table.Max}}
	every := all(t, tables, table.Range{Table: made, Index: "x", From: from, To: to})
	if len(every) != 12 || slices.IsSortedFunc(every, func(a, b table.Row) int { return table.CompareKeys(a.Key, b.Key) }) {
		t.Errorf("the index has %v", every)
	}
	// Walks go on behind any row, both ways, and end there.
	for i, row := range every {
		after, before := append(slices.Clone(row.Key), table.Value{Type: table.Max}), append(slices.Clone(row.Key), table.Value{Type: table.Min})
		for name, walk := range map[string]struct {
			rg   table.Range
			want int
		}{
			"on":   {table.Range{From: after, To: to}, len(every) - i - 1},
			"back": {table.Range{From: before, To: from, Reverse: true}, i},
			"here": {table.Range{From: before, To: after}, 1},
		} {
			walk.rg.Table, walk.rg.Index = made, "x"
			if got := all(t, tables, walk.rg); len(got) != walk.want {
				t.Errorf("%s from row %d there are %d rows, want %d", name, i, len(got), walk.want)
			}
		}
	}
	part := table.Key{num(7), str("a"), {Type: table.Max}}
	if _, err := tables.Scan(t.Context(), table.Range{Table: made, Index: "x", From: part}); err == nil {
		t.Error("a bound with a part of the table's key is taken")
	}
	apply(t, tables, remove(made, table.Key{str("b"), num(1)}))
	if got := all(t, tables, table.Range{Table: made, Index: "x"}); len(got) != 11 {
		t.Errorf("after a delete the index has %d rows", len(got))
	}
}

func TestAnIndexLeavesOutValuesThatDoNotFit(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	made := create(t, tables, chat())
	for i, user := range []string{"", "ann", "isabella"} {
		apply(t, tables, put(made, table.Key{str("a"), num(int64(i))}, cols(7, "user", str(user))...))
	}
	made, err := tables.Alter(t.Context(), made.Scope, made.Name, func(s *table.Spec) error {
		s.Indexes = append(s.Indexes, table.Index{Name: "user", Key: []table.KeyColumn{{Name: "user", Type: table.String}}, Sizes: []int{5}})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := keys(all(t, tables, table.Range{Table: made, Index: "user"})); got != "1 " {
		t.Errorf("the index has the old rows %q", got)
	}
	apply(t, tables, put(made, table.Key{str("a"), num(2)}, cols(7, "user", str("bella"))...))
	apply(t, tables, put(made, table.Key{str("a"), num(1)}, cols(7, "user", str("annabella"))...))
	if got := all(t, tables, table.Range{Table: made, Index: "user"}); len(got) != 1 || got[0].Key[0].Str != "bella" {
		t.Errorf("after writes the index has %+v", got)
	}
}

func TestScatteredIndexFindsEveryRowBetweenBounds(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := chat()
	spec.Hash = true
	spec.Indexes = []table.Index{{Name: "x", Key: []table.KeyColumn{{Name: "n", Type: table.Int}}, Hash: true, Scatter: true}}
	made := create(t, tables, spec)
	const rows = 2000 // so that hashes begin with every byte
	for i := range rows {
		apply(t, tables, add(made, table.Key{str("a"), num(int64(i))}, 7))
	}
	low, high := table.Key{num(7), {Type: table.Min}}, table.Key{num(7), {Type: table.Max}}
	for name, rg := range map[string]table.Range{
		"on":   {From: low, To: high},
		"back": {From: high, To: low, Reverse: true},
	} {
		rg.Table, rg.Index = made, "x"
		if got := all(t, tables, rg); len(got) != rows {
			t.Errorf("%s there are %d rows of %d", name, len(got), rows)
		}
	}
	if got := all(t, tables, table.Range{Table: made, Index: "x", From: high}); len(got) != 0 {
		t.Errorf("behind all of them there are %d rows", len(got))
	}
}

// A page's rows are cut from shared pieces of memory. Who reads pages, changes what he got and reads again
// must not see, or write to, what others have.
func TestPagesShareNothingThatTheirReadersWrite(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	blob := func(i int) table.Value {
		return table.Value{Type: table.Binary, Str: fmt.Sprintf("bytes %d", i%7)}
	}
	dec := func(i int) table.Value { return table.Value{Type: table.Decimal, Str: strconv.Itoa(i % 5)} }
	spec := chat()
	spec.Hash = true
	for name, kind := range map[string]table.Type{"dec": table.Decimal, "text": table.String, "blob": table.Binary} {
		spec.Indexes = append(spec.Indexes, table.Index{Name: name, Key: []table.KeyColumn{{Name: name, Type: kind}}, Hash: true, Scatter: true, All: true})
	}
	made := create(t, tables, spec)
	const rows = 300
	for i := range rows {
		apply(t, tables, put(made, table.Key{str(strconv.Itoa(i % 3)), num(int64(i))},
			cols(7, "blob", blob(i), "dec", dec(i), "text", str("text "+strconv.Itoa(i%11)))...))
	}
	check := func(row table.Row, key func(name string) table.Value) {
		i := int(key("").Int)
		for name, want := range map[string]table.Value{"dec": dec(i), "text": str("text " + strconv.Itoa(i%11)), "blob": blob(i)} {
			got := key(name)
			if c := row.Column(name); c != nil {
				got = c.Cells[0].Value
			}
			if table.Compare(got, want) != 0 {
				t.Errorf("row %d has %s %v, want %v", i, name, got, want)
			}
		}
		for _, c := range row.Columns {
			for j := range c.Cells {
				c.Cells[j] = table.Cell{}
			}
		}
		for j := range row.Key {
			row.Key[j] = table.Value{}
		}
	}
	var readers sync.WaitGroup
	for _, index := range []string{"", "dec", "text", "blob", "dec", ""} {
		readers.Go(func() {
			for size := 1; size < rows; size *= 3 {
				seen := 0
				var from table.Key
				for {
					page, err := tables.Scan(t.Context(), table.Range{Table: made, Index: index, From: from, MaxRows: size})
					if err != nil {
						t.Error(err)
						return
					}
					seen += len(page.Rows)
					from = slices.Clone(page.Next)
					for _, row := range page.Rows {
						own := row.Key
						check(row, func(name string) table.Value {
							if name == "" {
								return own[len(own)-1]
							}
							return own[0]
						})
					}
					if page.Next == nil {
						break
					}
				}
				if seen != rows {
					t.Errorf("index %q by %d has %d rows of %d", index, size, seen, rows)
				}
			}
			for i := range 11 {
				key := map[string]table.Value{"": str(strconv.Itoa(i % 3)), "dec": dec(i), "text": str("text " + strconv.Itoa(i)), "blob": blob(i)}[index]
				want := map[string]func(j int) bool{
					"": func(j int) bool { return j%3 == i%3 }, "dec": func(j int) bool { return j%5 == i%5 },
					"text": func(j int) bool { return j%11 == i }, "blob": func(j int) bool { return j%7 == i%7 },
				}[index]
				count := 0
				for j := range rows {
					if want(j) {
						count++
					}
				}
				got := all(t, tables, table.Range{Table: made, Index: index, From: table.Key{key, {Type: table.Min}}, To: table.Key{key, {Type: table.Max}}})
				if len(got) != count {
					t.Errorf("a query of %q for %v has %d rows, want %d", index, key, len(got), count)
				}
			}
		})
	}
	readers.Wait()
}
