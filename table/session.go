package table

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

// What can be wrong about sessions.
var (
	// ErrHeld refuses writes and sessions to rows that another session holds. Its Kind is Conflict.
	ErrHeld = sluice.Errorf(sluice.Conflict, "the rows are held by a session")
	// ErrEnded says that a session is over: committed, aborted, or past its time. Its Kind is Missing.
	ErrEnded = sluice.Errorf(sluice.Missing, "the session is over")
	// ErrBusy refuses a call to a session that serves another one. Its Kind is Conflict.
	ErrBusy = sluice.Errorf(sluice.Conflict, "the session is busy with another call")
)

// Session is a transaction over several calls on the rows of one table that share the value of their
// first key column. Nobody else can write to them meanwhile; readers see them as they were until
// Commit. What a session wrote is in memory, so it ends with its process, at the latest with its time.
// Only one call at a time is served.
type Session struct {
	tables *Tables
	spec   *Spec
	first  Value
	id     string
	until  int64 // unix ms

	mu     sync.Mutex
	over   bool
	writes []Op             // what Commit does, in order
	rows   map[string]*held // rows as the session left them, by stored key
}

// held is a row that a session has written.
type held struct {
	key Key
	row *Row // nil when deleted
}

// hold is what the store knows of a session.
type hold struct {
	Owner string `json:"owner"`
	Until int64  `json:"until"` // unix ms
}

func holdPrefix(id uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte("Ltable/hold/"), id)
}

func holdKey(id uint32, first Value) ([]byte, error) { return appendKeyValue(holdPrefix(id), first) }

func readHold(r kv.Reader, key []byte) (h hold, err error) {
	val, ok, err := r.Get(key)
	if err != nil {
		return h, storeError{err}
	}
	if ok && json.Unmarshal(val, &h) != nil {
		return h, errCorrupt
	}
	return h, nil
}

// checkHold lets a write pass that the rows' hold, if any, does not forbid. session is "" for a write
// outside of one.
func checkHold(r kv.Reader, id uint32, first Value, session string, now int64) error {
	key, err := holdKey(id, first)
	if err != nil {
		return err
	}
	h, err := readHold(r, key)
	switch {
	case err != nil:
		return err
	case session == "" && h.Until > now:
		return ErrHeld
	case session != "" && (h.Owner != session || h.Until <= now):
		return ErrEnded
	}
	return nil
}

// Begin starts a session on the rows whose first key column is first, for at most life. The table
// must have Sessions. The error is ErrHeld while another session holds them.
func (t *Tables) Begin(ctx context.Context, spec *Spec, first Value, life time.Duration) (*Session, error) {
	if !spec.Sessions {
		return nil, sluice.Errorf(sluice.Invalid, "table %s has no sessions", spec.Name)
	}
	if first.Type != spec.Key[0].Type {
		return nil, &KeyError{spec.Name, spec.Key[0].Name, "is " + first.Type.String() + ", not " + spec.Key[0].Type.String()}
	}
	key, err := holdKey(spec.ID, first)
	if err != nil {
		return nil, err
	}
	s := &Session{tables: t, spec: spec, first: first, id: rand.Text(), rows: map[string]*held{}}
	err = t.store.Update(ctx, kv.Locks{Keys: [][]byte{key}}, func(tx kv.Txn) error {
		if err := current(tx, spec); err != nil && !errors.Is(err, errStale) {
			return err
		}
		now := t.clock(tx)
		h, err := readHold(tx, key)
		switch {
		case err != nil:
			return err
		case h.Until > now:
			return ErrHeld
		}
		s.until = now + life.Milliseconds()
		b, err := json.Marshal(hold{s.id, s.until})
		tx.Put(key, b)
		return err
	})
	if err != nil {
		return nil, t.settle(err)
	}
	return s, nil
}

// Ends is when the session is over by itself, unix ms.
func (s *Session) Ends() int64 { return s.until }

// Holds reports whether the session is on the rows of the table with that first key column.
func (s *Session) Holds(spec *Spec, first Value) bool {
	return spec.ID == s.spec.ID && first.Type == s.first.Type && Compare(first, s.first) == 0
}

// enter begins a call; every one that succeeds is ended by Unlock of mu.
func (s *Session) enter() error {
	if !s.mu.TryLock() {
		return ErrBusy
	}
	if s.over || s.until <= s.tables.now() {
		s.mu.Unlock()
		return ErrEnded
	}
	return nil
}

// Apply does each write for itself, in order, for the session's eyes alone. Keys must be whole: an
// auto-increment column cannot be left to be filled in.
func (s *Session) Apply(ctx context.Context, ops []Op) ([]Change, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	out := make([]Change, len(ops))
	for i, op := range ops {
		ch, err := s.apply(ctx, op)
		switch {
		case err == nil:
			out[i] = ch
		case isStoreError(err):
			return nil, s.tables.settle(err)
		default:
			out[i] = Change{Key: op.Key, Err: err}
		}
	}
	return out, nil
}

