package table_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/kv/pebble"
	"github.com/sluicehq/sluice/table"
)

var discard = slog.New(slog.DiscardHandler)

// model is a table as a sorted list of rows, beside the real one.
type model struct {
	store   kv.Store
	reopen  func() kv.Store                 // after Close
	crash   func(meanwhile func()) kv.Store // as a kill would leave it while something goes on
	tables  *table.Tables
	spec    *table.Spec
	rows    []table.Row // sorted by key
	changes uint64
	now     int64 // unix ms
}

func (m *model) open(t *rapid.T) {
	var err error
	now := func() time.Time { return time.UnixMilli(m.now) }
	if m.tables, err = table.Open(context.Background(), m.store, table.Options{Log: discard, Now: now}); err != nil {
		t.Fatal(err)
	}
}

func (m *model) find(key table.Key) (int, bool) {
	return slices.BinarySearchFunc(m.rows, key, func(r table.Row, k table.Key) int { return table.CompareKeys(r.Key, k) })
}

// put makes the model's row what it shall be; nil deletes it.
func (m *model) put(key table.Key, row *table.Row) {
	i, there := m.find(key)
	if row == nil && !there {
		return
	}
	m.changes++
	switch {
	case row == nil:
		m.rows = slices.Delete(m.rows, i, i+1)
	case there:
		m.rows[i] = table.Row{Key: key, Columns: row.Columns, Expires: row.Expires}
	default:
		m.rows = slices.Insert(m.rows, i, table.Row{Key: key, Columns: row.Columns, Expires: row.Expires})
	}
}

func (m *model) row(key table.Key) *table.Row {
	if i, there := m.find(key); there {
		return &m.rows[i]
	}
	return nil
}

// drawKey draws from few keys, so that histories meet; with bounds, columns may be infinite.
func drawKey(t *rapid.T, bounds bool) table.Key {
	k := table.Key{str(rapid.SampledFrom([]string{"", "a", "a\x00", "b"}).Draw(t, "room")), num(rapid.Int64Range(-3, 3).Draw(t, "id"))}
	if bounds {
		for i := range k {
			switch rapid.IntRange(0, 5).Draw(t, "infinite") {
			case 0:
				k[i] = lowest
			case 1:
				k[i] = highest
			}
		}
	}
	return k
}

func drawColumns(t *rapid.T) (list []table.Column) {
	for _, name := range []string{"m", "n"} {
		if n := rapid.Int64Range(-1, 4).Draw(t, name); n >= 0 {
			list = append(list, cols(1, name, num(n))...)
		}
	}
	return list
}

var errModel = errors.New("condition failed")

// drawOp draws a put of either kind, a conditional put, an update, a delete or a refusal. It returns the op and, for
// a model that is asked later, what comes of it.
func (m *model) drawOp(t *rapid.T) (table.Op, func() error) {
	key, columns := drawKey(t, false), drawColumns(t)
	var do table.Mutate
	var whole *table.Row
	switch op := rapid.IntRange(0, 4).Draw(t, "op"); op {
	case 0, 1:
		do = func(*table.Row, int64) (*table.Row, error) { return &table.Row{Columns: columns}, nil }
		if op == 0 {
			whole = &table.Row{Columns: columns}
		}
	case 2: // update what is there
		do = func(cur *table.Row, _ int64) (*table.Row, error) {
			if cur == nil {
				return nil, errModel
			}
			next := &table.Row{Columns: columns}
			for _, c := range cur.Columns {
				if !slices.ContainsFunc(columns, func(o table.Column) bool { return o.Name == c.Name }) {
					next.Columns = append(next.Columns, c)
				}
			}
			slices.SortFunc(next.Columns, func(a, b table.Column) int { return int(a.Name[0]) - int(b.Name[0]) })
			return next, nil
		}
	case 3: // only when there is none
		do = func(cur *table.Row, _ int64) (*table.Row, error) {
			if cur != nil {
				return nil, errModel
			}
			return &table.Row{Columns: columns}, nil
		}
	case 4:
		do = func(*table.Row, int64) (*table.Row, error) { return nil, nil }
	}
	op := table.Op{Table: m.spec, Key: key, Put: whole}
	if whole == nil {
		op.Do = do
	}
	return op, func() error {
		row, err := do(m.row(key), 0)
		if was := m.row(key); was != nil && whole != nil && cmp.Equal(was.Columns, columns, emptyIsNil) {
			return nil // it changes nothing
		}
		if err == nil {
			m.put(key, row)
		}
		return err
	}
}

func (m *model) drawOps(t *rapid.T) (ops []table.Op, ask []func() error) {
	for range rapid.IntRange(1, 6).Draw(t, "ops") {
		op, expect := m.drawOp(t)
		ops, ask = append(ops, op), append(ask, expect)
	}
	return ops, ask
}

