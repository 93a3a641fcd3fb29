package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sluicehq/sluice/kv"
)

// errUnbounded is the answer to a scan that says no size.
var errUnbounded = errors.New("kv: scan with neither Limit nor MaxBytes")

// reader reads one snapshot.
type reader struct {
	*snapshot
	recent *recent
	ctx    context.Context // this is one request
	end    time.Time       // zero: no end
	steps  int
	iters  []*iter // open ones
}

// pause fails when the reader has gone on for too long. It looks at the clock now and then only.
func (r *reader) pause() error {
	if r.steps++; r.steps%256 != 0 || r.end.IsZero() {
		return nil
	}
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if time.Now().After(r.end) {
		return kv.ErrTooLong
	}
	return nil
}

// close ends the iterators that fn has left open.
func (r *reader) close() {
	for len(r.iters) > 0 {
		r.iters[0].Close() // takes itself off the list
	}
}

func (r *reader) Get(key []byte) ([]byte, bool, error) {
	if err := r.pause(); err != nil {
		return nil, false, err
	}
	if len(key) == 0 || key[0] == 0 {
		return nil, false, nil
	}
	if val, ok := r.recent.get(key, r.commit); ok {
		return val, true, nil
	}
	val, closer, err := r.snap.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fault(err)
	}
	val = append(make([]byte, 0, len(val)), val...)
	r.recent.put(key, val, r.commit)
	return val, true, closer.Close()
}

func (r *reader) GetMany(keys [][]byte) ([][]byte, error) { return getMany(r, keys) }

func getMany(r kv.Reader, keys [][]byte) ([][]byte, error) {
	vals := make([][]byte, len(keys))
	for i, k := range keys {
		var err error
		if vals[i], _, err = r.Get(k); err != nil {
			return nil, err
		}
	}
	return vals, nil
}

func (r *reader) Scan(lo, hi []byte, o kv.ScanOpts) kv.Iter { return r.scan(lo, hi, o, nil) }

// fault names an engine's error as kv does.
func fault(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %v", kv.ErrCorrupt, err)
	}
	return fmt.Errorf("%w: %v", kv.ErrUnavailable, err)
}

// overlay collects the keys in [lo,hi) of two layers of writes, in the order of the scan.
func overlay(lo, hi []byte, reverse bool, upper, lower *writes) []written {
	var list []written
	within := func(k string) bool { return k >= string(lo) && (hi == nil || k < string(hi)) }
	for _, w := range upper.list {
		if within(w.key) {
			list = append(list, w)
		}
	}
	for _, w := range lower.list {
		if within(w.key) && upper.find([]byte(w.key)) < 0 {
			list = append(list, w)
		}
	}
	slices.SortFunc(list, func(a, b written) int {
		if reverse {
			a, b = b, a
		}
		return strings.Compare(a.key, b.key)
	})
	return list
}

// iter merges a snapshot's keys with an overlay, which wins.
type iter struct {
	r     *reader
	snap  *pebble.Iterator
	over  []written
	o     kv.ScanOpts
	moved bool // snap stands on a key (or at its end) that was not given yet
	begun bool
	key   []byte
	val   []byte
	n     int // keys given
	bytes int // bytes given
	err   error
}

func (r *reader) scan(lo, hi []byte, o kv.ScanOpts, over []written) kv.Iter {
	it := &iter{r: r, o: o, over: over}
	if o.Limit <= 0 && o.MaxBytes <= 0 {
		it.err = errUnbounded
		return it
	}
	if bytes.Compare(lo, firstKey) < 0 {
		lo = firstKey
	}
	if hi != nil && bytes.Compare(lo, hi) >= 0 {
		it.o.Limit = -1
		return it
	}
	snap, err := r.snap.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		it.err = fault(err)
		return it
	}
	it.snap = snap
	r.iters = append(r.iters, it)
	return it
}

// step moves the snapshot's side to its next key.
func (it *iter) step() bool {
	it.moved = true
	switch {
	case !it.begun && it.o.Reverse:
		it.begun = true
		return it.snap.Last()
	case !it.begun:
		it.begun = true
		return it.snap.First()
	case it.o.Reverse:
		return it.snap.Prev()
	}
	return it.snap.Next()
}

func (it *iter) Next() bool {
	full := it.o.Limit != 0 && it.n >= it.o.Limit || it.o.MaxBytes > 0 && it.bytes >= it.o.MaxBytes
	if it.err != nil || full || it.snap == nil {
		return false
	}
	for {
		if it.err = it.r.pause(); it.err != nil {
			return false
		}
		if !it.moved {
			it.step()
		}
		valid := it.snap.Valid()
		if !valid {
			if err := it.snap.Error(); err != nil {
				it.err = fault(err)
				return false
			}
		}
		if len(it.over) > 0 {
			c := -1 // where the overlay's key stands to the snapshot's, in the direction of the walk
			if valid {
				if c = strings.Compare(it.over[0].key, string(it.snap.Key())); it.o.Reverse {
					c = -c
				}
			}
			if c <= 0 {
				w := it.over[0]
				it.over = it.over[1:]
				if c == 0 {
					it.moved = false
				}
				if w.val == nil {
					continue
				}
				return it.give([]byte(w.key), w.val)
			}
		}
		if !valid {
			return false
		}
		it.moved = false
		if it.o.KeysOnly {
			return it.give(it.snap.Key(), nil)
		}
		val, err := it.snap.ValueAndErr()
		if err != nil {
			it.err = fault(err)
			return false
		}
		return it.give(it.snap.Key(), val)
	}
}

func (it *iter) give(key, val []byte) bool {
	if it.o.KeysOnly {
		val = nil
	}
	it.key, it.val = key, val
	it.n++
	it.bytes += len(key) + len(val)
	return true
}

func (it *iter) Key() []byte   { return it.key }
func (it *iter) Value() []byte { return it.val }
func (it *iter) Err() error    { return it.err }

// Close ends the iterator; it may be called more than once.
func (it *iter) Close() error {
	if it.snap == nil {
		return nil
	}
	err := it.snap.Close()
	it.snap = nil
	if i := slices.Index(it.r.iters, it); i >= 0 {
		it.r.iters = slices.Delete(it.r.iters, i, i+1)
	}
	return err
}
