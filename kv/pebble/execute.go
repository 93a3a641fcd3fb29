package pebble

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sluicehq/sluice/kv"
)

const (
	maxOps   = 128     // operations in one batch
	maxBytes = 1 << 20 // written by one batch before it is closed
	slowOp   = 2 * time.Millisecond
	bigOp    = 4 << 20 // bytes written by one operation that are worth a line in the log
)

// op is an Update on its way.
type op struct {
	ctx   context.Context
	fn    func(kv.Txn) error
	taken atomic.Bool // by the executor, which will run it, or by its caller, who gave up
	err   error       // set before done gets its value
	done  chan struct{}
}

// Update runs fn in the executor. An operation whose ctx ends before its turn is not run; one that is
// running is waited for.
func (s *Store) Update(ctx context.Context, _ kv.Locks, fn func(tx kv.Txn) error) error {
	o, _ := s.idle.Get().(*op)
	if o == nil {
		o = &op{done: make(chan struct{}, 1)}
	}
	o.ctx, o.fn, o.err = ctx, fn, nil
	o.taken.Store(false)
	if err := s.hand(o); err != nil {
		return err
	}
	select {
	case <-o.done:
	case <-ctx.Done():
		if o.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		<-o.done // fn may be writing its caller's variables; and the outcome is near
	}
	err := o.err
	o.ctx, o.fn = nil, nil
	s.idle.Put(o)
	return err
}

func (s *Store) hand(o *op) error {
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.closed {
		return kv.ErrClosed
	}
	if err := o.ctx.Err(); err != nil {
		return err
	}
	select {
	case s.ops <- o:
		return nil
	case <-o.ctx.Done():
		return o.ctx.Err()
	}
}

// commit is a batch on its way to the disk.
type commit struct {
	ops   []*op         // who waits for it
	batch *pebble.Batch // nil when there is nothing to write
	snap  *snapshot     // the state with it; nil when it is not in there
	err   error         // why it is not
}

// execute is the executor: it ends when ops is closed and empty. While one commit is on its way to the
// disk it runs the operations of the next one, which begins when that is there: commits that overlap would be
// smaller, and each costs a sync.
func (s *Store) execute() {
	defer close(s.commits)
	var two [2]commit // the one in hand, and the one that settle has
	b := &writes{}
	busy := false // a commit is on its way
	n := 0
	for first := range s.ops {
		c := &two[n%2]
		n++
		b.reset()
		*c = commit{ops: c.ops[:0]}
		for o := first; o != nil; o = s.more(&busy) {
			c.ops = append(c.ops, o)
			s.run(o, b)
			if len(c.ops) == maxOps || b.bytes >= maxBytes {
				break
			}
		}
		if busy {
			<-s.settled
		}
		if len(b.list) > 0 {
			c.batch, c.err = s.apply(b)
		}
		if c.batch != nil {
			s.newest = s.follow(b)
			c.snap = s.newest
		}
		s.commits <- c
		busy = true
	}
}

// more is one more operation for a commit: one that waits, or that comes while there is another commit on its
// way. It is nil when there is none.
func (s *Store) more(busy *bool) *op {
	for {
		select {
		case o := <-s.ops:
			return o
		default:
		}
		if !*busy {
			return nil
		}
		select {
		case o := <-s.ops:
			return o
		case <-s.settled:
			*busy = false
		}
	}
}

// settle waits for commits to be durable, shows them to readers and answers. What has written nothing waits
// as well: it may have read what is not on the disk yet.
func (s *Store) settle() {
	defer close(s.stopped)
	for c := range s.commits {
		if c.batch != nil {
			if err := c.batch.SyncWait(); err != nil {
				s.lost = fmt.Errorf("%w: %v", kv.ErrUnavailable, err)
				s.log.Error("store: the disk does not take writes, they fail until the store is opened anew", "folder", s.dir, "err", err)
				c.snap.release(s)
			} else {
				s.publish(c.snap)
			}
			c.batch.Close()
		}
		s.settled <- struct{}{}
		err := cmp.Or(c.err, s.lost)
		for i, o := range c.ops {
			if err != nil {
				o.err = err // of a refusal, too: it may be because of a write that is lost
			}
			o.done <- struct{}{}
			c.ops[i] = nil
		}
	}
}

// run runs one operation above what the batch has so far, and adds its writes to the batch.
func (s *Store) run(o *op, b *writes) {
	if !o.taken.CompareAndSwap(false, true) {
		return // nobody waits for it any more
	}
	start := time.Now()
	s.now = max(s.now, start.UnixMilli())
	tx := &txn{
		reader: reader{snapshot: s.newest, recent: s.recent, ctx: context.Background()},
		batch:  b,
		own:    &s.own,
		now:    s.now,
	}
	s.own.reset()
	o.err = call(o.fn, tx)
	tx.close()
	if o.err == nil {
		o.err = tx.err
	}
	if took := time.Since(start); took > slowOp || tx.own.bytes > bigOp {
		s.log.Debug("store: a heavy operation", "took", took, "bytes", tx.own.bytes, "keys", len(tx.own.list))
	}
	if o.err == nil {
		b.add(tx.own)
	}
}

