package table_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/table"
)

func begin(t testing.TB, tables *table.Tables, spec *table.Spec, first table.Value) *table.Session {
	t.Helper()
	s, err := tables.Begin(t.Context(), spec, first, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func held() table.Spec {
	spec := chat()
	spec.Sessions = true
	return spec
}

func TestASessionIsSeenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	for _, commit := range []bool{true, false} {
		tables := open(t, memory.New(), nil)
		spec := create(t, tables, held())
		a1, a2, b := table.Key{str("a"), num(1)}, table.Key{str("a"), num(2)}, table.Key{str("b"), num(1)}
		apply(t, tables, add(spec, a1, 1))
		s := begin(t, tables, spec, str("a"))
		done, err := s.Apply(t.Context(), []table.Op{add(spec, a1, 10), add(spec, a1, 100), add(spec, a2, 7), add(spec, b, 1), refuse(spec, a2, errors.New("no"))})
		if err != nil {
			t.Fatal(err)
		}
		if value(done[1].Before) != 11 || value(done[1].After) != 111 || done[3].Err == nil || done[4].Err == nil {
			t.Errorf("session did %+v", done)
		}
		if got := value(get(t, tables, spec, a1...)); got != 1 {
			t.Errorf("others see %d before the end", got)
		}
		if _, err := tables.Apply(t.Context(), add(spec, a2, 1)); !errors.Is(err, table.ErrHeld) {
			t.Errorf("a write beside the session: %v", err)
		}
		if _, err := tables.Begin(t.Context(), spec, str("a"), time.Minute); !errors.Is(err, table.ErrHeld) {
			t.Errorf("a session beside the session: %v", err)
		}
		apply(t, tables, add(spec, b, 1))
		want := [2]int64{1, -1}
		end := s.Abort
		if commit {
			want, end = [2]int64{111, 7}, s.Commit
		}
		if err := end(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := [2]int64{value(get(t, tables, spec, a1...)), value(get(t, tables, spec, a2...))}; got != want {
			t.Errorf("after the end (commit %t) rows are %v, want %v", commit, got, want)
		}
		if err := s.Commit(t.Context()); !errors.Is(err, table.ErrEnded) {
			t.Errorf("ended twice: %v", err)
		}
		apply(t, tables, add(spec, a1, 1))
	}
}

func TestASessionEndsWithItsTime(t *testing.T) {
	t.Parallel()
	at := &clock{time.UnixMilli(5_000_000)}
	tables := open(t, memory.New(), at.now)
	spec := create(t, tables, held())
	a := table.Key{str("a"), num(1)}
	s, late := begin(t, tables, spec, str("a")), begin(t, tables, spec, str("b"))
	if _, err := s.Apply(t.Context(), []table.Op{add(spec, a, 1)}); err != nil {
		t.Fatal(err)
	}
	at.at = at.at.Add(time.Minute)
	apply(t, tables, add(spec, a, 5))
	for _, end := range []error{s.Commit(t.Context()), late.Abort(t.Context())} {
		if !errors.Is(end, table.ErrEnded) {
			t.Errorf("an end after its time: %v", end)
		}
	}
	if _, err := s.Apply(t.Context(), nil); !errors.Is(err, table.ErrEnded) {
		t.Errorf("a write after its time: %v", err)
	}
	if got := value(get(t, tables, spec, a...)); got != 5 {
		t.Errorf("row is %d", got)
	}
	begin(t, tables, spec, str("a"))
}

func TestSessionsNeedATableThatHasThem(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	plain := create(t, tables, chat())
	if _, err := tables.Begin(t.Context(), plain, str("a"), time.Minute); err == nil {
		t.Error("a session on a table without")
	}
	spec := held()
	spec.Name = "held"
	made := create(t, tables, spec)
	if _, err := tables.Begin(t.Context(), made, num(1), time.Minute); err == nil {
		t.Error("a session on a value of another type")
	}
	s := begin(t, tables, made, str("a"))
	if err := tables.Drop(t.Context(), "inst", "held"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), []table.Op{put(made, table.Key{str("a"), num(1)})}); !isMissing(err) {
		t.Errorf("a write to a table that is gone: %v", err)
	}
}

func TestASessionSurvivesAnAlter(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := create(t, tables, held())
	a := table.Key{str("a"), num(1)}
	s := begin(t, tables, spec, str("a"))
	if _, err := s.Apply(t.Context(), []table.Op{add(spec, a, 1)}); err != nil {
		t.Fatal(err)
	}
	_, err := tables.Alter(t.Context(), "inst", "chat", func(s *table.Spec) error { s.Stream = &table.Stream{Hours: 1}; return nil })
	if err != nil {
		t.Fatal(err)
	}
	note := add(spec, a, 1)
	note.Note = []byte("second")
	if _, err := s.Apply(t.Context(), []table.Op{note}); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	recs, err := tables.ReadStream(t.Context(), spec, 0, 0)
	if err != nil || len(recs) != 2 || value(recs[1].After) != 2 || string(recs[1].Note) != "second" || recs[0].Note != nil {
		t.Errorf("stream: %+v, %v", recs, err)
	}
}

// TestSessionsLoseNoUpdate lets sessions and plain writes count up one row: each either counts or says
// that it did not.
func TestSessionsLoseNoUpdate(t *testing.T) {
	t.Parallel()
	tables := open(t, memory.New(), nil)
	spec := create(t, tables, held())
	a := table.Key{str("a"), num(1)}
	var done atomic.Int64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for range 50 {
				if w%2 == 0 {
					if _, err := tables.Apply(t.Context(), add(spec, a, 1)); err == nil {
						done.Add(1)
					} else if !errors.Is(err, table.ErrHeld) {
						t.Error(err)
					}
					continue
				}
				s, err := tables.Begin(t.Context(), spec, str("a"), time.Minute)
				if errors.Is(err, table.ErrHeld) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := s.Apply(t.Context(), []table.Op{add(spec, a, 1), add(spec, a, 1)}); err != nil {
					t.Error(err)
				}
				if err := s.Commit(t.Context()); err != nil {
					t.Error(err)
				}
				done.Add(2)
			}
		})
	}
	wg.Wait()
	if got := value(get(t, tables, spec, a...)); got != done.Load() {
		t.Errorf("counted to %d, want %d", got, done.Load())
	}
}

