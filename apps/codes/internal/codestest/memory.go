// Package codestest holds a table store in memory, for tests of the codes and of their functions.
package codestest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/sluicehq/sluice/apps/codes/internal/codes"
)

// Memory is a codes.Store on a map. Before, when set, may fail a call before it does anything; After may
// fail one that was done. They are called from many goroutines.
type Memory struct {
	Before, After func(call, table string, key codes.Key) error

	mu     sync.Mutex
	tables map[string]codes.Table
	rows   map[string]map[string]codes.Entry
	lastID int64
}

// New returns an empty store.
func New() *Memory {
	return &Memory{tables: map[string]codes.Table{}, rows: map[string]map[string]codes.Entry{}, lastID: 1000}
}

// do runs f under the lock, between the hooks.
func (m *Memory) do(call, table string, key codes.Key, f func() error) error {
	if m.Before != nil {
		if err := m.Before(call, table, key); err != nil {
			return err
		}
	}
	m.mu.Lock()
	err := f()
	m.mu.Unlock()
	if err == nil && m.After != nil {
		err = m.After(call, table, key)
	}
	return err
}

// Create implements codes.Store.
func (m *Memory) Create(ctx context.Context, t codes.Table) error {
	return m.do("create", t.Name, nil, func() error {
		if m.rows[t.Name] == nil {
			m.tables[t.Name], m.rows[t.Name] = t, map[string]codes.Entry{}
		}
		return nil
	})
}

func name(k codes.Key) string { return fmt.Sprint(k) }

// holds evaluates a condition.
func holds(e codes.Expect, row codes.Row, there bool) bool {
	if e.Absent && there || e.Exists && !there {
		return false
	}
	for _, t := range e.Tests {
		v, ok := row[t.Column]
		switch {
		case !ok:
			if !t.Missing {
				return false
			}
		case t.Less:
			a, _ := v.(int64)
			b, _ := t.Value.(int64)
			if a >= b {
				return false
			}
		case v != t.Value:
			return false
		}
	}
	return true
}

// Get implements codes.Store.
func (m *Memory) Get(ctx context.Context, table string, key codes.Key) (row codes.Row, err error) {
	err = m.do("get", table, key, func() error {
		row = maps.Clone(m.rows[table][name(key)].Row)
		return nil
	})
	return row, err
}

// GetMany implements codes.Store.
func (m *Memory) GetMany(ctx context.Context, table string, keys []codes.Key) (rows []codes.Row, err error) {
	if len(keys) > codes.MaxGet {
		return nil, fmt.Errorf("%d keys in one call", len(keys))
	}
	err = m.do("getmany", table, nil, func() error {
		for _, k := range keys {
			rows = append(rows, maps.Clone(m.rows[table][name(k)].Row))
		}
		return nil
	})
	return rows, err
}

func (m *Memory) put(table string, key codes.Key, row codes.Row, expect codes.Expect) error {
	key = slices.Clone(key)
	for i, f := range key {
		if f.Value == nil {
			m.lastID++
			key[i].Value = m.lastID
		}
	}
	old, there := m.rows[table][name(key)]
	if !holds(expect, old.Row, there) {
		return codes.ErrCondition
	}
	m.rows[table][name(key)] = codes.Entry{Key: key, Row: maps.Clone(row)}
	return nil
}

// Put implements codes.Store.
func (m *Memory) Put(ctx context.Context, table string, key codes.Key, row codes.Row, expect codes.Expect) error {
	return m.do("put", table, key, func() error { return m.put(table, key, row, expect) })
}

// PutNew implements codes.Store.
func (m *Memory) PutNew(ctx context.Context, table string, rows []codes.Entry) ([]bool, error) {
	if len(rows) > codes.MaxPut {
		return nil, fmt.Errorf("%d rows in one call", len(rows))
	}
	made := make([]bool, len(rows))
	err := m.do("putnew", table, nil, func() error {
		for i, e := range rows {
			made[i] = m.put(table, e.Key, e.Row, codes.Expect{Absent: true}) == nil
		}
		return nil
	})
	return made, err
}

// Update implements codes.Store.
func (m *Memory) Update(ctx context.Context, table string, key codes.Key, c codes.Change, expect codes.Expect) error {
	return m.do("update", table, key, func() error {
		old, there := m.rows[table][name(key)]
		if !holds(expect, old.Row, there) {
			return codes.ErrCondition
		}
		row := maps.Clone(old.Row)
		if row == nil {
			row = codes.Row{}
		}
		maps.Copy(row, c.Set)
		for column, n := range c.Add {
			have, _ := row[column].(int64)
			row[column] = have + n
		}
		for _, column := range c.Remove {
			delete(row, column)
		}
		m.rows[table][name(key)] = codes.Entry{Key: slices.Clone(key), Row: row}
		return nil
	})
}

// Delete implements codes.Store.
func (m *Memory) Delete(ctx context.Context, table string, key codes.Key, expect codes.Expect) error {
	return m.do("delete", table, key, func() error {
		old, there := m.rows[table][name(key)]
		if !holds(expect, old.Row, there) {
			return codes.ErrCondition
		}
		delete(m.rows[table], name(key))
		return nil
	})
}

// compare orders keys; a nil value is low or high as unset says.
func compare(a, b codes.Key, unset int) int {
	for i := range a {
		var c int
		switch {
		case a[i].Value == nil:
			c = unset
		case b[i].Value == nil:
			c = -unset
		default:
			switch x := a[i].Value.(type) {
			case int64:
				c = cmp.Compare(x, b[i].Value.(int64))
			case string:
				c = cmp.Compare(x, b[i].Value.(string))
			}
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// Range implements codes.Store.
func (m *Memory) Range(ctx context.Context, q codes.Query) (page []codes.Entry, next codes.Key, err error) {
	err = m.do("range", q.Table, q.From, func() error {
		var all []codes.Entry
		for _, e := range m.rows[q.Table] {
			all = append(all, e)
		}
		for _, t := range m.tables {
			if t.Index == nil || t.Index.Name != q.Table {
				continue
			}
			for _, e := range m.rows[t.Name] {
				if by, ok := e.Row[t.Index.By]; ok {
					all = append(all, codes.Entry{Key: append(codes.Key{{Name: t.Index.By, Value: by}}, e.Key...), Row: e.Row})
				}
			}
		}
		sign := 1
		if q.Backward {
			sign = -1
		}
		slices.SortFunc(all, func(a, b codes.Entry) int { return sign * compare(a.Key, b.Key, 0) })
		for _, e := range all {
			if sign*compare(q.From, e.Key, -sign) > 0 || sign*compare(q.To, e.Key, sign) <= 0 {
				continue
			}
			if len(page) == q.Limit {
				next = e.Key
				return nil
			}
			page = append(page, codes.Entry{Key: slices.Clone(e.Key), Row: maps.Clone(e.Row)})
		}
		return nil
	})
	return page, next, err
}
