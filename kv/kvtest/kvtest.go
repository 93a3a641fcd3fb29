// Package kvtest is the contract of kv.Store as a test suite, which every engine passes.
package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/kv"
)

// Open makes an empty store. reopen closes it and opens it again with what it has kept; it is nil for
// a store that keeps nothing. The caller of Open closes the last store.
type Open func(t *testing.T) (store kv.Store, reopen func() kv.Store)

// Run checks the whole contract.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, kv.Store)
	}{
		{"values come back as they were put", testValues},
		{"scans walk in byte order within their bounds", testScan},
		{"a transaction reads and scans its own writes", testOwnWrites},
		{"random writes look like a sorted map", testRandom},
		{"a view does not move", testViewIsolation},
		{"an update that fails writes nothing", testErrorDrops},
		{"a panic costs only its own update", testPanic},
		{"sequences have no gaps", testSeq},
		{"concurrent increments are all counted", testCounter},
		{"one of many conditional puts wins", testConditional},
		{"transfers keep their sum", testTransfers},
		{"the clock never goes back", testNow},
		{"an ended context is respected", testContext},
		{"limits are enforced", testLimits},
		{"bad keys are refused", testKeys},
		{"unclosed iterators are no trouble", testForgottenIter},
		{"buffers may be used again after Put", testPutCopies},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store, _ := open(t)
			c.test(t, store)
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("a closed store refuses everything", func(t *testing.T) {
		t.Parallel()
		store, _ := open(t)
		testClosed(t, store)
	})
	t.Run("a reopened store has everything", func(t *testing.T) {
		t.Parallel()
		store, reopen := open(t)
		if reopen == nil {
			t.Skip("this store keeps nothing")
		}
		testReopen(t, store, reopen)
	})
}

func update(t *testing.T, s kv.Store, fn func(tx kv.Txn) error) {
	t.Helper()
	if err := s.Update(t.Context(), kv.Locks{}, fn); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, s kv.Store, pairs ...string) {
	t.Helper()
	update(t, s, func(tx kv.Txn) error {
		for i := 0; i < len(pairs); i += 2 {
			tx.Put([]byte(pairs[i]), []byte(pairs[i+1]))
		}
		return nil
	})
}

// read returns the value of key, or "-" when there is none.
func read(r kv.Reader, key string) string {
	val, ok, err := r.Get([]byte(key))
	switch {
	case err != nil:
		return err.Error()
	case !ok:
		return "-"
	}
	return string(val)
}