// TestASessionReadsWhatATableWould holds a session against a table that gets the same writes at once.
func TestASessionReadsWhatATableWould(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		tables := open(t, memory.New(), func() time.Time { return time.UnixMilli(5_000_000) })
		spec := create(t, tables, held())
		plain := chat()
		plain.Name = "plain"
		twin := create(t, tables, plain)
		key := func(name string) table.Key {
			return table.Key{str("a"), num(rapid.Int64Range(0, 12).Draw(rt, name))}
		}
		write := func(i int) func(*table.Spec) table.Op {
			k := key(fmt.Sprint("key", i))
			if rapid.Bool().Draw(rt, fmt.Sprint("remove", i)) {
				return func(s *table.Spec) table.Op { return remove(s, k) }
			}
			return func(s *table.Spec) table.Op { return add(s, k, int64(i)) }
		}
		for i := range rapid.IntRange(0, 10).Draw(rt, "before") {
			op := write(i)
			apply(t, tables, op(spec))
			apply(t, tables, op(twin))
		}
		s := begin(t, tables, spec, str("a"))
		for i := range rapid.IntRange(0, 15).Draw(rt, "within") {
			op := write(100 + i)
			if done, err := s.Apply(t.Context(), []table.Op{op(spec)}); err != nil || done[0].Err != nil {
				t.Fatal(done, err)
			}
			apply(t, tables, op(twin))
		}
		rg := table.Range{From: key("from"), To: key("to"), MaxRows: rapid.IntRange(1, 6).Draw(rt, "rows")}
		if table.CompareKeys(rg.From, rg.To) > 0 {
			rg.Reverse = true
		}
		var got []table.Row
		want := rg
		want.Table, rg.Table = twin, spec
		for {
			page, err := s.Scan(t.Context(), rg)
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, page.Rows...); page.Next == nil {
				break
			}
			rg.From = page.Next
		}
		if diff := cmp.Diff(all(t, tables, want), got); diff != "" {
			t.Errorf("session walked (-table +session):\n%s", diff)
		}
		if err := s.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		whole := table.Range{Table: spec}
		other := table.Range{Table: twin}
		if diff := cmp.Diff(all(t, tables, other), all(t, tables, whole)); diff != "" {
			t.Errorf("committed (-table +session):\n%s", diff)
		}
	})
}
