package pebble_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/pebble"
)

func TestAnOldViewDoesNotSeeWhatIsRememberedOfALaterCommit(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	defer s.Close()
	key := []byte("k")
	put := func(val string) {
		t.Helper()
		if err := s.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error {
			if _, _, err := tx.Get(key); err != nil { // so that it is remembered
				return err
			}
			tx.Put(key, []byte(val))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	read := func(r kv.Reader, want string) {
		t.Helper()
		if val, _, err := r.Get(key); err != nil || string(val) != want {
			t.Errorf("%q (%v), want %q", val, err, want)
		}
	}
	view := func(fn func(r kv.Reader)) {
		t.Helper()
		if err := s.View(t.Context(), func(r kv.Reader) error { fn(r); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	put("one")
	put("two")
	view(func(old kv.Reader) {
		put("three")
		read(old, "two")
		view(func(r kv.Reader) { read(r, "three") })
		read(old, "two")
	})
	view(func(r kv.Reader) { read(r, "three") })
	if err := s.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error { tx.Delete(key); return nil }); err != nil {
		t.Fatal(err)
	}
	view(func(r kv.Reader) { read(r, "") })
}

// Four writers count in rows that do not all fit into memory; readers see each count only grow, and both
// rows of a pair equal.
func TestRememberedValuesAreThoseOfTheView(t *testing.T) {
	t.Parallel()
	s, err := pebble.Open(t.TempDir(), pebble.Options{Log: discard, Recent: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const pairs = 200
	row := func(n int, side string) []byte { return fmt.Appendf(nil, "row-%d-%s", n, side) }
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for i := range 500 {
				n := (i*7 + w*50) % pairs
				if err := s.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error {
					val, _, err := tx.Get(row(n, "a"))
					if err != nil {
						return err
					}
					val = append(val[:len(val):len(val)], '+')
					tx.Put(row(n, "a"), val)
					tx.Put(row(n, "b"), val)
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 4 {
		readers.Go(func() {
			var last [pairs]int
			for round := 0; ; round++ {
				select {
				case <-done:
					return
				default:
				}
				n := round % pairs
				if err := s.View(t.Context(), func(r kv.Reader) error {
					vals, err := r.GetMany([][]byte{row(n, "a"), row(n, "b")})
					if err == nil && (string(vals[0]) != string(vals[1]) || len(vals[0]) < last[n]) {
						t.Errorf("pair %d: %d and %d after %d", n, len(vals[0]), len(vals[1]), last[n])
					}
					last[n] = len(vals[0])
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	sum := 0
	if err := s.View(t.Context(), func(r kv.Reader) error {
		for n := range pairs {
			val, _, err := r.Get(row(n, "b"))
			if err != nil {
				return err
			}
			sum += len(val)
		}
		return nil
	}); err != nil || sum != 2000 {
		t.Errorf("%d of 2000 counts: %v", sum, err)
	}
}
