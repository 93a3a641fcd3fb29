package table

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

// Options are the settings of Open. Log is needed, the rest has defaults.
type Options struct {
	Log   *slog.Logger
	Now   func() time.Time // for tests; nil is the store's clock for writes, the system's for reads
	Sweep time.Duration    // between rounds of background work; 0 is 10 s
}

// Tables are all tables on one store. Its methods may be called by many goroutines.
//
// Lock order: mu is held alone and never across a call to the store.
type Tables struct {
	store kv.Store
	opt   Options
	owner string        // of the lease under which background work is done
	wake  chan struct{} // there is background work now

	mu    sync.RWMutex
	specs map[string]*Spec // by metaKey; shared with callers, never changed
	gen   uint64           // grows when specs loses an entry, so that an old reading is not cached
}

// Open makes the tables of a store usable. It starts nothing: Run does the background work.
func Open(ctx context.Context, store kv.Store, opt Options) (*Tables, error) {
	if opt.Sweep <= 0 {
		opt.Sweep = 10 * time.Second
	}
	t := &Tables{store: store, opt: opt, owner: rand.Text(), wake: make(chan struct{}, 1), specs: map[string]*Spec{}}
	// One read, so that a store that does not work is met here and not by the first client.
	err := store.View(ctx, func(r kv.Reader) error {
		_, _, err := r.Get(idCounter)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open tables: %w", err)
	}
	return t, nil
}

// idCounter gives table ids.
var idCounter = []byte("C\x00\x00\x00\x00i")

func metaPrefix(scope string) []byte { return []byte("Mt\x00" + scope + "\x00") }

func metaKey(scope, name string) []byte { return []byte("Mt\x00" + scope + "\x00" + name) }

// versionKey holds the version of a living table. Every write reads it, so that none works from an
// old Spec.
func versionKey(id uint32) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 6), "Mv"...), id)
}

// walkKey holds how far the refreshing of a table's rows has come.
func walkKey(id uint32) []byte { return binary.BigEndian.AppendUint32([]byte("Mw"), id) }

// goneKey lists key prefixes to delete.
func goneKey(id, index uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("Mg"), id), index)
}

func counterKey(id uint32, kind byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{'C'}, id), kind)
}

func (t *Spec) missing() error { return &MissingError{Scope: t.Scope, Name: t.Name} }

// clone copies deeply.
func (t *Spec) clone() *Spec {
	c := *t
	c.Key = slices.Clone(t.Key)
	c.Indexes = slices.Clone(t.Indexes)
	for i := range c.Indexes {
		x := &c.Indexes[i]
		x.Key, x.Project, x.Extra, x.Sizes = slices.Clone(x.Key), slices.Clone(x.Project), slices.Clone(x.Extra), slices.Clone(x.Sizes)
	}
	if t.Stream != nil {
		s := *t.Stream
		s.Extra = slices.Clone(s.Extra)
		c.Stream = &s
	}
	c.Extra = slices.Clone(t.Extra)
	return &c
}

// check reports what is wrong with a description.
func (t *Spec) check() error {
	bad := func(format string, args ...any) error {
		return sluice.Errorf(sluice.Invalid, "table "+t.Name+": "+format, args...)
	}
	if t.Name == "" || strings.Contains(t.Scope+t.Name, "\x00") {
		return sluice.Errorf(sluice.Invalid, "%q is no table name", t.Name)
	}
	columns := func(cols []KeyColumn, more ...Type) error {
		for i, c := range cols {
			switch {
			case c.Type != Int && c.Type != Decimal && c.Type != String && c.Type != Binary && !slices.Contains(more, c.Type):
				return bad("key column %q cannot be %s", c.Name, c.Type)
			case slices.ContainsFunc(cols[:i], func(o KeyColumn) bool { return o.Name == c.Name }):
				return bad("key column %q is there twice", c.Name)
			case c.AutoIncrement && (i == 0 || c.Type != Int):
				return bad("key column %q cannot count by itself: it must be an int and not the first", c.Name)
			case c.AutoIncrement && slices.ContainsFunc(cols[:i], func(o KeyColumn) bool { return o.AutoIncrement }):
				return bad("two key columns count by themselves")
			}
		}
		if len(cols) == 0 {
			return bad("no key column")
		}
		return nil
	}
	if err := columns(t.Key); err != nil {
		return err
	}
	for i, x := range t.Indexes {
		if x.Name == "" || slices.ContainsFunc(t.Indexes[:i], func(o Index) bool { return o.Name == x.Name }) {
			return bad("index name %q is empty or there twice", x.Name)
		}
		if err := columns(x.Key, Bool, Float); err != nil {
			return err
		}
		for _, c := range x.Key {
			for _, k := range t.Key {
				if c.Name == k.Name && c.Type != k.Type {
					return bad("index %s has column %q as %s, but it is %s", x.Name, c.Name, c.Type, k.Type)
				}
			}
		}
	}
	return nil
}

