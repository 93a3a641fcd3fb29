package table

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/sluicehq/sluice"
)

// Type is the type of a value.
type Type uint8

// The types. Keys of tables are made of Int, Decimal, String and Binary, keys of indexes of Bool and Float, too.
const (
	Null Type = iota
	Bool
	Int     // int64
	Float   // float64
	Decimal // DynamoDB's number, canonical text in Str
	String
	Binary
	List
	Map
	StringSet
	NumberSet
	BinarySet
	Min // before every key value: bounds only
	Max // after every key value: bounds only
)

// String is the type in lower case.
func (t Type) String() string {
	names := [...]string{"null", "bool", "int", "float", "decimal", "string", "binary", "list", "map",
		"string set", "number set", "binary set", "min", "max", "unknown"}
	return names[min(int(t), len(names)-1)]
}

// Value is one typed value. Which field holds it follows from Type.
type Value struct {
	Type  Type
	Int   int64 // Int; Bool as 0 or 1
	Float float64
	Str   string  // String, Decimal, the bytes of Binary
	List  []Value // List and the sets; sets are stored sorted and without repeats
	Map   map[string]Value
}

// What clients keep for us is JSON, which has no infinite numbers, nor strings of any bytes.
type (
	plainValue Value
	jsonValue  struct {
		plainValue
		Float uint64
		Str   []byte
	}
)