func get(t *testing.T, s kv.Store, key string) (val string) {
	t.Helper()
	err := s.View(t.Context(), func(r kv.Reader) error {
		val = read(r, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return val
}

// dump is a scan as "k=v k=v".
func dump(r kv.Reader, lo, hi string, o kv.ScanOpts) string {
	var end []byte
	if hi != "" {
		end = []byte(hi)
	}
	if o.Limit == 0 && o.MaxBytes == 0 {
		o.Limit = 1_000_000
	}
	it := r.Scan([]byte(lo), end, o)
	var list []string
	for it.Next() {
		list = append(list, string(it.Key())+"="+string(it.Value()))
	}
	if err := errors.Join(it.Err(), it.Close()); err != nil {
		return err.Error()
	}
	return strings.Join(list, " ")
}

func scan(t *testing.T, s kv.Store, lo, hi string, o kv.ScanOpts) (out string) {
	t.Helper()
	err := s.View(t.Context(), func(r kv.Reader) error {
		out = dump(r, lo, hi, o)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func testValues(t *testing.T, s kv.Store) {
	expect(t, "absent", get(t, s, "a"), "-")
	put(t, s, "a", "1", "b", "", "\xff\x00", "\x00")
	expect(t, "a", get(t, s, "a"), "1")
	expect(t, "empty value", get(t, s, "b"), "")
	expect(t, "odd bytes", get(t, s, "\xff\x00"), "\x00")
	put(t, s, "a", "2")
	expect(t, "overwritten", get(t, s, "a"), "2")
	err := s.View(t.Context(), func(r kv.Reader) error {
		vals, err := r.GetMany([][]byte{[]byte("b"), []byte("none"), []byte("a"), []byte("a")})
		if diff := cmp.Diff([][]byte{{}, nil, []byte("2"), []byte("2")}, vals); diff != "" {
			t.Error(diff)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	update(t, s, func(tx kv.Txn) error {
		tx.Delete([]byte("a"))
		tx.Delete([]byte("never there"))
		return nil
	})
	expect(t, "deleted", get(t, s, "a"), "-")
	expect(t, "what is left", scan(t, s, "", "", kv.ScanOpts{}), "b= \xff\x00=\x00")
}

func testScan(t *testing.T, s kv.Store) {
	put(t, s, "a", "1", "aa", "2", "b", "3", "b\x00", "4", "c", "5", "\xff", "6", "\xff\xff", "7")
	for _, c := range []struct {
		lo, hi string
		o      kv.ScanOpts
		want   string
	}{
		{"", "", kv.ScanOpts{}, "a=1 aa=2 b=3 b\x00=4 c=5 \xff=6 \xff\xff=7"},
		{"", "", kv.ScanOpts{Reverse: true}, "\xff\xff=7 \xff=6 c=5 b\x00=4 b=3 aa=2 a=1"},
		{"aa", "c", kv.ScanOpts{}, "aa=2 b=3 b\x00=4"},
		{"aa", "c", kv.ScanOpts{Reverse: true}, "b\x00=4 b=3 aa=2"},
		{"a\x00", "b", kv.ScanOpts{}, "aa=2"},
		{"c", "a", kv.ScanOpts{}, ""},
		{"b", "b", kv.ScanOpts{Reverse: true}, ""},
		{"d", "e", kv.ScanOpts{}, ""},
		{"", "", kv.ScanOpts{Limit: 2}, "a=1 aa=2"},
		{"", "", kv.ScanOpts{Limit: 2, Reverse: true}, "\xff\xff=7 \xff=6"},
		{"a", "", kv.ScanOpts{MaxBytes: 1}, "a=1"},
		{"a", "", kv.ScanOpts{MaxBytes: 2}, "a=1"},
		{"a", "", kv.ScanOpts{MaxBytes: 3}, "a=1 aa=2"},
		{"a", "", kv.ScanOpts{MaxBytes: 100, Limit: 1}, "a=1"},
		{"", "", kv.ScanOpts{KeysOnly: true, Limit: 3}, "a= aa= b="},
		{"", "", kv.ScanOpts{KeysOnly: true, MaxBytes: 3}, "a= aa="},
	} {
		name := fmt.Sprintf("[%q,%q) %+v", c.lo, c.hi, c.o)
		expect(t, name, scan(t, s, c.lo, c.hi, c.o), c.want)
		update(t, s, func(tx kv.Txn) error {
			expect(t, name+" in an update", dump(tx, c.lo, c.hi, c.o), c.want)
			return nil
		})
	}
	err := s.View(t.Context(), func(r kv.Reader) error {
		it := r.Scan(nil, nil, kv.ScanOpts{})
		defer it.Close()
		if it.Next() || it.Err() == nil {
			t.Error("a scan without Limit and MaxBytes was no error")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func testOwnWrites(t *testing.T, s kv.Store) {
	put(t, s, "b", "1", "d", "1", "f", "1")
	update(t, s, func(tx kv.Txn) error {
		tx.Put([]byte("a"), []byte("2"))
		tx.Put([]byte("d"), []byte("2"))
		tx.Put([]byte("e"), []byte("2"))
		tx.Put([]byte("g"), []byte("2"))
		tx.Delete([]byte("f"))
		tx.Delete([]byte("g"))
		expect(t, "forward", dump(tx, "", "", kv.ScanOpts{}), "a=2 b=1 d=2 e=2")
		expect(t, "back", dump(tx, "", "", kv.ScanOpts{Reverse: true}), "e=2 d=2 b=1 a=2")
		expect(t, "bounds", dump(tx, "b", "e", kv.ScanOpts{}), "b=1 d=2")
		expect(t, "limit", dump(tx, "b", "", kv.ScanOpts{Limit: 2}), "b=1 d=2")
		expect(t, "keys", dump(tx, "b", "", kv.ScanOpts{KeysOnly: true}), "b= d= e=")
		expect(t, "put", read(tx, "a"), "2")
		expect(t, "deleted", read(tx, "f"), "-")
		vals, err := tx.GetMany([][]byte{[]byte("d"), []byte("f"), []byte("b")})
		if diff := cmp.Diff([][]byte{[]byte("2"), nil, []byte("1")}, vals); diff != "" {
			t.Error(diff)
		}
		// A scan shows what was there when it began: deleting along the way is safe.
		it := tx.Scan(nil, nil, kv.ScanOpts{Limit: 100})
		for it.Next() {
			tx.Delete(it.Key())
			tx.Put(append([]byte("z"), it.Key()...), nil)
		}
		expect(t, "after deleting while scanning", dump(tx, "", "", kv.ScanOpts{}), "za= zb= zd= ze=")
		return errors.Join(err, it.Err(), it.Close())
	})
	expect(t, "committed", scan(t, s, "", "", kv.ScanOpts{}), "za= zb= zd= ze=")
}

func testViewIsolation(t *testing.T, s kv.Store) {
	put(t, s, "a", "1")
	err := s.View(t.Context(), func(r kv.Reader) error {
		put(t, s, "a", "2", "b", "2")
		expect(t, "before", read(r, "a"), "1")
		expect(t, "scan before", dump(r, "", "", kv.ScanOpts{}), "a=1")
		expect(t, "beside", get(t, s, "a"), "2")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	want := errors.New("mine")
	if err := s.View(t.Context(), func(kv.Reader) error { return want }); err != want {
		t.Errorf("a view's error came back as %v", err)
	}
}

func testErrorDrops(t *testing.T, s kv.Store) {
	put(t, s, "a", "1")
	want := errors.New("mine")
	err := s.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error {
		tx.Put([]byte("a"), []byte("2"))
		tx.Put([]byte("b"), []byte("2"))
		return want
	})
	if err != want {
		t.Errorf("the error came back as %v", err)
	}
	expect(t, "after", scan(t, s, "", "", kv.ScanOpts{}), "a=1")
}

func testPanic(t *testing.T, s kv.Store) {
	err := s.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error {
		tx.Put([]byte("a"), nil)
		panic("oops")
	})
	if err == nil || !strings.Contains(err.Error(), "oops") {
		t.Errorf("a panic came back as %v", err)
	}
	put(t, s, "b", "1")
	expect(t, "after", scan(t, s, "", "", kv.ScanOpts{}), "b=1")
}

func testNow(t *testing.T, s kv.Store) {
	before := time.Now().UnixMilli()
	var last atomic.Int64
	each(8, func(int) {
		for range 50 {
			update(t, s, func(tx kv.Txn) error {
				now := tx.Now()
				if prev := last.Swap(now); now < prev {
					t.Errorf("the clock went from %d to %d", prev, now)
				}
				tx.Put([]byte("a"), nil)
				if tx.Now() != now {
					t.Error("the clock moved within an update")
				}
				return nil
			})
		}
	})
	if now := last.Load(); now < before || now > time.Now().UnixMilli() {
		t.Errorf("the clock says %d, the system %d", now, before)
	}
}

func testContext(t *testing.T, s kv.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	err := s.Update(ctx, kv.Locks{}, func(tx kv.Txn) error { ran = true; return nil })
	if !errors.Is(err, context.Canceled) || ran {
		t.Errorf("update: %v, ran: %v", err, ran)
	}
	err = s.View(ctx, func(kv.Reader) error { ran = true; return nil })
	if !errors.Is(err, context.Canceled) || ran {
		t.Errorf("view: %v, ran: %v", err, ran)
	}
	// Whoever gives up while waiting gets his variables back: fn does not run behind his back.
	hold, held := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		update(t, s, func(kv.Txn) error {
			close(held)
			<-hold
			return nil
		})
	})
	<-held
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err = s.Update(ctx, kv.Locks{}, func(tx kv.Txn) error { ran = true; return nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("update that waits: %v", err)
	}
	close(hold)
	wg.Wait()
	put(t, s, "a", "1")
	if ran {
		t.Error("fn ran after Update had returned")
	}
}

func testLimits(t *testing.T, s kv.Store) {
	l := s.Limits()
	if l.MaxKey < 2650 || l.MaxValue < 4<<20 || l.MaxTxnBytes < l.MaxValue || l.MaxTxnKeys < 1000 || l.MaxView < time.Second {
		t.Errorf("limits are too small: %+v", l)
	}
	fails := func(what string, fn func(tx kv.Txn)) {
		t.Helper()
		err := s.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error { fn(tx); return nil })
		if !errors.Is(err, kv.ErrTooLarge) {
			t.Errorf("%s: %v", what, err)
		}
	}
	key := bytes.Repeat([]byte("k"), l.MaxKey)
	update(t, s, func(tx kv.Txn) error { tx.Put(key, make([]byte, l.MaxValue)); return nil })
	expect(t, "longest value", fmt.Sprint(len(get(t, s, string(key)))), fmt.Sprint(l.MaxValue))
	fails("long key", func(tx kv.Txn) { tx.Put(append(key, 'k'), nil) })
	fails("long value", func(tx kv.Txn) { tx.Put([]byte("a"), make([]byte, l.MaxValue+1)) })
	fails("many bytes", func(tx kv.Txn) {
		val := make([]byte, 1<<20)
		for i := range l.MaxTxnBytes>>20 + 1 {
			tx.Put(fmt.Append(nil, "a", i), val)
		}
	})
	fails("many keys", func(tx kv.Txn) {
		for i := range l.MaxTxnKeys + 1 {
			tx.Put(fmt.Append(nil, "a", i), nil)
		}
	})
	expect(t, "what the refused left", scan(t, s, "a", "b", kv.ScanOpts{}), "")
}

func testKeys(t *testing.T, s kv.Store) {
	for _, key := range []string{"", "\x00", "\x00a"} {
		err := s.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error { tx.Put([]byte(key), nil); return nil })
		if !errors.Is(err, kv.ErrKey) {
			t.Errorf("put %q: %v", key, err)
		}
		err = s.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error { tx.Delete([]byte(key)); return nil })
		if !errors.Is(err, kv.ErrKey) {
			t.Errorf("delete %q: %v", key, err)
		}
		expect(t, "get", get(t, s, key), "-")
	}
}

func testForgottenIter(t *testing.T, s kv.Store) {
	put(t, s, "a", "1", "b", "2")
	err := s.View(t.Context(), func(r kv.Reader) error {
		for range 3 {
			r.Scan(nil, nil, kv.ScanOpts{Limit: 1}).Next()
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	update(t, s, func(tx kv.Txn) error {
		tx.Scan(nil, nil, kv.ScanOpts{Limit: 1}).Next()
		it := tx.Scan(nil, nil, kv.ScanOpts{Limit: 1})
		return errors.Join(it.Close(), it.Close())
	})
}

func testPutCopies(t *testing.T, s kv.Store) {
	update(t, s, func(tx kv.Txn) error {
		key, val := []byte("a"), []byte("1")
		tx.Put(key, val)
		key[0], val[0] = 'b', '2'
		tx.Put(key, val)
		key[0], val[0] = 'x', 'x'
		return nil
	})
	expect(t, "both", scan(t, s, "", "", kv.ScanOpts{}), "a=1 b=2")
}

func testClosed(t *testing.T, s kv.Store) {
	var acked, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := 0; ; n++ {
				err := s.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error {
					tx.Put(fmt.Append(nil, "k", i, "-", n), nil)
					return nil
				})
				if err != nil {
					if !errors.Is(err, kv.ErrClosed) {
						t.Errorf("update while closing: %v", err)
					}
					refused.Add(1)
					return
				}
				acked.Add(1)
			}
		})
	}
	for acked.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if refused.Load() != 16 {
		t.Errorf("%d of 16 writers were refused", refused.Load())
	}
	if err := s.View(t.Context(), func(kv.Reader) error { return nil }); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("view: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func testReopen(t *testing.T, s kv.Store, reopen func() kv.Store) {
	var now int64
	seq := []byte("seq")
	for round := range 3 {
		each(8, func(w int) {
			for i := range 20 {
				update(t, s, func(tx kv.Txn) error {
					tx.Put(fmt.Append(nil, "row", round, w, i), []byte("v"))
					tx.Delete(fmt.Append(nil, "row", round-1, w, i))
					_, err := tx.Seq(seq, 1)
					return err
				})
			}
		})
		update(t, s, func(tx kv.Txn) error { now = tx.Now(); tx.Put([]byte("now"), nil); return nil })
		want := scan(t, s, "", "", kv.ScanOpts{})
		s = reopen()
		if diff := cmp.Diff(want, scan(t, s, "", "", kv.ScanOpts{})); diff != "" {
			t.Error(diff)
		}
		update(t, s, func(tx kv.Txn) error {
			n, err := tx.Seq(seq, 1)
			if n != uint64(161*(round+1)) {
				t.Errorf("round %d: the sequence went on with %d", round, n)
			}
			if tx.Now() < now {
				t.Errorf("the clock went back over a restart")
			}
			return err
		})
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