func (m *model) applyMany(t *rapid.T) {
	ops, ask := m.drawOps(t)
	for i, ch := range m.tables.ApplyMany(context.Background(), ops) {
		before := m.row(ops[i].Key)
		if before != nil {
			copied := *before
			before = &copied
		}
		if want := ask[i](); ch.Err != want {
			t.Fatalf("op %d: %v, want %v", i, ch.Err, want)
		}
		if ch.Err == nil {
			if ops[i].Put != nil && ch.Before == nil {
				before = nil // nobody looked
			}
			if diff := cmp.Diff(before, ch.Before, emptyIsNil); diff != "" {
				t.Fatalf("before: %s", diff)
			}
			if diff := cmp.Diff(m.row(ops[i].Key), ch.After, emptyIsNil); diff != "" {
				t.Fatalf("after: %s", diff)
			}
		}
	}
}

func (m *model) transact(t *rapid.T) {
	ops, ask := m.drawOps(t)
	rows, changes := slices.Clone(m.rows), m.changes
	refused := -1
	for i := range ask {
		if err := ask[i](); err != nil && refused < 0 {
			refused = i
		}
	}
	_, err := m.tables.Transact(context.Background(), ops)
	if refused < 0 && err == nil {
		return
	}
	m.rows, m.changes = rows, changes
	var te *table.TransactError
	if !errors.As(err, &te) {
		t.Fatalf("error is %v, want one at %d", err, refused)
	}
	if i, err := te.First(); i != refused || err != errModel {
		t.Fatalf("refused %d, %v; want %d", i, err, refused)
	}
}

// killed does a transaction while the process, as it were, dies: it is done as a whole, or not at all.
func (m *model) killed(t *rapid.T) {
	ops, ask := m.drawOps(t)
	before, changes := slices.Clone(m.rows), m.changes
	refused := false
	for i := range ask {
		refused = ask[i]() != nil || refused
	}
	m.store = m.crash(func() { m.tables.Transact(context.Background(), ops) })
	m.open(t)
	_, next, err := m.tables.StreamBounds(context.Background(), m.spec)
	if err != nil {
		t.Fatal(err)
	}
	if refused || next-1 == changes {
		m.rows, m.changes = before, changes
	}
}

var emptyIsNil = cmp.FilterValues(func(a, b []table.Column) bool { return len(a)+len(b) == 0 }, cmp.Ignore())

func (m *model) scan(t *rapid.T) {
	rg := table.Range{
		Table: m.spec, From: drawKey(t, true), To: drawKey(t, true),
		Reverse: rapid.Bool().Draw(t, "reverse"), MaxRows: rapid.IntRange(1, 9).Draw(t, "page"),
	}
	var want, got []table.Row
	for _, r := range m.rows {
		from, to := table.CompareKeys(r.Key, rg.From), table.CompareKeys(r.Key, rg.To)
		if !rg.Reverse && from >= 0 && to < 0 || rg.Reverse && from <= 0 && to > 0 {
			want = append(want, r)
		}
	}
	if rg.Reverse {
		slices.Reverse(want)
	}
	for rg.From != nil {
		page, err := m.tables.Scan(context.Background(), rg)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Rows) > rg.MaxRows {
			t.Fatalf("a page of %d rows", len(page.Rows))
		}
		got, rg.From = append(got, page.Rows...), page.Next
	}
	if diff := cmp.Diff(want, got, emptyIsNil); diff != "" {
		t.Fatalf("%+v: %s", rg, diff)
	}
}

