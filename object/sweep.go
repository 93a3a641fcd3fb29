package object

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sluicehq/sluice/kv"
)

const (
	sweepEvery = time.Hour
	orphanAge  = time.Hour
	uploadAge  = 7 * 24 * time.Hour
)

// Run sweeps now and every hour, until ctx ends; it returns nil then. What goes wrong is logged and
// tried again at the next sweep.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "sweep objects", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Sweep removes what nothing names any more: segments whose object is gone, uploads begun more than
// seven days ago, and bodies older than an hour that no row names. Before, it follows the rules of buckets.
func (s *Store) Sweep(ctx context.Context) error {
	return errors.Join(s.expire(ctx), s.sweepDead(ctx), s.sweepUploads(ctx), s.sweepBodies(ctx))
}

func (s *Store) sweepDead(ctx context.Context) error {
	return s.each(ctx, deadSpace, func(key []byte, _ func(any) error) error {
		s.clear(ctx, leftover{data: string(key[len(deadSpace):]), dead: true})
		return nil
	})
}

func (s *Store) sweepUploads(ctx context.Context) error {
	return s.each(ctx, uploadSpace, func(key []byte, decode func(any) error) error {
		var u Upload
		if err := decode(&u); err != nil {
			return err
		}
		if s.now().Sub(u.Started) < uploadAge {
			return nil
		}
		return s.abort(ctx, key, u.ID)
	})
}

// each calls fn for every row of a space, page by page and outside the read, so that fn may write.
func (s *Store) each(ctx context.Context, space string, fn func(key []byte, decode func(any) error) error) error {
	lo, hi := []byte(space), kv.PrefixEnd([]byte(space))
	for {
		var keys, vals [][]byte
		err := s.kv.View(ctx, func(r kv.Reader) error {
			keys, vals = nil, nil
			it := r.Scan(lo, hi, kv.ScanOpts{Limit: 256})
			defer it.Close()
			for it.Next() {
				keys = append(keys, append([]byte(nil), it.Key()...))
				vals = append(vals, append([]byte(nil), it.Value()...))
			}
			return it.Err()
		})
		if err != nil {
			return err
		}
		for i, k := range keys {
			if err := fn(k, func(into any) error { return decodeRow(k, vals[i], into) }); err != nil {
				return err
			}
		}
		if len(keys) == 0 {
			return nil
		}
		lo = append(keys[len(keys)-1], 0)
	}
}

func (s *Store) sweepBodies(ctx context.Context) error {
	var ids []string
	flush := func() error {
		keys := make([][]byte, len(ids))
		for i, id := range ids {
			keys[i] = bodyKey(id)
		}
		var orphans []string
		err := s.kv.View(ctx, func(r kv.Reader) error {
			orphans = nil
			for i, k := range keys { // an empty value is present: GetMany could not tell
				_, ok, err := r.Get(k)
				if err != nil {
					return err
				}
				if !ok {
					orphans = append(orphans, ids[i])
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(orphans) > 0 {
			s.log.InfoContext(ctx, "remove orphan bodies", "count", len(orphans))
			s.removeBodies(ctx, orphans)
		}
		ids = ids[:0]
		return nil
	}
	young := s.now().Add(-orphanAge)
	err := s.bodies.Walk(ctx, func(id string, written time.Time) error {
		if written.After(young) {
			return nil
		}
		if ids = append(ids, id); len(ids) == 256 {
			return flush()
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	return flush()
}

// leftover is what a write leaves to be removed when it is durable.
type leftover struct {
	data   string
	bodies []string
	dead   bool // more segments than a transaction should touch: a mark is set, reap does it
}

// discard forgets the bytes of an object that is being replaced or removed: the one segment of a
// plain object at once, a longer run by a mark.
func discard(tx kv.Txn, o *Object) (leftover, error) {
	if o == nil {
		return leftover{}, nil
	}
	if o.Kind != Normal {
		tx.Put(deadKey(o.Body), nil)
		return leftover{data: o.Body, dead: true}, nil
	}
	key := segmentKey(o.Body, 0)
	v, ok, err := tx.Get(key)
	if err != nil || !ok {
		return leftover{}, err
	}
	g, err := decodeSegment(key, v)
	if err != nil {
		return leftover{}, err
	}
	l := leftover{data: o.Body}
	dropSegment(tx, o.Body, &g, &l.bodies)
	return l, nil
}

func dropSegment(tx kv.Txn, data string, g *segment, bodies *[]string) {
	tx.Delete(segmentKey(data, g.n))
	if g.Body != "" {
		tx.Delete(bodyKey(g.Body))
		*bodies = append(*bodies, g.Body)
	}
}

// clear removes a leftover, when nobody reads it any more. Its failures are only logged: what stays
// is found by the next sweep.
func (s *Store) clear(ctx context.Context, l leftover) {
	if l.data == "" || !l.dead && len(l.bodies) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx)
	s.pins.whenFree(l.data, func() {
		if !l.dead {
			s.removeBodies(ctx, l.bodies)
		} else if err := s.reap(ctx, l.data); err != nil {
			s.log.ErrorContext(ctx, "remove object data", "err", err)
		}
	})
}

// reap removes a run of segments that is marked dead, some at a time, and then the mark.
func (s *Store) reap(ctx context.Context, data string) error {
	for more := true; more; {
		var bodies []string
		err := s.kv.Update(ctx, locks(deadKey(data)), func(tx kv.Txn) error {
			bodies = nil
			list, some, err := scanSegments(tx, data, 0, 256)
			if err != nil {
				return err
			}
			more = some
			for i := range list {
				dropSegment(tx, data, &list[i], &bodies)
			}
			if !more {
				tx.Delete(deadKey(data))
			}
			return nil
		})
		if err != nil {
			return err
		}
		s.removeBodies(ctx, bodies)
	}
	return nil
}

func (s *Store) removeBodies(ctx context.Context, ids []string) {
	ctx = context.WithoutCancel(ctx)
	for _, id := range ids {
		if err := s.bodies.Remove(ctx, id); err != nil {
			s.log.WarnContext(ctx, "remove body", "body", id, "err", err)
		}
	}
}

// pins counts the readers of each run of segments, so that its bytes go when the last has ended.
type pins struct {
	mu      sync.Mutex // guards both; not held while a func of after runs
	readers map[string]int
	after   map[string]func()
}

func (p *pins) hold(data string) {
	p.mu.Lock()
	p.readers[data]++
	p.mu.Unlock()
}

func (p *pins) release(data string) {
	p.mu.Lock()
	var last func()
	if p.readers[data]--; p.readers[data] == 0 {
		delete(p.readers, data)
		last = p.after[data]
		delete(p.after, data)
	}
	p.mu.Unlock()
	if last != nil {
		last()
	}
}

// whenFree runs fn now, or when the last reader of data has ended.
func (p *pins) whenFree(data string, fn func()) {
	p.mu.Lock()
	busy := p.readers[data] > 0
	if busy {
		p.after[data] = fn
	}
	p.mu.Unlock()
	if !busy {
		fn()
	}
}