// call turns a panic in fn into an error, so that it costs only its own operation.
func call(fn func(kv.Txn) error, tx kv.Txn) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("kv: panic in update: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(tx)
}

// apply begins to write the batch.
func (s *Store) apply(b *writes) (*pebble.Batch, error) {
	if s.lost != nil {
		return nil, s.lost // what it was made upon is not there
	}
	if err := s.room(b.bytes); err != nil {
		return nil, err
	}
	batch := s.db.NewBatchWithSize(b.bytes + 16*len(b.list) + 64)
	err := batch.Set(clockKey, binary.BigEndian.AppendUint64(nil, uint64(s.now)), nil)
	for _, w := range b.list {
		if err != nil {
			break
		}
		if w.val == nil {
			err = batch.Delete([]byte(w.key), nil)
		} else {
			err = batch.Set([]byte(w.key), w.val, nil)
		}
	}
	if err == nil {
		err = s.db.ApplyNoSyncWait(batch, pebble.Sync)
	}
	if err != nil {
		batch.Close()
		return nil, fmt.Errorf("%w: %v", kv.ErrUnavailable, err)
	}
	return batch, nil
}

// room refuses a batch that the disk may not have room for: it is written to the log and, later, to a table.
func (s *Store) room(n int) error {
	disk, err := vfs.Default.GetDiskUsage(s.dir)
	if err != nil {
		return nil // what cannot be known is left to the write itself
	}
	full := disk.AvailBytes < s.reserve+2*uint64(n)
	if full != s.full {
		if s.full = full; full {
			s.log.Error("store: the disk is full, writes fail until it is not", "folder", s.dir, "free", disk.AvailBytes)
		} else {
			s.log.Info("store: the disk has room again", "folder", s.dir)
		}
	}
	if full {
		return fmt.Errorf("%w: the disk is full", kv.ErrUnavailable)
	}
	return nil
}

// written is what became of a key: its value, or nil when it was deleted (an empty value is not nil).
type written struct {
	key string
	val []byte
}

// fewWrites are found without an index.
const fewWrites = 8

// writes lie over a snapshot. Each key is in the list once.
type writes struct {
	list  []written
	index map[string]int // where in list; used when it is longer than fewWrites
	bytes int
}

// reset forgets all, and keeps the memory unless it is large.
func (w *writes) reset() {
	if cap(w.list) > 16*maxOps {
		*w = writes{}
		return
	}
	clear(w.list)
	clear(w.index)
	w.list, w.bytes = w.list[:0], 0
}

// find is where a key is in the list; -1 when it is not.
func (w *writes) find(key []byte) int {
	if len(w.list) > fewWrites {
		if i, ok := w.index[string(key)]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(w.list, func(e written) bool { return e.key == string(key) })
}

// append adds a key that is not there.
func (w *writes) append(e written) {
	w.list = append(w.list, e)
	switch n := len(w.list); {
	case n == fewWrites+1:
		if w.index == nil {
			w.index = make(map[string]int, 4*fewWrites)
		}
		for i, e := range w.list {
			w.index[e.key] = i
		}
	case n > fewWrites:
		w.index[e.key] = n - 1
	}
}

func (w *writes) add(o *writes) {
	for _, e := range o.list {
		if i := w.find([]byte(e.key)); i >= 0 {
			w.list[i].val = e.val
		} else {
			w.append(e)
		}
	}
	w.bytes += o.bytes
}

// txn reads its own writes, then those of the batch before it, then the snapshot. The first thing it
// may not do is kept in err and fails the Update.
type txn struct {
	reader
	batch *writes // of operations before this one
	own   *writes
	now   int64
	err   error
}

func (t *txn) Get(key []byte) ([]byte, bool, error) {
	for _, w := range []*writes{t.own, t.batch} {
		if i := w.find(key); i >= 0 {
			val := w.list[i].val
			return val, val != nil, nil
		}
	}
	return t.reader.Get(key)
}

func (t *txn) GetMany(keys [][]byte) ([][]byte, error) { return getMany(t, keys) }

func (t *txn) Scan(lo, hi []byte, o kv.ScanOpts) kv.Iter {
	return t.scan(lo, hi, o, overlay(lo, hi, o.Reverse, t.own, t.batch))
}

func (t *txn) write(key, val []byte) {
	switch {
	case t.err != nil:
		return
	case len(key) == 0 || key[0] == 0:
		t.err = kv.ErrKey
		return
	}
	t.own.bytes += len(key) + len(val)
	if len(key) > limits.MaxKey || len(val) > limits.MaxValue || t.own.bytes > limits.MaxTxnBytes || len(t.own.list) >= limits.MaxTxnKeys {
		t.err = kv.ErrTooLarge
		return
	}
	if i := t.own.find(key); i >= 0 {
		t.own.list[i].val = val
		return
	}
	t.own.append(written{string(key), val})
}

func (t *txn) Put(key, val []byte) { t.write(key, append(make([]byte, 0, len(val)), val...)) }

func (t *txn) Delete(key []byte) { t.write(key, nil) }

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
