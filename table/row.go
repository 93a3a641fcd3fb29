package table

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
)

// MaxRow is how long an encoded row may be, in bytes.
const MaxRow = 4 << 20

// maxDepth is how deep lists and maps may nest (DynamoDB has 32).
const maxDepth = 32

// The stored tags of values. Never renumber.
const (
	valNull = iota
	valFalse
	valTrue
	valInt
	valFloat
	valDecimal
	valString
	valBinary
	valList
	valMap
	valStringSet
	valNumberSet
	valBinarySet
)

// The bits of a stored row's second byte.
const (
	hasExpires = 1 << iota // Row.Expires follows
	hasDue                 // stored.due follows
	hasLife                // stored.life follows
	knownFlags = 1<<iota - 1
)

// stored is a row as the store has it: nothing hidden yet.
type stored struct {
	Row
	due  int64 // unix seconds under which the row stands in the expiry space; 0 is nowhere
	life int64 // index entries: unix ms from which Spec.TTL counts for the entry as a whole; 0 is for ever
}

// fewBytes is room for what most rows are encoded to.
const fewBytes = 256

// appendRow encodes all but the key.
func appendRow(b []byte, r *stored) ([]byte, error) {
	flags := byte(0)
	for _, f := range []struct {
		n   int64
		bit byte
	}{{r.Expires, hasExpires}, {r.due, hasDue}, {r.life, hasLife}} {
		if f.n != 0 {
			flags |= f.bit
		}
	}
	b = append(b, 1, flags)
	for _, n := range []int64{r.Expires, r.due, r.life} {
		if n != 0 {
			b = binary.BigEndian.AppendUint64(b, uint64(n))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(r.Columns)))
	for _, c := range r.Columns {
		b = appendString(b, c.Name)
		b = binary.AppendUvarint(b, uint64(len(c.Cells)))
		for _, cell := range c.Cells {
			b = binary.AppendVarint(b, cell.Time)
			var err error
			if b, err = appendValue(b, cell.Value, 0); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendValue(b []byte, v Value, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, sluice.Errorf(sluice.Invalid, "value is nested deeper than %d levels", maxDepth)
	}
	switch v.Type {
	case Null:
		return append(b, valNull), nil
	case Bool:
		if v.Int != 0 {
			return append(b, valTrue), nil
		}
		return append(b, valFalse), nil
	case Int:
		return binary.AppendVarint(append(b, valInt), v.Int), nil
	case Float:
		return binary.BigEndian.AppendUint64(append(b, valFloat), math.Float64bits(v.Float)), nil
	case Decimal:
		d, err := parseDecimal(v.Str)
		if err != nil {
			return nil, err
		}
		return d.append(append(b, valDecimal)), nil
	case String:
		return appendString(append(b, valString), v.Str), nil
	case Binary:
		return appendString(append(b, valBinary), v.Str), nil
	case List:
		return appendList(append(b, valList), v.List, depth)
	case StringSet:
		return appendSet(append(b, valStringSet), v.List, String, depth)
	case NumberSet:
		return appendSet(append(b, valNumberSet), v.List, Decimal, depth)
	case BinarySet:
		return appendSet(append(b, valBinarySet), v.List, Binary, depth)
	case Map:
		b = binary.AppendUvarint(append(b, valMap), uint64(len(v.Map)))
		for _, name := range slices.Sorted(maps.Keys(v.Map)) {
			var err error
			if b, err = appendValue(appendString(b, name), v.Map[name], depth+1); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, sluice.Errorf(sluice.Invalid, "a row cannot hold a %s", v.Type)
}

func appendList(b []byte, list []Value, depth int) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, v := range list {
		var err error
		if b, err = appendValue(b, v, depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// appendSet writes a set sorted and without repeats, so that equal sets are equal bytes.
func appendSet(b []byte, list []Value, of Type, depth int) ([]byte, error) {
	for _, v := range list {
		if v.Type != of {
			return nil, sluice.Errorf(sluice.Invalid, "a set of %s cannot hold a %s", of, v.Type)
		}
	}
	list = slices.SortedFunc(slices.Values(list), Compare)
	list = slices.CompactFunc(list, func(a, b Value) bool { return Compare(a, b) == 0 })
	return appendList(b, list, depth)
}

// decodeRow reads what appendRow wrote. Strings of the row share one copy of b; nothing else of the
// row refers to b.
func decodeRow(b []byte) (*stored, error) {
	r := &stored{}
	if err := r.decode(string(b), &slab{}); err != nil {
		return nil, err
	}
	return r, nil
}

// decode fills an empty row, which takes its memory from a slab.
func (r *stored) decode(b string, mem *slab) error {
	d := decoder{s: b, mem: mem}
	if d.byte() != 1 {
		return errCorrupt
	}
	flags := d.byte()
	if flags&^knownFlags != 0 {
		return errCorrupt
	}
	if flags&hasExpires != 0 {
		r.Expires = int64(d.fixed())
	}
	if flags&hasDue != 0 {
		r.due = int64(d.fixed())
	}
	if flags&hasLife != 0 {
		r.life = int64(d.fixed())
	}
	// The counts below are bounded by what is left to read, so that no lie can ask for much memory.
	if n := d.count(4); n > 0 {
		r.Columns = take(&mem.columns, n, min(mem.rows*n, mostThings))
	}
	for i := range r.Columns {
		c := &r.Columns[i]
		c.Name = d.str()
		n := d.count(2)
		if n == 0 {
			d.bad = true
			break
		}
		c.Cells = take(&mem.cells, n, min(max(mem.rows, 1)*(len(r.Columns)-i), mostThings))
		for j := range c.Cells {
			c.Cells[j].Time = d.varint()
			c.Cells[j].Value = d.value(0)
		}
	}
	if d.bad || d.s != "" {
		return errCorrupt
	}
	return nil
}

// slab is memory that decoded rows are cut from: a page of rows needs a few pieces of it instead of a
// few pieces a row. Nothing is ever cut twice.
type slab struct {
	rows    int // to come, for the size of the next piece; 0 is one
	values  []Value
	columns []Column
	cells   []Cell
	strings *strings.Builder
}

// How large a piece may become, in things and in bytes, unless one row needs more.
const (
	mostThings = 1024
	mostBytes  = 32 << 10
)

// text is a and b as one string.
func (m *slab) text(a, b []byte) string {
	n := len(a) + len(b)
	if m.strings == nil || m.strings.Cap()-m.strings.Len() < n {
		m.strings = &strings.Builder{}
		m.strings.Grow(max(n, min(m.rows*n, mostBytes)))
	}
	at := m.strings.Len()
	m.strings.Write(a)
	m.strings.Write(b)
	return m.strings.String()[at:]
}

// take cuts n from a piece of memory; when it is used up, the next has room for more, if that is more.
func take[T any](piece *[]T, n, more int) []T {
	if len(*piece) < n {
		*piece = make([]T, max(n, more))
	}
	list := (*piece)[:n:n]
	*piece = (*piece)[n:]
	return list
}

// decoder reads from the front of s. After the first fault it is bad and yields zeros.
type decoder struct {
	s   string
	bad bool
	mem *slab
}

func (d *decoder) take(n int) string {
	if d.bad || n < 0 || n > len(d.s) {
		d.bad, d.s = true, ""
		return ""
	}
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

func (d *decoder) byte() byte {
	if d.s == "" {
		d.bad = true
		return 0
	}
	c := d.s[0]
	d.s = d.s[1:]
	return c
}

func (d *decoder) fixed() uint64 {
	if s := d.take(8); s != "" {
		return be64(s)
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	if d.s != "" && d.s[0] < 0x80 {
		n := d.s[0]
		d.s = d.s[1:]
		return uint64(n)
	}
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		c := d.byte()
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
	d.bad = true
	return 0
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads a number of things that take at least size bytes each.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.s)/size) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *decoder) str() string { return d.take(d.count(1)) }

func (d *decoder) list(depth int) []Value {
	list := make([]Value, d.count(1))
	for i := range list {
		list[i] = d.value(depth + 1)
	}
	return list
}

func (d *decoder) set(t, of Type, depth int) Value {
	v := Value{Type: t, List: d.list(depth)}
	for _, e := range v.List {
		d.bad = d.bad || e.Type != of
	}
	return v
}

func (d *decoder) value(depth int) Value {
	if depth > maxDepth {
		d.bad = true
	}
	tag := d.byte()
	if d.bad {
		return Value{}
	}
	switch tag {
	case valNull:
		return Value{Type: Null}
	case valFalse:
		return Value{Type: Bool}
	case valTrue:
		return Value{Type: Bool, Int: 1}
	case valInt:
		return Value{Type: Int, Int: d.varint()}
	case valFloat:
		return Value{Type: Float, Float: math.Float64frombits(d.fixed())}
	case valDecimal:
		n, rest, err := cutDecimal(d.s)
		if err != nil {
			d.bad = true
			return Value{}
		}
		d.s = rest
		return Value{Type: Decimal, Str: n.String()}
	case valString:
		return Value{Type: String, Str: d.str()}
	case valBinary:
		return Value{Type: Binary, Str: d.str()}
	case valList:
		return Value{Type: List, List: d.list(depth)}
	case valStringSet:
		return d.set(StringSet, String, depth)
	case valNumberSet:
		return d.set(NumberSet, Decimal, depth)
	case valBinarySet:
		return d.set(BinarySet, Binary, depth)
	case valMap:
		n := d.count(2)
		m := make(map[string]Value, n)
		for range n {
			name := d.str()
			m[name] = d.value(depth + 1)
		}
		return Value{Type: Map, Map: m}
	}
	d.bad = true
	return Value{}
}

// live hides what is past its time (tablestore.md 5.3): nil when the row is. Lowering a table's TTL
// or MaxVersions thus hides data at once. r itself stays as it is.
func (t *Spec) live(r *stored, now int64) *Row {
	if r == nil || r.Expires != 0 && r.Expires <= now/1000 {
		return nil
	}
	keep := max(t.MaxVersions, 1)
	whole := true
	for _, c := range r.Columns {
		whole = whole && len(c.Cells) <= keep && !t.dead(c.Cells[len(c.Cells)-1].Time, now)
	}
	if whole {
		return &r.Row
	}
	row := &Row{Key: r.Key, Expires: r.Expires, Columns: make([]Column, 0, len(r.Columns))}
	for _, c := range r.Columns {
		n := min(len(c.Cells), keep)
		for n > 0 && t.dead(c.Cells[n-1].Time, now) {
			n--
		}
		if n > 0 {
			row.Columns = append(row.Columns, Column{c.Name, c.Cells[:n]})
		}
	}
	if len(row.Columns) == 0 {
		return nil // all it had is over; a row put without columns never comes here
	}
	return row
}

// dead says whether a cell of that time (unix ms) has outlived the table's TTL.
func (t *Spec) dead(time, now int64) bool {
	return t.TTL > 0 && time/1000+t.TTL < now/1000
}

// tidy makes the row that shall be stored from what a Mutate returned: columns sorted by name,
// versions newest first, one a time, no more than the table keeps.
func (t *Spec) tidy(key Key, r *Row) (*Row, error) {
	out := &Row{Key: key, Expires: r.Expires, Columns: make([]Column, 0, len(r.Columns))}
	keep := max(t.MaxVersions, 1)
	for _, c := range r.Columns {
		if len(c.Cells) == 0 {
			continue
		}
		cells := c.Cells
		newer := func(a, b Cell) int {
			switch {
			case a.Time > b.Time:
				return -1
			case a.Time < b.Time:
				return 1
			}
			return 0
		}
		if len(cells) > 1 {
			cells = slices.SortedStableFunc(slices.Values(cells), newer)
			cells = slices.CompactFunc(cells, func(a, b Cell) bool { return a.Time == b.Time })
		}
		out.Columns = append(out.Columns, Column{c.Name, cells[:min(len(cells), keep)]})
	}
	byName := func(a, b Column) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(out.Columns, byName) {
		slices.SortFunc(out.Columns, byName)
	}
	for i, c := range out.Columns {
		if i > 0 && c.Name == out.Columns[i-1].Name {
			return nil, sluice.Errorf(sluice.Invalid, "column %q is there twice", c.Name)
		}
	}
	return out, nil
}

// Column returns the column of that name; nil when the row has none.
func (r *Row) Column(name string) *Column {
	i, ok := slices.BinarySearchFunc(r.Columns, name, func(c Column, name string) int { return strings.Compare(c.Name, name) })
	if !ok {
		return nil
	}
	return &r.Columns[i]
}
