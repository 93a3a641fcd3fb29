// Package chattest has a table and connections in memory, for tests of the chat.
package chattest

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/sluicehq/sluice/apps/chat/internal/chat"
)

// Store is a table in memory.
type Store struct {
	mu   sync.Mutex // guards rows
	rows map[chat.Key]chat.Row

	// Before, if set, is called before each write with its changes, and may fail it.
	Before func([]chat.Change) error
}

var _ chat.Store = (*Store)(nil)

// Get implements [chat.Store].
func (s *Store) Get(_ context.Context, key chat.Key) (chat.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.rows[key]), nil
}

// Query implements [chat.Store].
func (s *Store) Query(_ context.Context, q chat.Query) ([]chat.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []chat.Key
	for k := range s.rows {
		if k.PK == q.PK && k.SK >= q.From && k.SK <= q.To {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b chat.Key) int { return strings.Compare(a.SK, b.SK) })
	if q.Backward {
		slices.Reverse(keys)
	}
	if q.Limit > 0 && len(keys) > q.Limit {
		keys = keys[:q.Limit]
	}
	rows := make([]chat.Row, len(keys))
	for i, k := range keys {
		rows[i] = maps.Clone(s.rows[k])
	}
	return rows, nil
}

// Write implements [chat.Store].
func (s *Store) Write(_ context.Context, changes ...chat.Change) (chat.Row, error) {
	if s.Before != nil {
		if err := s.Before(changes); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range changes {
		was := s.rows[c.Key]
		for _, cond := range c.If {
			v, ok := was[cond.Column]
			n, _ := v.(int64)
			limit, _ := cond.Value.(int64)
			if cond.Less && (!ok || n >= limit) || !cond.Less && v != cond.Value {
				return nil, &chat.ConditionError{Index: i, Row: maps.Clone(was)}
			}
		}
	}
	var row chat.Row
	for _, c := range changes {
		if c.Delete {
			delete(s.rows, c.Key)
			continue
		}
		if row = maps.Clone(s.rows[c.Key]); row == nil {
			row = chat.Row{}
		}
		maps.Copy(row, c.Set)
		for column, n := range c.Add {
			was, _ := row[column].(int64)
			row[column] = was + n
		}
		for _, column := range c.Remove {
			delete(row, column)
		}
		if s.rows == nil {
			s.rows = map[chat.Key]chat.Row{}
		}
		s.rows[c.Key] = row
	}
	if len(changes) > 1 {
		return nil, nil
	}
	return maps.Clone(row), nil
}

// Keys are the keys of all rows whose PK begins with a prefix.
func (s *Store) Keys(prefix string) []chat.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []chat.Key
	for k := range s.rows {
		if strings.HasPrefix(k.PK, prefix) {
			keys = append(keys, k)
		}
	}
	return keys
}

// Frame is what a page is told.
type Frame struct {
	Type, ID, Room, Nick, By, Code, Message string
	Seq, At                                 int64
	People                                  []string
	Entries                                 []chat.Entry
	More                                    bool
	Rooms                                   map[string]int64
	Nicks                                   map[string]string
	RetryAfter                              float64
}

// Lines are connections that keep what is pushed to them.
type Lines struct {
	mu   sync.Mutex // guards what follows
	got  map[string][]Frame
	gone map[string]bool
}

var _ chat.Pusher = (*Lines)(nil)

// Push implements [chat.Pusher].
func (l *Lines) Push(_ context.Context, conn string, data []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone[conn] {
		return chat.ErrGone
	}
	var f Frame
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	if l.got == nil {
		l.got = map[string][]Frame{}
	}
	l.got[conn] = append(l.got[conn], f)
	return nil
}

// Cut makes a connection gone without anybody being told.
func (l *Lines) Cut(conn string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone == nil {
		l.gone = map[string]bool{}
	}
	l.gone[conn] = true
}

// Take is what a connection got since it was last asked.
func (l *Lines) Take(conn string) []Frame {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.got[conn]
	delete(l.got, conn)
	return list
}
