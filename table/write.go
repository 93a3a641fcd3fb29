package table

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

// maxAuto is the last auto-increment value: larger ones would not survive JavaScript's doubles.
const maxAuto = 1<<53 - 1

// errStale says that a Spec is older than the table.
var errStale = errors.New("table: description is out of date")

// Apply does one write. What went wrong is the error; Change.Err is not used.
func (t *Tables) Apply(ctx context.Context, op Op) (Change, error) {
	ch := t.ApplyMany(ctx, []Op{op})[0]
	err := ch.Err
	ch.Err = nil
	return ch, err
}

// ApplyMany does each write for itself: one that fails says so in its Change and stops no other. They
// are done in order, so that a later one sees what an earlier one did to the same row, and become
// durable together, at the cost of one commit (of a few when they are very large).
func (t *Tables) ApplyMany(ctx context.Context, ops []Op) []Change {
	var out []Change
	err := t.update(ctx, ops, func(tx kv.Txn, ops []Op) error {
		out = make([]Change, len(ops))
		for i, op := range ops {
			var err error
			if out[i], err = t.apply(tx, op); err != nil {
				if isStoreError(err) {
					return err
				}
				out[i] = Change{Key: op.Key, Err: err}
			}
		}
		return nil
	})
	switch {
	case err == nil:
		return out
	case len(ops) > 1 && (errors.Is(err, kv.ErrTooLarge) || sluice.KindOf(err) == sluice.Missing):
		// Too much for one transaction, or one of several tables is gone: find out which part it is.
		half := len(ops) / 2
		return append(t.ApplyMany(ctx, ops[:half]), t.ApplyMany(ctx, ops[half:])...)
	case errors.Is(err, kv.ErrTooLarge):
		err = &sluice.Error{Code: sluice.TooMuch, Msg: "the row is too large", Err: err}
	}
	out = make([]Change, len(ops))
	for i, op := range ops {
		out[i] = Change{Key: op.Key, Err: err}
	}
	return out
}

