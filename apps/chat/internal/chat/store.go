package chat

import (
	"context"
	"fmt"
)

// Key names a row.
type Key struct{ PK, SK string }

// Row holds columns by name, the key's aside. Values are string or int64.
type Row map[string]any

func (r Row) text(column string) string {
	s, _ := r[column].(string)
	return s
}

func (r Row) number(column string) int64 {
	n, _ := r[column].(int64)
	return n
}

// Cond is a condition on a row as it is before a write.
type Cond struct {
	Column string
	Less   bool // the column is there and less than Value; else it equals Value
	Value  any  // nil: the column is absent
}

// Change is a write of one row. A row that is not there is made, unless If forbids.
type Change struct {
	Key    Key
	Set    Row
	Add    map[string]int64 // a column that is absent counts as 0
	Remove []string
	Delete bool // the whole row
	If     []Cond
}

// Query asks for the rows of one PK with From <= SK <= To, in order of SK.
type Query struct {
	PK, From, To string
	Backward     bool
	Limit        int // rows; 0 is all
}

// Store is what the chat needs of a table. Its methods may be called concurrently, and what was written
// is read by whoever comes after.
type Store interface {
	// Get returns a row; nil when there is none.
	Get(ctx context.Context, key Key) (Row, error)
	// Query returns rows in the query's order.
	Query(ctx context.Context, q Query) ([]Row, error)
	// Write makes all of the changes or none. For one change alone it returns the row as it is then. A
	// condition that does not hold is a *ConditionError.
	Write(ctx context.Context, changes ...Change) (Row, error)
}

// ConditionError says which change met a row that is not as expected.
type ConditionError struct {
	Index int // of the change
	Row   Row // as it is; nil when there is none
}

// Error implements error.
func (e *ConditionError) Error() string {
	return fmt.Sprintf("chat: row of change %d is not as expected", e.Index)
}

func connKey(id string) Key             { return Key{"conn#" + id, "conn"} }
func roomKey(room string) Key           { return Key{"room#" + room, "room"} }
func memberKey(room, nick string) Key   { return Key{"room#" + room, "who#" + fold(nick)} }
func entryKey(room string, n int64) Key { return Key{"log#" + room, fmt.Sprintf("%015d", n)} }
func sentKey(room, id string) Key       { return Key{"sent#" + room + "#" + id, "sent"} }