func (s *Session) apply(ctx context.Context, op Op) (Change, error) {
	if len(op.Key) == 0 || !s.Holds(op.Table, op.Key[0]) {
		return Change{}, sluice.Errorf(sluice.Invalid, "the row is not one of the session's")
	}
	id, err := op.Table.rows().key(op.Key)
	if err != nil {
		return Change{}, err
	}
	ch := Change{Key: op.Key}
	if own, ok := s.rows[string(id)]; ok {
		ch.Before = own.row
	} else if ch.Before, err = s.tables.Get(ctx, op.Table, op.Key); err != nil {
		return Change{}, storeError{err}
	}
	after, err := op.decide(ch.Before, s.tables.now())
	if err != nil {
		return Change{}, err
	}
	if after == ch.Before {
		ch.After = after
		return ch, nil
	}
	if after != nil {
		if ch.After, err = op.Table.tidy(op.Key, after); err != nil {
			return Change{}, err
		}
		if b, err := appendRow(nil, &stored{Row: *ch.After}); err != nil {
			return Change{}, err
		} else if len(b) > MaxRow {
			return Change{}, sluice.Errorf(sluice.TooMuch, "the row is larger than %d bytes", MaxRow)
		}
	}
	s.rows[string(id)] = &held{op.Key, ch.After}
	op.session = s.id
	op.Put, op.Do = nil, func(*Row, int64) (*Row, error) { return ch.After, nil }
	s.writes = append(s.writes, op)
	return ch, nil
}

// GetMany returns rows of the session, with what it wrote; nil for one that is not there.
func (s *Session) GetMany(ctx context.Context, spec *Spec, keys []Key) ([]*Row, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	refs := make([]Ref, len(keys))
	for i, key := range keys {
		refs[i] = Ref{spec, key}
	}
	rows, err := s.tables.GetMany(ctx, refs)
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		id, err := spec.rows().key(key)
		if err != nil {
			return nil, err
		}
		if own, ok := s.rows[string(id)]; ok {
			rows[i] = own.row
		}
	}
	return rows, nil
}

// Scan is Tables.Scan of the session's table with what the session wrote. A page may have more rows
// than asked for, by as many as the session has written.
func (s *Session) Scan(ctx context.Context, rg Range) (Page, error) {
	if err := s.enter(); err != nil {
		return Page{}, err
	}
	defer s.mu.Unlock()
	if rg.Index != "" || rg.From == nil || rg.To == nil || rg.Table.Hash {
		return Page{}, sluice.Errorf(sluice.Invalid, "a session cannot walk that")
	}
	page, err := s.tables.Scan(ctx, rg)
	if err != nil {
		return page, err
	}
	space := rg.Table.rows()
	near, err := space.bound(rg.From)
	if err != nil {
		return page, err
	}
	far, err := space.bound(rg.To)
	if page.Next != nil {
		far, err = space.bound(page.Next)
	}
	if err != nil {
		return page, err
	}
	// Bounds are as in Tables.Scan: in from the near end, out at the far one.
	within := func(id []byte) bool {
		if rg.Reverse {
			return bytes.Compare(id, near) <= 0 && bytes.Compare(id, far) > 0
		}
		return bytes.Compare(id, near) >= 0 && bytes.Compare(id, far) < 0
	}
	page.Rows = slices.DeleteFunc(page.Rows, func(r Row) bool {
		id, err := space.key(r.Key)
		return err == nil && s.rows[string(id)] != nil
	})
	for id, own := range s.rows {
		if own.row != nil && within([]byte(id)) {
			page.Rows = append(page.Rows, *own.row)
		}
	}
	slices.SortFunc(page.Rows, func(a, b Row) int {
		x, _ := space.key(a.Key) // they were keys before
		y, _ := space.key(b.Key)
		n := strings.Compare(string(x), string(y))
		if rg.Reverse {
			return -n
		}
		return n
	})
	return page, nil
}

// Commit makes all that the session wrote durable and visible at once, or nothing of it, and ends the
// session either way. The error is ErrEnded when it was over before.
func (s *Session) Commit(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.over = true
	if len(s.writes) == 0 {
		return s.release(ctx)
	}
	key, err := holdKey(s.spec.ID, s.first)
	if err != nil {
		return err
	}
	err = s.tables.update(ctx, s.writes, func(tx kv.Txn, ops []Op) error {
		for _, op := range ops {
			if _, err := s.tables.apply(tx, op); err != nil {
				return err
			}
		}
		tx.Delete(key)
		return nil
	})
	if err == nil || errors.Is(err, ErrEnded) {
		return err
	}
	if errors.Is(err, kv.ErrTooLarge) {
		err = &sluice.Error{Code: sluice.TooMuch, Msg: "the session wrote too much", Err: err}
	}
	return errors.Join(err, s.release(context.WithoutCancel(ctx)))
}

// Abort forgets what the session wrote and ends it. The error is ErrEnded when it was over before.
func (s *Session) Abort(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.over = true
	return s.release(ctx)
}

// release gives the rows up.
func (s *Session) release(ctx context.Context) error {
	key, err := holdKey(s.spec.ID, s.first)
	if err != nil {
		return err
	}
	err = s.tables.store.Update(ctx, kv.Locks{Keys: [][]byte{key}}, func(tx kv.Txn) error {
		h, err := readHold(tx, key)
		if err != nil {
			return err
		}
		if h.Owner != s.id || h.Until <= s.tables.clock(tx) {
			return ErrEnded
		}
		tx.Delete(key)
		return nil
	})
	return s.tables.settle(err)
}
