package kvtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluicehq/sluice/kv"
)

// each runs fn in n goroutines and waits for them.
func each(n int, fn func(worker int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

var errRefused = errors.New("refused")

func testRandom(t *testing.T, s kv.Store) {
	rnd := rand.New(rand.NewPCG(1, 2))
	model := map[string]string{}
	key := func() string { return fmt.Sprintf("%c%c", 'a'+rnd.IntN(4), 'a'+rnd.IntN(6)) }
	sorted := func(m map[string]string, lo, hi string, o kv.ScanOpts) (out string) {
		keys := slices.Sorted(maps.Keys(m))
		if o.Reverse {
			slices.Reverse(keys)
		}
		n := 0
		for _, k := range keys {
			if k >= lo && (hi == "" || k < hi) && n < o.Limit {
				if n++; n > 1 {
					out += " "
				}
				out += k + "=" + m[k]
			}
		}
		return out
	}
	for step := range 300 {
		next := maps.Clone(model)
		lo, hi, o := key(), key(), kv.ScanOpts{Reverse: step%2 == 0, Limit: 1 + rnd.IntN(9)}
		if step%5 == 0 {
			hi = ""
		}
		err := s.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error {
			for range rnd.IntN(8) {
				k := key()
				if rnd.IntN(3) == 0 {
					tx.Delete([]byte(k))
					delete(next, k)
				} else {
					tx.Put([]byte(k), fmt.Append(nil, step))
					next[k] = fmt.Sprint(step)
				}
				expect(t, "within", dump(tx, lo, hi, o), sorted(next, lo, hi, o))
			}
			if step%4 == 0 {
				return errRefused
			}
			return nil
		})
		if err == nil {
			model = next
		} else if err != errRefused {
			t.Fatal(err)
		}
		expect(t, "after", scan(t, s, lo, hi, o), sorted(model, lo, hi, o))
	}
}

// testSeq lets many take numbers, some of whom fail: the numbers that stay are 1, 2, 3 …
func testSeq(t *testing.T, s kv.Store) {
	counter := []byte("counter")
	locks := kv.Locks{Keys: [][]byte{counter}}
	var stayed atomic.Int64
	each(16, func(w int) {
		for i := range 40 {
			err := s.Update(t.Context(), locks, func(tx kv.Txn) error {
				first, err := tx.Seq(counter, uint64(1+i%3))
				if err != nil {
					return err
				}
				for n := range uint64(1 + i%3) {
					tx.Put(binary.BigEndian.AppendUint64([]byte("n"), first+n), nil)
				}
				if (i+w)%4 == 0 {
					return errRefused
				}
				return nil
			})
			if err == nil {
				stayed.Add(int64(1 + i%3))
			} else if err != errRefused {
				t.Error(err)
			}
		}
	})
	err := s.View(t.Context(), func(r kv.Reader) error {
		it := r.Scan([]byte("n"), []byte("o"), kv.ScanOpts{Limit: 1_000_000})
		defer it.Close()
		want := uint64(1)
		for ; it.Next(); want++ {
			if n := binary.BigEndian.Uint64(it.Key()[1:]); n != want {
				t.Fatalf("found number %d, want %d", n, want)
			}
		}
		if int64(want-1) != stayed.Load() {
			t.Errorf("%d numbers are there, %d were given", want-1, stayed.Load())
		}
		return it.Err()
	})
	if err != nil {
		t.Error(err)
	}
}

func number(tx kv.Txn, key string) uint64 {
	val, ok, err := tx.Get([]byte(key))
	if err != nil || !ok {
		return 0
	}
	return binary.BigEndian.Uint64(val)
}

func testCounter(t *testing.T, s kv.Store) {
	const workers, times = 64, 20
	each(workers, func(int) {
		for range times {
			update(t, s, func(tx kv.Txn) error {
				tx.Put([]byte("n"), binary.BigEndian.AppendUint64(nil, number(tx, "n")+1))
				return nil
			})
		}
	})
	expect(t, "sum", fmt.Sprint(binary.BigEndian.Uint64([]byte(get(t, s, "n")))), fmt.Sprint(workers*times))
}

func testConditional(t *testing.T, s kv.Store) {
	for round := range 20 {
		key := fmt.Append(nil, "k", round)
		var winners atomic.Int64
		var winner atomic.Value
		each(32, func(w int) {
			err := s.Update(t.Context(), kv.Locks{Keys: [][]byte{key}}, func(tx kv.Txn) error {
				if _, taken, err := tx.Get(key); err != nil || taken {
					return errors.Join(errRefused, err)
				}
				tx.Put(key, fmt.Append(nil, w))
				return nil
			})
			if err == nil {
				winners.Add(1)
				winner.Store(fmt.Sprint(w))
			} else if !errors.Is(err, errRefused) {
				t.Error(err)
			}
		})
		if winners.Load() != 1 {
			t.Fatalf("%d of 32 won", winners.Load())
		}
		expect(t, "the winner's value", get(t, s, string(key)), winner.Load().(string))
	}
}

// testTransfers moves money between accounts while views add it all up.
func testTransfers(t *testing.T, s kv.Store) {
	const accounts, start = 10, 100
	name := func(i int) string { return fmt.Sprint("a", i) }
	update(t, s, func(tx kv.Txn) error {
		for i := range accounts {
			tx.Put([]byte(name(i)), binary.BigEndian.AppendUint64(nil, start))
		}
		return nil
	})
	each(16, func(w int) {
		rnd := rand.New(rand.NewPCG(uint64(w), 1))
		for range 40 {
			from, to := name(rnd.IntN(accounts)), name(rnd.IntN(accounts))
			amount := rnd.Uint64N(50)
			err := s.Update(t.Context(), kv.Locks{Keys: [][]byte{[]byte(from), []byte(to)}}, func(tx kv.Txn) error {
				have := number(tx, from)
				tx.Put([]byte(from), binary.BigEndian.AppendUint64(nil, have-amount))
				tx.Put([]byte(to), binary.BigEndian.AppendUint64(nil, number(tx, to)+amount))
				if have < amount {
					return errRefused
				}
				return nil
			})
			if err != nil && err != errRefused {
				t.Error(err)
			}
			err = s.View(t.Context(), func(r kv.Reader) error {
				sum := uint64(0)
				it := r.Scan([]byte("a"), []byte("b"), kv.ScanOpts{Limit: accounts})
				defer it.Close()
				for it.Next() {
					sum += binary.BigEndian.Uint64(it.Value())
				}
				if sum != accounts*start {
					t.Errorf("a view saw a sum of %d", sum)
				}
				return it.Err()
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}