// Create makes a table and returns its description with ID, Version and Created filled in. It is
// usable at once. The error is an ExistsError when there is one of that name.
func (t *Tables) Create(ctx context.Context, want Spec) (*Spec, error) {
	if err := want.check(); err != nil {
		return nil, err
	}
	key := metaKey(want.Scope, want.Name)
	var made *Spec
	err := t.store.Update(ctx, kv.Locks{Keys: [][]byte{key, idCounter}}, func(tx kv.Txn) error {
		if _, ok, err := tx.Get(key); err != nil || ok {
			if ok {
				return &ExistsError{want.Scope, want.Name}
			}
			return err
		}
		id, err := tx.Seq(idCounter, 1)
		if err != nil {
			return err
		}
		made = want.clone()
		made.ID, made.Version, made.Created = uint32(id), 1, t.clock(tx)
		for i := range made.Indexes {
			made.Indexes[i].ID, made.Indexes[i].Building = uint32(i+1), false
		}
		made.NextIndex = uint32(len(made.Indexes) + 1)
		return made.save(tx)
	})
	if err != nil {
		return nil, err
	}
	t.forget(key)
	return made, nil
}

func (t *Spec) save(tx kv.Txn) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	tx.Put(metaKey(t.Scope, t.Name), b)
	tx.Put(versionKey(t.ID), binary.BigEndian.AppendUint64(nil, t.Version))
	return nil
}

// forget drops what is cached under key.
func (t *Tables) forget(key []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.specs, string(key))
	t.gen++
}