// check compares everything there is: rows, index and stream.
func (m *model) check(t *rapid.T) {
	ctx := context.Background()
	page, err := m.tables.Scan(ctx, table.Range{Table: m.spec})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m.rows, page.Rows, emptyIsNil, sameEmpty); diff != "" {
		t.Fatalf("rows: %s", diff)
	}
	var want, got []string
	for _, r := range m.rows {
		if c := r.Column("n"); c != nil {
			rest := ""
			if c := r.Column("m"); c != nil {
				rest = fmt.Sprint("m=", c.Cells[0].Value.Int)
			}
			want = append(want, fmt.Sprint(c.Cells[0].Value.Int, r.Key, rest))
		}
	}
	page, err = m.tables.Scan(ctx, table.Range{Table: m.spec, Index: "n"})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range page.Rows {
		rest := ""
		if c := r.Column("m"); c != nil {
			rest = fmt.Sprint("m=", c.Cells[0].Value.Int)
		}
		got = append(got, fmt.Sprint(r.Key[0].Int, r.Key[1:], rest))
		if i > 0 && table.CompareKeys(page.Rows[i-1].Key, r.Key) >= 0 {
			t.Fatal("the index is out of order")
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("index: %s", diff)
	}
	recs, err := m.tables.ReadStream(ctx, m.spec, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	replay := map[string]table.Row{}
	for i, r := range recs {
		if r.Seq != uint64(i+1) {
			t.Fatalf("record %d has number %d", i, r.Seq)
		}
		if r.After == nil {
			delete(replay, fmt.Sprint(r.Key))
		} else {
			replay[fmt.Sprint(r.Key)] = *r.After
		}
	}
	whole := map[string]table.Row{}
	for _, r := range m.rows {
		whole[fmt.Sprint(r.Key)] = r
	}
	if diff := cmp.Diff(whole, replay, emptyIsNil); diff != "" || uint64(len(recs)) != m.changes {
		t.Fatalf("%d records for %d changes: %s", len(recs), m.changes, diff)
	}
}

var sameEmpty = cmp.FilterValues(func(a, b []table.Row) bool { return len(a)+len(b) == 0 }, cmp.Ignore())

func (m *model) history(t *rapid.T) {
	m.open(t)
	spec := chat()
	spec.Stream = &table.Stream{Hours: 1}
	spec.Indexes = []table.Index{{Name: "n", Key: []table.KeyColumn{{Name: "n", Type: table.Int}}, Project: []string{"m"}}}
	var err error
	if m.spec, err = m.tables.Create(context.Background(), spec); err != nil {
		t.Fatal(err)
	}
	actions := map[string]func(*rapid.T){
		"":          m.check,
		"applyMany": m.applyMany,
		"transact":  m.transact,
		"scan":      m.scan,
		"get": func(t *rapid.T) {
			key := drawKey(t, false)
			row, err := m.tables.Get(context.Background(), m.spec, key)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(m.row(key), row, emptyIsNil); diff != "" {
				t.Fatal(diff)
			}
		},
		"recreate": func(t *rapid.T) {
			if rapid.IntRange(0, 9).Draw(t, "dice") > 0 {
				t.Skip("seldom")
			}
			old := m.spec
			if err := m.tables.Drop(context.Background(), spec.Scope, spec.Name); err != nil {
				t.Fatal(err)
			}
			if m.spec, err = m.tables.Create(context.Background(), spec); err != nil {
				t.Fatal(err)
			}
			m.rows, m.changes = nil, 0
			if _, err := m.tables.Apply(context.Background(), put(old, drawKey(t, false))); !isMissing(err) {
				t.Fatalf("write to the dropped table: %v", err)
			}
		},
		"crash": func(t *rapid.T) {
			if m.crash == nil || rapid.IntRange(0, 2).Draw(t, "dice") > 0 {
				t.Skip("it takes long")
			}
			m.killed(t)
		},
		"reopen": func(t *rapid.T) {
			if m.reopen != nil {
				if rapid.IntRange(0, 3).Draw(t, "dice") > 0 {
					t.Skip("it takes long")
				}
				m.store = m.reopen()
			}
			m.open(t)
		},
	}
	t.Repeat(actions)
}

func TestHistoriesLookLikeASortedMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &model{store: memory.New(), now: 1e12}
		m.history(t)
	})
}

func TestHistoriesOnDiskLookLikeASortedMap(t *testing.T) {
	if testing.Short() {
		t.Skip("opens many stores")
	}
	t.Parallel()
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		start := func() kv.Store {
			s, err := pebble.Open(dir, pebble.Options{Log: discard})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		m := &model{store: start(), now: 1e12}
		m.reopen = func() kv.Store {
			if err := m.store.Close(); err != nil {
				t.Fatal(err)
			}
			return start()
		}
		m.crash = func(meanwhile func()) kv.Store {
			var wg sync.WaitGroup
			wg.Go(meanwhile)
			left, err := snapshot(base, dir)
			wg.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if err := m.store.Close(); err != nil {
				t.Fatal(err)
			}
			dir = left
			return start()
		}
		defer func() { m.store.Close() }()
		m.history(t)
	})
}

// snapshot copies a store's folder as it stands, with files that are being written and all. It begins again when
// files come or go meanwhile, for a kill happens in one moment.
func snapshot(base, dir string) (string, error) {
	names := func() (list []string, err error) {
		entries, err := os.ReadDir(dir)
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return list, err
	}
	for {
		to, err := os.MkdirTemp(base, "")
		if err != nil {
			return "", err
		}
		before, err := names()
		if err != nil {
			return "", err
		}
		err = os.CopyFS(to, os.DirFS(dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		after, err2 := names()
		if err2 != nil {
			return "", err2
		}
		if err == nil && slices.Equal(before, after) {
			return to, nil
		}
	}
}
