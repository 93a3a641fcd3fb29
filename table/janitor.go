package table

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

const (
	chunk      = 1000   // keys deleted by one Update
	walkRows   = 100    // rows refreshed by one Update
	inlineRows = 10_000 // rows that Alter refreshes itself
	leaseTime  = 30 * time.Second
)

// leaseKey is held by the one process that does the background work of a store.
var leaseKey = []byte("Ltable/janitor")

type lease struct {
	Owner string `json:"owner"`
	Until int64  `json:"until"` // unix ms
}

// Run does what nobody waits for, until ctx ends: it removes expired rows and cells, the keys of
// dropped tables and indexes and old stream records, and fills new indexes of large tables. Of several
// processes on one store, one works. Trouble is logged and tried again; the error is always nil.
func (t *Tables) Run(ctx context.Context) error {
	tick := time.NewTicker(t.opt.Sweep)
	defer tick.Stop()
	for {
		err := t.clean(ctx)
		if ctx.Err() != nil {
			t.release()
			return nil
		}
		if err != nil {
			t.opt.Log.Error("background work on tables", "err", err)
		}
		select {
		case <-ctx.Done():
			t.release()
			return nil
		case <-tick.C:
		case <-t.wake:
		}
	}
}

// clean is one round of background work.
func (t *Tables) clean(ctx context.Context) error {
	if mine, err := t.hold(ctx); err != nil || !mine {
		return err
	}
	specs, err := t.list(ctx, []byte("Mt\x00"))
	if err != nil {
		return err
	}
	errs := []error{t.purge(ctx)}
	for _, spec := range specs {
		errs = append(errs, t.refresh(ctx, spec, 0), t.expire(ctx, spec), t.trim(ctx, spec))
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// hold takes or keeps the lease. It writes only when a third of the lease's time has passed.
func (t *Tables) hold(ctx context.Context) (mine bool, err error) {
	read := func(r kv.Reader) (l lease, err error) {
		val, ok, err := r.Get(leaseKey)
		if ok && json.Unmarshal(val, &l) != nil {
			l = lease{} // not ours; take it over
		}
		return l, err
	}
	var l lease
	err = t.store.View(ctx, func(r kv.Reader) error {
		l, err = read(r)
		return err
	})
	left := time.Duration(l.Until-t.now()) * time.Millisecond
	mine = l.Owner == t.owner
	if err != nil || mine && left > leaseTime*2/3 || !mine && left > 0 {
		return mine, err
	}
	err = t.store.Update(ctx, kv.Locks{Keys: [][]byte{leaseKey}}, func(tx kv.Txn) error {
		l, err := read(tx)
		if mine = l.Owner == t.owner || l.Until <= t.clock(tx); err != nil || !mine {
			return err
		}
		b, err := json.Marshal(lease{t.owner, t.clock(tx) + leaseTime.Milliseconds()})
		tx.Put(leaseKey, b)
		return err
	})
	return mine, err
}

// release gives the lease up, so that the next process need not wait for its end.
func (t *Tables) release() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := t.store.Update(ctx, kv.Locks{Keys: [][]byte{leaseKey}}, func(tx kv.Txn) error {
		var l lease
		if val, ok, err := tx.Get(leaseKey); err != nil || !ok || json.Unmarshal(val, &l) != nil || l.Owner != t.owner {
			return err
		}
		tx.Delete(leaseKey)
		return nil
	})
	if err != nil && !errors.Is(err, kv.ErrClosed) {
		t.opt.Log.Warn("release the lease on background work", "err", err)
	}
}

func encodeGone(prefixes ...[]byte) []byte {
	b, _ := json.Marshal(prefixes) // byte strings always marshal
	return b
}

// purge deletes the keys of dropped tables and indexes. Nobody writes there any more: writers compare
// their description with the table's in the same transaction.
func (t *Tables) purge(ctx context.Context) error {
	markers := []byte("Mg")
	for {
		var marker []byte
		var prefixes [][]byte
		err := t.store.View(ctx, func(r kv.Reader) error {
			marker, prefixes = nil, nil
			it := r.Scan(markers, kv.PrefixEnd(markers), kv.ScanOpts{Limit: 1})
			defer it.Close()
			if it.Next() {
				marker = slices.Clone(it.Key())
				return json.Unmarshal(it.Value(), &prefixes)
			}
			return it.Err()
		})
		if err != nil || marker == nil {
			return err
		}
		for _, p := range prefixes {
			for n := chunk; n == chunk; {
				if n, err = t.deleteChunk(ctx, p, kv.PrefixEnd(p)); err != nil {
					return err
				}
			}
		}
		if err := t.deleteKeys(ctx, [][]byte{marker}); err != nil {
			return err
		}
	}
}

// deleteChunk deletes the first keys of [lo,hi), at most chunk, and says how many.
func (t *Tables) deleteChunk(ctx context.Context, lo, hi []byte) (int, error) {
	var keys [][]byte
	err := t.store.View(ctx, func(r kv.Reader) error {
		keys = nil
		it := r.Scan(lo, hi, kv.ScanOpts{Limit: chunk, KeysOnly: true})
		defer it.Close()
		for it.Next() {
			keys = append(keys, slices.Clone(it.Key()))
		}
		return it.Err()
	})
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	return len(keys), t.deleteKeys(ctx, keys)
}

func (t *Tables) deleteKeys(ctx context.Context, keys [][]byte) error {
	return t.store.Update(ctx, kv.Locks{Keys: keys[:1]}, func(tx kv.Txn) error {
		for _, k := range keys {
			tx.Delete(k)
		}
		return nil
	})
}

// trim deletes stream records older than their time.
func (t *Tables) trim(ctx context.Context, spec *Spec) error {
	hours := 0
	if spec.Stream != nil {
		hours = spec.Stream.Hours
	}
	lo := streamPrefix(spec.ID)
	for {
		cut := t.now() - int64(hours)*time.Hour.Milliseconds()
		var keys [][]byte
		err := t.store.View(ctx, func(r kv.Reader) error {
			keys = nil
			it := r.Scan(lo, kv.PrefixEnd(lo), kv.ScanOpts{Limit: chunk, MaxBytes: 16 << 20})
			defer it.Close()
			for it.Next() {
				if v := it.Value(); len(v) >= 10 && int64(binary.BigEndian.Uint64(v[2:])) > cut {
					break
				}
				keys = append(keys, slices.Clone(it.Key()))
			}
			return it.Err()
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		if err := t.deleteKeys(ctx, keys); err != nil {
			return err
		}
	}
}

// expire removes what is past its time among a table's rows.
func (t *Tables) expire(ctx context.Context, spec *Spec) error {
	none := make([]byte, 5) // no row: its key is a table's prefix only
	for lo := dueKey(spec.ID, 0, none); ; {
		var rows, places [][]byte
		err := t.store.View(ctx, func(r kv.Reader) error {
			rows, places = nil, nil
			it := r.Scan(lo, dueKey(spec.ID, t.now()/1000+1, none), kv.ScanOpts{Limit: walkRows, KeysOnly: true})
			defer it.Close()
			for it.Next() {
				row, err := cutDueKey(spec.ID, it.Key())
				if err != nil {
					return err
				}
				rows, places = append(rows, row), append(places, slices.Clone(it.Key()))
			}
			return it.Err()
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := t.refreshRows(ctx, spec, rows, func(tx kv.Txn) error { return spec.leave(tx, rows, places) }); err != nil {
			return done(err)
		}
		lo = append(places[len(places)-1], 0)
	}
}

// leave deletes those places in the expiry space that are not, or no longer, the rows' own: a put that does not
// read the row before it leaves that one's place.
func (t *Spec) leave(tx kv.Txn, rows, places [][]byte) error {
	for i, row := range rows {
		st, _, err := t.read(tx, row, nil)
		if err != nil {
			return err
		}
		if st == nil || !bytes.Equal(places[i], dueKey(t.ID, st.due, row)) {
			tx.Delete(places[i])
		}
	}
	return nil
}

// done turns the news that a table was dropped or altered meanwhile into silence: the next round
// sees the new state.
func done(err error) error {
	if errors.Is(err, errStale) || sluice.KindOf(err) == sluice.Missing {
		return nil
	}
	return err
}

// refreshRows writes rows again as they are now, without what is past its time, with all their
// entries in indexes and in the expiry space. then, if any, runs in the same Update.
func (t *Tables) refreshRows(ctx context.Context, spec *Spec, keys [][]byte, then func(kv.Txn) error) error {
	locks := kv.Locks{Keys: append([][]byte{counterKey(spec.ID, 's')}, keys...)}
	return t.store.Update(ctx, locks, func(tx kv.Txn) error {
		if err := current(tx, spec); err != nil {
			return err
		}
		for _, key := range keys {
			if err := t.refreshRow(tx, spec, key); err != nil {
				return err
			}
		}
		if then != nil {
			return then(tx)
		}
		return nil
	})
}

func (t *Tables) refreshRow(tx kv.Txn, spec *Spec, rowKey []byte) error {
	key, err := spec.rows().decode(rowKey)
	if err != nil {
		return err
	}
	old, _, err := spec.read(tx, rowKey, key)
	if err != nil || old == nil {
		return err
	}
	now := t.clock(tx)
	live := spec.live(old, now)
	if live != nil {
		if at := spec.ends(live, now); at != 0 && at <= now/1000 {
			live = nil
		}
	}
	w, err := t.plan(spec, rowKey, old, live, now, func(e entry, _ bool) (bool, error) {
		if !e.late {
			return true, nil
		}
		_, there, err := tx.Get(e.key)
		return there, err
	})
	if err != nil {
		return err
	}
	w.write(tx)
	if live != nil || !spec.records() {
		return nil
	}
	rec, err := encodeRecord(rowKey, &Record{Time: now, Before: &old.Row, Expired: true})
	if err != nil {
		return err
	}
	return spec.record(tx, rec)
}

// A walk refreshes all rows of a table after an Alter. Its state is the table's version at the start
// and the row key to go on with.
func encodeWalk(version uint64, next []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, version), next...)
}

// refresh goes on with a table's walk, if it has one, for at most limit rows; 0 is to its end.
func (t *Tables) refresh(ctx context.Context, spec *Spec, limit int) error {
	rows := spec.rows()
	end := kv.PrefixEnd(rows.prefix)
	for n := 0; limit == 0 || n < limit; n += walkRows {
		var state []byte
		var keys [][]byte
		err := t.store.View(ctx, func(r kv.Reader) error {
			state, keys = nil, nil
			val, ok, err := r.Get(walkKey(spec.ID))
			if err != nil || !ok || len(val) < 8 {
				return err
			}
			state = slices.Clone(val)
			lo := rows.prefix
			if len(val) > 8 {
				lo = val[8:]
			}
			it := r.Scan(lo, end, kv.ScanOpts{Limit: walkRows, MaxBytes: 4 << 20})
			defer it.Close()
			for it.Next() {
				keys = append(keys, slices.Clone(it.Key()))
			}
			return it.Err()
		})
		if err != nil || state == nil {
			return err
		}
		finished := false
		err = t.refreshRows(ctx, spec, keys, func(tx kv.Txn) error {
			was, ok, err := tx.Get(walkKey(spec.ID))
			if err != nil || !ok || !bytes.Equal(was, state) {
				return err // somebody else goes on with it
			}
			if finished = len(keys) == 0; !finished {
				next := append(slices.Clone(keys[len(keys)-1]), 0)
				tx.Put(walkKey(spec.ID), encodeWalk(binary.BigEndian.Uint64(state), next))
				return nil
			}
			tx.Delete(walkKey(spec.ID))
			whole := spec.clone()
			whole.Version++
			for i := range whole.Indexes {
				whole.Indexes[i].Building = false
			}
			return whole.save(tx)
		})
		if err != nil {
			return done(err)
		}
		if finished {
			t.forget(metaKey(spec.Scope, spec.Name))
			return nil
		}
	}
	return nil
}