// Transact does all writes or none; in the latter case because of refusals the error is a
// TransactError. They are done in order and see each other's results.
func (t *Tables) Transact(ctx context.Context, ops []Op) ([]Change, error) {
	var out []Change
	err := t.update(ctx, ops, func(tx kv.Txn, ops []Op) error {
		out = make([]Change, len(ops))
		errs, refused := make([]error, len(ops)), false
		for i, op := range ops {
			if out[i], errs[i] = t.apply(tx, op); errs[i] != nil {
				if isStoreError(errs[i]) {
					return errs[i]
				}
				refused = true
			}
		}
		if refused {
			return &TransactError{errs}
		}
		return nil
	})
	if errors.Is(err, kv.ErrTooLarge) {
		err = &sluice.Error{Code: sluice.TooMuch, Msg: "the transaction is too large", Err: err}
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// storeError is trouble of the store, in contrast to a refusal by a table or a Mutate.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

func isStoreError(err error) bool {
	return errors.As(err, new(storeError))
}

// update runs fn in one Update with ops that carry the current descriptions of their tables.
func (t *Tables) update(ctx context.Context, ops []Op, fn func(kv.Txn, []Op) error) error {
	ops = slices.Clone(ops)
	for range 10 {
		err := t.store.Update(ctx, prepare(ops), func(tx kv.Txn) error {
			var seen *Spec // most often all ops are on one table
			for _, op := range ops {
				if op.Table == seen {
					continue
				}
				if err := current(tx, op.Table); err != nil {
					return err
				}
				seen = op.Table
			}
			return fn(tx, ops)
		})
		if !errors.Is(err, errStale) {
			return t.settle(err)
		}
		for i := range ops {
			if ops[i].Table, err = t.renew(ctx, ops[i].Table); err != nil {
				return err
			}
		}
	}
	return sluice.Errorf(sluice.Unavailable, "the table is being altered all the time")
}

// settle makes the error of update and view what callers shall see. A table that turns out to be
// missing may be in the cache: another process can have dropped it.
func (t *Tables) settle(err error) error {
	if err == nil {
		return nil
	}
	var missing *MissingError
	if errors.As(err, &missing) {
		t.forget(metaKey(missing.Scope, missing.Name))
	}
	var se storeError
	if errors.As(err, &se) {
		return se.error
	}
	return err
}

// current fails with a MissingError when the table is gone, with errStale when it has been altered
// since spec was read.
func current(r kv.Reader, spec *Spec) error {
	v, ok, err := r.Get(versionKey(spec.ID))
	switch {
	case err != nil:
		return storeError{err}
	case !ok:
		return spec.missing()
	case len(v) != 8 || binary.BigEndian.Uint64(v) != spec.Version:
		return errStale
	}
	return nil
}

// renew reads the present description of the table that spec describes.
func (t *Tables) renew(ctx context.Context, spec *Spec) (now *Spec, err error) {
	err = t.store.View(ctx, func(r kv.Reader) (err error) {
		now, err = load(r, spec.Scope, spec.Name)
		return err
	})
	t.forget(metaKey(spec.Scope, spec.Name)) // if the cache has it, it has the old one
	if err == nil && now.ID != spec.ID {
		err = spec.missing()
	}
	return now, err
}

// prepare does of ops what can be done before their turn comes, since they take turns with all other writes.
// It returns the keys that they decide on.
func prepare(ops []Op) kv.Locks {
	var l kv.Locks
	for i := range ops {
		op := &ops[i]
		op.rowKey, op.after, op.val = nil, nil, nil
		if auto := op.auto(); auto >= 0 {
			if k, err := op.autoCounter(); err == nil {
				l.Keys = append(l.Keys, k)
			}
		} else if k, err := op.Table.rows().key(op.Key); err == nil {
			op.rowKey, l.Keys = k, append(l.Keys, k)
			op.encode()
		}
		if op.Table.Sessions && len(op.Key) > 0 {
			if k, err := holdKey(op.Table.ID, op.Key[0]); err == nil {
				l.Keys = append(l.Keys, k)
			}
		}
		if op.Table.records() {
			l.Keys = append(l.Keys, counterKey(op.Table.ID, 's'))
		}
	}
	return l
}

// encode prepares a put that reads nothing. What is wrong with it comes to light at its turn.
func (op *Op) encode() {
	t := op.Table
	if op.Put == nil || len(t.Indexes) > 0 || t.records() || t.TTL > 0 || t.Ends != "" || op.Put.Expires != 0 {
		return
	}
	row, err := t.tidy(op.Key, op.Put)
	if err != nil {
		return
	}
	val, err := appendRow(make([]byte, 0, fewBytes), &stored{Row: *row})
	if err == nil && len(val) <= MaxRow {
		op.after, op.val = row, val
	}
}

// auto is the column that Op asks to be counted up; -1 when there is none.
func (op *Op) auto() int {
	for i, c := range op.Table.Key {
		if c.AutoIncrement && i < len(op.Key) && op.Key[i].Type == Min {
			return i
		}
	}
	return -1
}

// autoCounter is the counter of the op's partition value. It outlives the rows, so that no value ever
// comes twice.
func (op *Op) autoCounter() ([]byte, error) {
	return appendKeyValue(counterKey(op.Table.ID, 'a'), op.Key[0])
}

// apply does one op. When it refuses, it has written nothing.
func (t *Tables) apply(tx kv.Txn, op Op) (Change, error) {
	spec, now := op.Table, t.clock(tx)
	var counter []byte
	var count int64
	if i := op.auto(); i >= 0 {
		var err error
		if counter, count, err = t.next(tx, &op, i, now); err != nil {
			return Change{}, err
		}
	}
	key := op.rowKey
	if key == nil {
		var err error
		if key, err = spec.rows().key(op.Key); err != nil {
			return Change{}, err
		}
	}
	if len(key) > t.store.Limits().MaxKey {
		return Change{}, sluice.Errorf(sluice.TooMuch, "a key of table %s is too long", spec.Name)
	}
	if spec.Sessions {
		if err := checkHold(tx, spec.ID, op.Key[0], op.session, now); err != nil {
			return Change{}, err
		}
	}
	if op.after != nil {
		tx.Put(key, op.val)
		return Change{Key: op.Key, After: op.after}, nil
	}
	old, val, err := spec.read(tx, key, op.Key)
	if err != nil {
		return Change{}, err
	}
	ch := Change{Key: op.Key, Before: spec.live(old, now)}
	after, err := op.decide(ch.Before, now)
	if err != nil {
		return Change{}, err
	}
	if after == ch.Before {
		ch.After = after
		return ch, nil
	}
	if after != nil {
		if ch.After, err = spec.tidy(op.Key, after); err != nil {
			return Change{}, err
		}
	}
	w, err := t.plan(spec, key, old, ch.After, now, func(e entry, same bool) (bool, error) { return e.late || !same, nil })
	if err != nil {
		return Change{}, err
	}
	if op.Put != nil && bytes.Equal(w.row, val) {
		return ch, nil
	}
	var rec []byte
	if spec.records() {
		if rec, err = encodeRecord(key, &Record{Time: now, Before: ch.Before, After: ch.After, Note: op.Note}); err != nil {
			return Change{}, err
		}
	}
	// Nothing is refused from here on.
	if counter != nil {
		tx.Put(counter, binary.BigEndian.AppendUint64(nil, uint64(count)))
	}
	w.write(tx)
	if rec != nil {
		return ch, spec.record(tx, rec)
	}
	return ch, nil
}

// next fills in the auto-increment column: one more than the last of its partition value, or the time
// in microseconds when that is more, past keys that clients have chosen themselves.
func (t *Tables) next(tx kv.Txn, op *Op, col int, now int64) (counter []byte, count int64, err error) {
	if len(op.Key) != len(op.Table.Key) {
		_, err := op.Table.rows().key(op.Key)
		return nil, 0, err
	}
	if counter, err = op.autoCounter(); err != nil {
		return nil, 0, err
	}
	val, ok, err := tx.Get(counter)
	if err != nil {
		return nil, 0, storeError{err}
	}
	if ok {
		if len(val) != 8 {
			return nil, 0, errCorrupt
		}
		count = int64(binary.BigEndian.Uint64(val))
	}
	op.Key = slices.Clone(op.Key)
	for count = max(count+1, now*1000); count <= maxAuto; count++ {
		op.Key[col] = Value{Type: Int, Int: count}
		key, err := op.Table.rows().key(op.Key)
		if err != nil {
			return nil, 0, err
		}
		if _, taken, err := tx.Get(key); err != nil {
			return nil, 0, storeError{err}
		} else if !taken {
			return counter, count, nil
		}
	}
	return nil, 0, sluice.Errorf(sluice.TooMuch, "table %s has used up its numbers", op.Table.Name)
}

// read gets a row as it is stored, and what is stored; nil when there is none.
func (t *Spec) read(r kv.Reader, rowKey []byte, key Key) (row *stored, val []byte, err error) {
	val, ok, err := r.Get(rowKey)
	if err != nil {
		return nil, nil, storeError{err}
	}
	if !ok {
		return nil, nil, nil
	}
	if row, err = decodeRow(val); err != nil {
		return nil, nil, err
	}
	row.Key = key
	return row, val, nil
}

// decide is Put, or what Do says; its panic is an error of this op alone.
func (op *Op) decide(cur *Row, now int64) (row *Row, err error) {
	if op.Put != nil {
		return op.Put, nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a write: %v\n%s", p, debug.Stack())
		}
	}()
	return op.Do(cur, now)
}

// change is what one row's change means for the store: the row, its place in the expiry space and its
// index entries, which always follow from the stored row alone.
type change struct {
	row     []byte // as it is stored from now on; nil is none
	puts    [][2][]byte
	deletes [][]byte
}

func (c *change) write(tx kv.Txn) {
	for _, k := range c.deletes {
		tx.Delete(k)
	}
	for _, p := range c.puts {
		tx.Put(p[0], p[1])
	}
}

// plan works out the change from old to row; either may be nil. Of row's entries, those are written that
// writes wants; same ones were the old row's, too.
func (t *Tables) plan(spec *Spec, key []byte, old *stored, row *Row, now int64, writes func(e entry, same bool) (bool, error)) (*change, error) {
	var c change
	was, err := spec.entries(key, old)
	if err != nil {
		return nil, err
	}
	var is []entry
	if row == nil {
		if old != nil {
			c.deletes = append(c.deletes, key)
		}
	} else {
		next := &stored{Row: *row, due: spec.due(row, now)}
		val, err := appendRow(make([]byte, 0, fewBytes), next)
		if err != nil {
			return nil, err
		}
		if len(val) > MaxRow {
			return nil, sluice.Errorf(sluice.TooMuch, "the row is larger than %d bytes", MaxRow)
		}
		if is, err = spec.entries(key, next); err != nil {
			return nil, err
		}
		for _, e := range is {
			if len(e.key) > t.store.Limits().MaxKey {
				return nil, sluice.Errorf(sluice.TooMuch, "the row's key in an index is too long")
			}
			same := slices.ContainsFunc(was, func(o entry) bool { return bytes.Equal(o.key, e.key) && bytes.Equal(o.val, e.val) })
			if put, err := writes(e, same); err != nil {
				return nil, err
			} else if put {
				c.puts = append(c.puts, [2][]byte{e.key, e.val})
			}
		}
		c.row, c.puts = val, append(c.puts, [2][]byte{key, val})
	}
	for _, e := range was {
		if !slices.ContainsFunc(is, func(n entry) bool { return bytes.Equal(n.key, e.key) }) {
			c.deletes = append(c.deletes, e.key)
		}
	}
	return &c, nil
}