// Lookup returns a table's description, which the caller must not change. It is cached, so cheap
// enough for every request. The error is a MissingError when there is none.
func (t *Tables) Lookup(ctx context.Context, scope, name string) (*Spec, error) {
	key := metaKey(scope, name)
	t.mu.RLock()
	spec, gen := t.specs[string(key)], t.gen
	t.mu.RUnlock()
	if spec != nil {
		return spec, nil
	}
	err := t.store.View(ctx, func(r kv.Reader) (err error) {
		spec, err = load(r, scope, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gen == gen {
		t.specs[string(key)] = spec
	}
	return spec, nil
}

func load(r kv.Reader, scope, name string) (*Spec, error) {
	b, ok, err := r.Get(metaKey(scope, name))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &MissingError{Scope: scope, Name: name}
	}
	return parseSpec(b)
}

func parseSpec(b []byte) (*Spec, error) {
	spec := &Spec{}
	if err := json.Unmarshal(b, spec); err != nil {
		return nil, fmt.Errorf("read table description: %w", err)
	}
	return spec, nil
}

// List returns the tables of a scope in the order of their names.
func (t *Tables) List(ctx context.Context, scope string) ([]*Spec, error) {
	return t.list(ctx, metaPrefix(scope))
}

// All returns the tables of every scope, in the order of scopes and names.
func (t *Tables) All(ctx context.Context) ([]*Spec, error) {
	return t.list(ctx, []byte("Mt\x00"))
}

func (t *Tables) list(ctx context.Context, prefix []byte) ([]*Spec, error) {
	var list []*Spec
	end := kv.PrefixEnd(prefix)
	for lo := prefix; lo != nil; {
		var page []*Spec
		var next []byte
		err := t.store.View(ctx, func(r kv.Reader) error {
			page, next = nil, nil
			it := r.Scan(lo, end, kv.ScanOpts{Limit: 200})
			defer it.Close()
			for it.Next() {
				spec, err := parseSpec(it.Value())
				if err != nil {
					return err
				}
				page = append(page, spec)
				if len(page) == 200 {
					next = append(slices.Clone(it.Key()), 0)
				}
			}
			return it.Err()
		})
		if err != nil {
			return nil, err
		}
		list, lo = append(list, page...), next
	}
	return list, nil
}

// Alter changes a description: fn gets a copy to change, and may run more than once. Key, Hash, name
// and identity of the table stay. An index that is new, or whose key or projection changed, is built
// from the rows that are there unless it is Late, a large one in the background (Index.Building).
func (t *Tables) Alter(ctx context.Context, scope, name string, fn func(*Spec) error) (*Spec, error) {
	key := metaKey(scope, name)
	var spec *Spec
	var walk bool
	err := t.store.Update(ctx, kv.Locks{Keys: [][]byte{key}}, func(tx kv.Txn) error {
		old, err := load(tx, scope, name)
		if err != nil {
			return err
		}
		spec, walk = old.clone(), false
		if err := fn(spec); err != nil {
			return err
		}
		if !slices.Equal(spec.Key, old.Key) || spec.Hash != old.Hash {
			return sluice.Errorf(sluice.Invalid, "the key of table %s cannot be changed", name)
		}
		spec.Scope, spec.Name, spec.ID, spec.Created = old.Scope, old.Name, old.ID, old.Created
		spec.Version, spec.NextIndex = old.Version+1, old.NextIndex
		if err := spec.check(); err != nil {
			return err
		}
		for i := range spec.Indexes {
			x := &spec.Indexes[i]
			if was := old.FindIndex(x.Name); was != nil && x.sameEntries(was) {
				x.ID, x.Building = was.ID, was.Building
				continue
			}
			x.ID, x.Building, walk = spec.NextIndex, !x.Late, walk || !x.Late
			spec.NextIndex++
		}
		for i := range old.Indexes {
			was := &old.Indexes[i]
			if !slices.ContainsFunc(spec.Indexes, func(x Index) bool { return x.ID == was.ID }) {
				tx.Put(goneKey(spec.ID, was.ID), encodeGone(old.index(was).prefix))
			}
		}
		// Rows stand in the expiry space under the TTL they were written with.
		walk = walk || spec.TTL > 0 && spec.TTL != old.TTL || spec.Ends != old.Ends
		if walk {
			tx.Put(walkKey(spec.ID), encodeWalk(spec.Version, nil))
		}
		return spec.save(tx)
	})
	if err != nil {
		return nil, err
	}
	t.forget(key)
	if walk {
		if err := t.refresh(ctx, spec, inlineRows); err != nil {
			return nil, err
		}
		if spec, err = t.Lookup(ctx, scope, name); err != nil {
			return nil, err
		}
	}
	t.poke()
	return spec, nil
}

// sameEntries says whether two descriptions of an index make the same entries.
func (x *Index) sameEntries(o *Index) bool {
	return slices.Equal(x.Key, o.Key) && slices.Equal(x.Project, o.Project) && x.All == o.All && x.Hash == o.Hash && x.Late == o.Late && x.Cut == o.Cut && x.Scatter == o.Scatter &&
		slices.Equal(x.Sizes, o.Sizes)
}

// Drop removes a table at once; its rows are deleted in the background.
func (t *Tables) Drop(ctx context.Context, scope, name string) error {
	key := metaKey(scope, name)
	err := t.store.Update(ctx, kv.Locks{Keys: [][]byte{key}}, func(tx kv.Txn) error {
		spec, err := load(tx, scope, name)
		if err != nil {
			return err
		}
		tx.Delete(key)
		tx.Delete(versionKey(spec.ID))
		tx.Delete(walkKey(spec.ID))
		var prefixes [][]byte
		for _, space := range []byte("RISCT") {
			prefixes = append(prefixes, binary.BigEndian.AppendUint32([]byte{space}, spec.ID))
		}
		prefixes = append(prefixes, holdPrefix(spec.ID))
		tx.Put(goneKey(spec.ID, 0), encodeGone(prefixes...))
		return nil
	})
	if err != nil {
		return err
	}
	t.forget(key)
	t.poke()
	return nil
}

// poke tells Run that there is work.
func (t *Tables) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// clock is unix ms within a write.
func (t *Tables) clock(tx kv.Txn) int64 {
	if t.opt.Now != nil {
		return t.opt.Now().UnixMilli()
	}
	return tx.Now()
}

// now is unix ms for a read.
func (t *Tables) now() int64 {
	if t.opt.Now != nil {
		return t.opt.Now().UnixMilli()
	}
	return time.Now().UnixMilli()
}
