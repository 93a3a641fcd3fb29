// Package memory is a kv.Store that forgets: for tests, and for servers run with nothing to keep.
//
// The state is one copy-on-write B-tree. A writer holds the turn, changes a clone and publishes it;
// readers take the published tree and never wait. Nothing runs in the background.
package memory

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/google/btree"

	"github.com/sluicehq/sluice/kv"
)

// limits are generous ones that the embedded engine shares, so that tests meet the same walls.
var limits = kv.Limits{MaxKey: 32 << 10, MaxValue: 16 << 20, MaxTxnBytes: 64 << 20, MaxTxnKeys: 100_000, MaxView: 5 * time.Second}

// errUnbounded is the answer to a scan that says no size.
var errUnbounded = errors.New("kv: scan with neither Limit nor MaxBytes")

type item struct{ key, val []byte }

func less(a, b item) bool { return bytes.Compare(a.key, b.key) < 0 }

type tree = btree.BTreeG[item]

// Store is the store; make it with New.
type Store struct {
	turn   chan struct{} // held by the one writer; guards now
	now    int64
	state  atomic.Pointer[tree] // published: read by all, changed by none
	closed atomic.Bool
}

// New makes an empty store.
func New() *Store {
	s := &Store{turn: make(chan struct{}, 1)}
	s.state.Store(btree.NewG(32, less))
	return s
}

// Limits says what the store takes.
func (s *Store) Limits() kv.Limits { return limits }

// Close waits for the running Update and refuses everything after it.
func (s *Store) Close() error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.closed.Store(true)
	return nil
}

// View runs fn on the last committed state.
func (s *Store) View(ctx context.Context, fn func(r kv.Reader) error) error {
	if s.closed.Load() {
		return kv.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return fn(reader{s.state.Load()})
}

// Update runs fn alone and publishes what it wrote.
func (s *Store) Update(ctx context.Context, locks kv.Locks, fn func(tx kv.Txn) error) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.closed.Load() {
		return kv.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.now = max(s.now, time.Now().UnixMilli())
	// Clone changes the receiver's ownership mark only, which no reader looks at.
	tx := &txn{reader: reader{s.state.Load().Clone()}, now: s.now}
	err := call(fn, tx)
	if err == nil {
		err = tx.err
	}
	if err != nil {
		return err
	}
	s.state.Store(tx.tree)
	return nil
}

// call turns a panic in fn into an error, so that it costs only its own Update.
func call(fn func(kv.Txn) error, tx kv.Txn) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("kv: panic in update: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(tx)
}

type reader struct{ tree *tree }

func (r reader) Get(key []byte) ([]byte, bool, error) {
	it, ok := r.tree.Get(item{key: key})
	return it.val, ok, nil
}

func (r reader) GetMany(keys [][]byte) ([][]byte, error) {
	vals := make([][]byte, len(keys))
	for i, k := range keys {
		if it, ok := r.tree.Get(item{key: k}); ok {
			vals[i] = it.val
		}
	}
	return vals, nil
}

func (r reader) Scan(lo, hi []byte, o kv.ScanOpts) kv.Iter {
	it := &iter{tree: r.tree, lo: lo, hi: hi, o: o}
	if o.Limit <= 0 && o.MaxBytes <= 0 {
		it.err = errUnbounded
	}
	return it
}

// txn writes into its own clone. The first thing it may not do is kept in err and fails the Update.
type txn struct {
	reader
	now   int64
	bytes int
	keys  int
	err   error
}

// Scan walks the state as it is now: later writes of the same Update do not show up.
func (t *txn) Scan(lo, hi []byte, o kv.ScanOpts) kv.Iter {
	return reader{t.tree.Clone()}.Scan(lo, hi, o)
}

func (t *txn) allow(key, val []byte) bool {
	t.keys++
	t.bytes += len(key) + len(val)
	switch {
	case t.err != nil:
	case len(key) == 0 || key[0] == 0:
		t.err = kv.ErrKey
	case len(key) > limits.MaxKey || len(val) > limits.MaxValue || t.bytes > limits.MaxTxnBytes || t.keys > limits.MaxTxnKeys:
		t.err = kv.ErrTooLarge
	}
	return t.err == nil
}

func (t *txn) Put(key, val []byte) {
	if t.allow(key, val) {
		t.tree.ReplaceOrInsert(item{bytes.Clone(key), append([]byte{}, val...)})
	}
}

func (t *txn) Delete(key []byte) {
	if t.allow(key, nil) {
		t.tree.Delete(item{key: key})
	}
}

func (t *txn) Seq(counter []byte, n uint64) (uint64, error) {
	val, ok, err := t.Get(counter)
	if err != nil {
		return 0, err
	}
	var last uint64
	if ok {
		if len(val) != 8 {
			return 0, kv.ErrCorrupt
		}
		last = binary.BigEndian.Uint64(val)
	}
	t.Put(counter, binary.BigEndian.AppendUint64(nil, last+n))
	return last + 1, nil
}

func (t *txn) Now() int64 { return t.now }

// iter walks a tree that nobody changes, a chunk at a time.
type iter struct {
	tree   *tree
	lo, hi []byte
	o      kv.ScanOpts
	chunk  []item
	cur    item
	n      int // keys given
	bytes  int // bytes given
	end    bool
	err    error
}

const chunkSize = 64

func (it *iter) Next() bool {
	full := it.o.Limit > 0 && it.n >= it.o.Limit || it.o.MaxBytes > 0 && it.bytes >= it.o.MaxBytes
	if it.err != nil || full {
		return false
	}
	if len(it.chunk) == 0 {
		it.fill()
	}
	if len(it.chunk) == 0 {
		return false
	}
	it.cur, it.chunk = it.chunk[0], it.chunk[1:]
	if it.o.KeysOnly {
		it.cur.val = nil
	}
	it.n++
	it.bytes += len(it.cur.key) + len(it.cur.val)
	return true
}

func (it *iter) fill() {
	if it.end || it.hi != nil && bytes.Compare(it.lo, it.hi) >= 0 {
		return
	}
	it.chunk = make([]item, 0, chunkSize)
	if !it.o.Reverse {
		it.tree.AscendGreaterOrEqual(item{key: it.lo}, func(i item) bool {
			if it.hi != nil && bytes.Compare(i.key, it.hi) >= 0 {
				return false
			}
			it.chunk = append(it.chunk, i)
			return len(it.chunk) < chunkSize
		})
		if len(it.chunk) > 0 {
			it.lo = append(bytes.Clone(it.chunk[len(it.chunk)-1].key), 0)
		}
	} else {
		take := func(i item) bool {
			if bytes.Compare(i.key, it.lo) < 0 {
				return false
			}
			if it.hi == nil || bytes.Compare(i.key, it.hi) < 0 {
				it.chunk = append(it.chunk, i)
			}
			return len(it.chunk) < chunkSize
		}
		if it.hi == nil {
			it.tree.Descend(take)
		} else {
			it.tree.DescendLessOrEqual(item{key: it.hi}, take)
		}
		if len(it.chunk) > 0 {
			it.hi = it.chunk[len(it.chunk)-1].key
		}
	}
	it.end = len(it.chunk) < chunkSize
}

func (it *iter) Key() []byte   { return it.cur.key }
func (it *iter) Value() []byte { return it.cur.val }
func (it *iter) Err() error    { return it.err }
func (it *iter) Close() error  { return nil }
