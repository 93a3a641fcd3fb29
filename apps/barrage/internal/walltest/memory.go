// Package walltest holds a table store in memory, for tests of the wall and of its functions.
package walltest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/sluicehq/sluice/apps/barrage/internal/wall"
)

// Memory is a wall.Store on a map. Before, when set, may fail a call before it does anything;
// After may fail one that was done.
type Memory struct {
	Before, After func(call, table string) error

	mu     sync.Mutex
	keys   map[string][]wall.KeyColumn
	rows   map[string][]wall.Entry // in key order
	lastID int64
}

// New returns an empty store.
func New() *Memory {
	return &Memory{keys: map[string][]wall.KeyColumn{}, rows: map[string][]wall.Entry{}, lastID: 1000}
}

// do runs f under the lock, between the hooks.
func (m *Memory) do(call, table string, f func() error) error {
	if m.Before != nil {
		if err := m.Before(call, table); err != nil {
			return err
		}
	}
	m.mu.Lock()
	err := f()
	m.mu.Unlock()
	if err == nil && m.After != nil {
		err = m.After(call, table)
	}
	return err
}

// Create implements wall.Store.
func (m *Memory) Create(ctx context.Context, t wall.Table) error {
	return m.do("create", t.Name, func() error {
		m.keys[t.Name] = t.Keys
		return nil
	})
}

// compare orders keys; a nil value is low or high as unset says.
func compare(a, b wall.Key, unset int) int {
	for i := range a {
		var c int
		switch x := a[i].Value.(type) {
		case nil:
			c = unset
		case int64:
			if y, ok := b[i].Value.(int64); ok {
				c = cmp.Compare(x, y)
			} else {
				c = -unset
			}
		case string:
			if y, ok := b[i].Value.(string); ok {
				c = cmp.Compare(x, y)
			} else {
				c = -unset
			}
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func (m *Memory) find(table string, key wall.Key) (int, bool) {
	return slices.BinarySearchFunc(m.rows[table], key, func(e wall.Entry, k wall.Key) int { return compare(e.Key, k, 1) })
}

// check evaluates a condition on the row at i.
func (m *Memory) check(table string, i int, there bool, e wall.Expect) error {
	switch {
	case e.Absent && there, e.Exists && !there, e.Column != "" && !there,
		e.Column != "" && m.rows[table][i].Row[e.Column] != e.Equals:
		return wall.ErrCondition
	}
	return nil
}

// Get implements wall.Store.
func (m *Memory) Get(ctx context.Context, table string, key wall.Key) (row wall.Row, err error) {
	err = m.do("get", table, func() error {
		if i, ok := m.find(table, key); ok {
			row = maps.Clone(m.rows[table][i].Row)
		}
		return nil
	})
	return row, err
}

// Put implements wall.Store.
func (m *Memory) Put(ctx context.Context, table string, key wall.Key, row wall.Row, expect wall.Expect) (wall.Key, error) {
	key = slices.Clone(key)
	err := m.do("put", table, func() error {
		for i, f := range key {
			if f.Value == nil {
				m.lastID++
				key[i].Value = m.lastID
			}
		}
		i, there := m.find(table, key)
		if err := m.check(table, i, there, expect); err != nil {
			return err
		}
		e := wall.Entry{Key: key, Row: maps.Clone(row)}
		if there {
			m.rows[table][i] = e
		} else {
			m.rows[table] = slices.Insert(m.rows[table], i, e)
		}
		return nil
	})
	return key, err
}

// Update implements wall.Store.
func (m *Memory) Update(ctx context.Context, table string, key wall.Key, set wall.Row, add map[string]int64, expect wall.Expect) error {
	return m.do("update", table, func() error {
		i, there := m.find(table, key)
		if err := m.check(table, i, there, expect); err != nil {
			return err
		}
		if !there {
			m.rows[table] = slices.Insert(m.rows[table], i, wall.Entry{Key: slices.Clone(key), Row: wall.Row{}})
		}
		row := m.rows[table][i].Row
		maps.Copy(row, set)
		for name, n := range add {
			old, _ := row[name].(int64)
			row[name] = old + n
		}
		return nil
	})
}

// Delete implements wall.Store.
func (m *Memory) Delete(ctx context.Context, table string, key wall.Key, expect wall.Expect) error {
	return m.do("delete", table, func() error {
		i, there := m.find(table, key)
		if err := m.check(table, i, there, expect); err != nil {
			return err
		}
		if there {
			m.rows[table] = slices.Delete(m.rows[table], i, i+1)
		}
		return nil
	})
}

// Range implements wall.Store.
func (m *Memory) Range(ctx context.Context, q wall.Query) (out []wall.Entry, err error) {
	err = m.do("range", q.Table, func() error {
		low, high := q.From, q.To
		rows := slices.Clone(m.rows[q.Table])
		if q.Backward {
			slices.Reverse(rows)
		}
		for _, e := range rows {
			if q.Backward {
				if compare(low, e.Key, 1) < 0 || compare(e.Key, high, -1) <= 0 && compare(high, e.Key, -1) >= 0 {
					continue
				}
			} else if compare(low, e.Key, -1) > 0 || compare(high, e.Key, 1) <= 0 {
				continue
			}
			out = append(out, wall.Entry{Key: e.Key, Row: maps.Clone(e.Row)})
			if q.Limit > 0 && len(out) == q.Limit {
				break
			}
		}
		return nil
	})
	return out, err
}