// MarshalJSON writes Float as its bits and Str in base64.
func (v Value) MarshalJSON() ([]byte, error) {
	return json.Marshal(jsonValue{plainValue(v), math.Float64bits(v.Float), []byte(v.Str)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *Value) UnmarshalJSON(b []byte) error {
	var j jsonValue
	err := json.Unmarshal(b, &j)
	*v = Value(j.plainValue)
	v.Float, v.Str = math.Float64frombits(j.Float), string(j.Str)
	return err
}

// Cell is one version of one column.
type Cell struct {
	Value Value
	Time  int64 // unix ms
}

// Column is a named column with its versions, newest first, at least one.
type Column struct {
	Name  string
	Cells []Cell
}

// Key is the primary key of a row: its values in the order of the table's key columns.
type Key []Value

// Row is one row: its key and its other columns, sorted by name.
type Row struct {
	Key     Key
	Columns []Column
	Expires int64 // unix seconds; 0 is never
}

// KeyColumn describes one column of a primary key.
type KeyColumn struct {
	Name          string `json:"name"`
	Type          Type   `json:"type"` // Int, Decimal, String or Binary; in an index Bool or Float, too
	AutoIncrement bool   `json:"auto,omitempty"`
}

// Spec describes a table. Names are scoped: Tablestore's instance, or an AWS account.
type Spec struct {
	Scope       string      `json:"scope"`
	Name        string      `json:"name"`
	Key         []KeyColumn `json:"key"`
	MaxVersions int         `json:"maxVersions"`   // of a column; 0 is 1
	TTL         int64       `json:"ttl,omitempty"` // seconds that a cell lives; 0 or -1 is for ever
	// Ends names a column, Int or Decimal, of the key or not, that says when (unix seconds) its row ends. Readers see the row
	// until the sweeper has removed it. A time more than five years before the write is none.
	Ends     string  `json:"ends,omitempty"`
	Hash     bool    `json:"hash,omitempty"`
	Indexes  []Index `json:"indexes,omitempty"`
	Stream   *Stream `json:"stream,omitempty"`
	Sessions bool    `json:"sessions,omitempty"` // Begin is allowed; costs each write a read
	// Extra is what only the dialect understands (defined columns, throughput, tags), kept unread.
	Extra []byte `json:"extra,omitempty"`

	ID        uint32 `json:"id"`        // given by Create, never reused
	Version   uint64 `json:"version"`   // grows with every Alter
	NextIndex uint32 `json:"nextIndex"` // the ID of the next index; Create and Alter keep it
	Created   int64  `json:"created"`   // unix ms
}

// Index is a secondary index, kept in the same transaction as its table.
type Index struct {
	Name    string      `json:"name"`
	Key     []KeyColumn `json:"key"`               // index columns; the table's own key columns follow unread
	Project []string    `json:"project,omitempty"` // columns copied
	All     bool        `json:"all,omitempty"`     // all columns copied
	Hash    bool        `json:"hash,omitempty"`
	Extra   []byte      `json:"extra,omitempty"`
	ID      uint32      `json:"id"`
	// Cut is how many bytes of a String column of its own the index's key holds; 0 is all of them.
	Cut int `json:"cut,omitempty"`
	// Scatter puts rows that are equal in the index's own columns in the order of a hash of the table's key, as
	// DynamoDB does. A bound then has all columns of the table's key, or none.
	Scatter bool `json:"scatter,omitempty"`
	// Late leaves out the rows that are older than the index, until they are written again.
	Late bool `json:"late,omitempty"`
	// Sizes are how many bytes a String or Binary value of each of the index's own columns may have; a row with
	// a longer or an empty one has no place in the index. Nil is any length. The table's own key is not measured.
	Sizes []int `json:"sizes,omitempty"`
	// Building is set while rows older than the index are still being entered: it cannot be read yet.
	Building bool `json:"building,omitempty"`
}

// Stream asks for a change record of every write.
type Stream struct {
	Hours int    `json:"hours"` // that a record is kept
	Extra []byte `json:"extra,omitempty"`
	// Paused makes no new records; those that are there stay their time.
	Paused bool `json:"paused,omitempty"`
}

// Mutate decides one write: it gets the row as it stands (nil when there is none) and returns the row
// as it shall be (nil deletes it). It is where a dialect's conditions and update expressions are
// evaluated, inside the transaction: pure, fast, and maybe run more than once. The row it gets must
// not be changed. now is unix ms. Its error refuses the write and comes back untouched.
type Mutate func(cur *Row, now int64) (*Row, error)

// Op is one write to one row: Put or Do.
type Op struct {
	Table *Spec
	Key   Key // an auto-increment column given as Min is filled in
	// Put is the row that shall be there, whatever was. One that is there already makes no record. If neither an index
	// nor a stream nor a time to live depends on what was there, it is not read: Change.Before is nil.
	Put  *Row
	Do   Mutate // when Put is nil
	Note []byte // kept with the record of the table's stream, unread

	session string // whose hold lets the op pass; see Session

	// What is known before the op's turn comes. Nil when it is not, or is wrong.
	rowKey []byte
	after  *Row   // of a put that reads nothing
	val    []byte // after, encoded
}

// Ref names one row.
type Ref struct {
	Table *Spec
	Key   Key
}

// Change is what an Op did.
type Change struct {
	Key           Key // with auto-increment filled in
	Before, After *Row
	Err           error // of this Op alone, in Apply of several
}

// Range asks for rows between two keys. From is inclusive and To exclusive, in the direction of the
// walk, as Tablestore's GetRange has it; columns may be Min or Max, missing ones are Min. A Max after
// the last column means "just after this key", which turns inclusive into exclusive and back, and a Min
// there "just before it".
// A nil end is that of the whole table. A table or index with Hash is ordered within one value of its first column only; from Min to Max it
// is walked in an order of its own, which Next continues.
type Range struct {
	Table    *Spec
	Index    string // "" walks the table itself; else keys are those of Spec.IndexColumns
	From     Key
	To       Key
	Reverse  bool
	MaxRows  int // rows looked at; 0 is 5,000
	MaxBytes int // bytes looked at; 0 is 4 MiB

	// Parts splits a table or index with Hash into so many stretches of about equal size, of which the walk
	// stays in the Part-th, from 0; 0 is no split. Parts have no order among each other's keys.
	Part, Parts int
}

// Page is the answer to a Range.
type Page struct {
	Rows []Row
	Next Key // of the row to read next, to go on with as From; nil when the range is done
	Seen int // bytes looked at
}

// Record is one entry of a table's stream.
type Record struct {
	Seq           uint64 // from 1, without gaps, in the order of commits
	Time          int64  // of the commit, unix ms
	Key           Key
	Before, After *Row   // nil when there was, or is, no row
	Expired       bool   // the sweeper removed the row, not a client
	Note          []byte // of the Op; nil when it had none
}

// ExistsError says that a table is there already.
type ExistsError struct{ Scope, Name string }

// Error names the table.
func (e *ExistsError) Error() string { return "table " + e.Name + " exists" }

// Kind is Exists.
func (e *ExistsError) Kind() sluice.Kind { return sluice.Exists }

// MissingError says that a table is not there (any more), or that it has no such index.
type MissingError struct {
	Scope, Name string
	Index       string // "" when the table itself is missing
}

// Error names the table.
func (e *MissingError) Error() string {
	if e.Index != "" {
		return "table " + e.Name + " has no index " + e.Index
	}
	return "table " + e.Name + " does not exist"
}

// Kind is Missing.
func (e *MissingError) Kind() sluice.Kind { return sluice.Missing }

// TransactError says which operations of a Transact were refused. None was done.
type TransactError struct {
	Errs []error // one an Op, nil for those that would have been done
}

// First is the index and error of the first refused operation.
func (e *TransactError) First() (int, error) {
	for i, err := range e.Errs {
		if err != nil {
			return i, err
		}
	}
	return -1, nil
}

// Error tells the first refused operation.
func (e *TransactError) Error() string {
	i, err := e.First()
	return fmt.Sprintf("operation %d: %v", i, err)
}

// Unwrap returns the first refusal.
func (e *TransactError) Unwrap() error {
	_, err := e.First()
	return err
}

// Kind is that of the first refusal.
func (e *TransactError) Kind() sluice.Kind { return sluice.KindOf(e.Unwrap()) }
