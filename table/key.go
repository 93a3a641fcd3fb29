package table

import (
	"cmp"
	"crypto/md5"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

// The tags of key columns order the types and the infinities.
const (
	tagMin     = 0x00 // bounds only
	tagBool    = 0x10
	tagInt     = 0x20
	tagFloat   = 0x24
	tagDecimal = 0x28
	tagString  = 0x30
	tagBinary  = 0x40
	tagMax     = 0xff // bounds only
)

// errCorrupt says that stored bytes are not what this package wrote.
var errCorrupt = sluice.Errorf(sluice.Internal, "table: stored bytes are corrupt")

// KeyError says that a key does not fit its table: a wrong number of columns, or a wrong type.
type KeyError struct {
	Table  string
	Column string // "" when the number of columns is wrong
	Msg    string
}

// Error names table and column.
func (e *KeyError) Error() string {
	if e.Column == "" {
		return "key of table " + e.Table + " " + e.Msg
	}
	return "key column " + e.Column + " of table " + e.Table + " " + e.Msg
}

// Kind is Invalid.
func (e *KeyError) Kind() sluice.Kind { return sluice.Invalid }

// appendKeyValue encodes one value so that bytes order as values do.
func appendKeyValue(b []byte, v Value) ([]byte, error) {
	switch v.Type {
	case Min:
		return append(b, tagMin), nil
	case Max:
		return append(b, tagMax), nil
	case Bool:
		return append(b, tagBool, byte(min(v.Int, 1))), nil
	case Int:
		return binary.BigEndian.AppendUint64(append(b, tagInt), uint64(v.Int)^1<<63), nil
	case Float:
		n := math.Float64bits(v.Float + 0) // -0 is 0
		if n>>63 == 0 {
			n |= 1 << 63
		} else {
			n = ^n
		}
		return binary.BigEndian.AppendUint64(append(b, tagFloat), n), nil
	case Decimal:
		d, err := parseDecimal(v.Str)
		if err != nil {
			return b, err
		}
		return d.append(append(b, tagDecimal)), nil
	case String:
		return appendEscaped(append(b, tagString), v.Str), nil
	case Binary:
		return appendEscaped(append(b, tagBinary), v.Str), nil
	}
	return b, sluice.Errorf(sluice.Invalid, "a key cannot hold a %s", v.Type)
}

// appendEscaped writes s with 0x00 as 0x00 0xff, and an end of 0x00 0x01 that sorts before both.
func appendEscaped(b []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			return append(append(b, s...), 0, 1)
		}
		b = append(append(b, s[:i]...), 0, 0xff)
		s = s[i+1:]
	}
}

// cutKeyValue decodes one stored value from the front of s.
func cutKeyValue(s string) (v Value, rest string, err error) {
	if s == "" {
		return v, "", errCorrupt
	}
	tag, s := s[0], s[1:]
	switch tag {
	case tagBool:
		if s == "" {
			return v, "", errCorrupt
		}
		return Value{Type: Bool, Int: int64(s[0])}, s[1:], nil
	case tagFloat:
		if len(s) < 8 {
			return v, "", errCorrupt
		}
		n := be64(s)
		if n>>63 == 1 {
			n &^= 1 << 63
		} else {
			n = ^n
		}
		return Value{Type: Float, Float: math.Float64frombits(n)}, s[8:], nil
	case tagInt:
		if len(s) < 8 {
			return v, "", errCorrupt
		}
		return Value{Type: Int, Int: int64(be64(s) ^ 1<<63)}, s[8:], nil
	case tagDecimal:
		d, rest, err := cutDecimal(s)
		return Value{Type: Decimal, Str: d.String()}, rest, err
	case tagString:
		str, rest, err := cutEscaped(s)
		return Value{Type: String, Str: str}, rest, err
	case tagBinary:
		str, rest, err := cutEscaped(s)
		return Value{Type: Binary, Str: str}, rest, err
	}
	return v, "", errCorrupt
}

func cutEscaped(s string) (val, rest string, err error) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 || i+1 == len(s) {
			return "", "", errCorrupt
		}
		switch s[i+1] {
		case 1:
			if b.Len() == 0 {
				return s[:i], s[i+2:], nil
			}
			b.WriteString(s[:i])
			return b.String(), s[i+2:], nil
		case 0xff:
			b.WriteString(s[:i+1])
			s = s[i+2:]
		default:
			return "", "", errCorrupt
		}
	}
}

func be64(s string) uint64 {
	var n uint64
	for i := range 8 {
		n = n<<8 | uint64(s[i])
	}
	return n
}

// space is a stretch of the store that holds keys of the same columns: a table's rows, or one index.
type space struct {
	table  string // for errors
	prefix []byte
	cols   []KeyColumn
	hash   bool // a bucket of the first column precedes the columns
	// scatter is where the columns of the table's key are among cols, when a hash of them stands between own
	// columns and the rest; nil when there is no such hash.
	scatter []int
	own     int
}

func (t *Spec) rows() space {
	return space{table: t.Name, prefix: binary.BigEndian.AppendUint32(append(make([]byte, 0, 5), 'R'), t.ID), cols: t.Key, hash: t.Hash}
}

func (t *Spec) index(x *Index) space {
	p := binary.BigEndian.AppendUint32(append(make([]byte, 0, 9), 'I'), t.ID)
	s := space{table: t.Name, prefix: binary.BigEndian.AppendUint32(p, x.ID), cols: t.IndexColumns(x), hash: x.Hash}
	if x.Scatter && len(s.cols) > len(x.Key) {
		s.own = len(x.Key)
		for _, k := range t.Key {
			s.scatter = append(s.scatter, slices.IndexFunc(s.cols, func(c KeyColumn) bool { return c.Name == k.Name }))
		}
	}
	return s
}

// IndexColumns are the columns of an index's key: its own, then the table's key columns that are not
// among them. A row read from the index has its Key in this order.
func (t *Spec) IndexColumns(x *Index) []KeyColumn {
	cols := append(make([]KeyColumn, 0, len(x.Key)+len(t.Key)), x.Key...)
next:
	for _, k := range t.Key {
		for _, c := range x.Key {
			if c.Name == k.Name {
				continue next
			}
		}
		cols = append(cols, KeyColumn{Name: k.Name, Type: k.Type})
	}
	return cols
}

// FindIndex returns the index of that name; nil when there is none.
func (t *Spec) FindIndex(name string) *Index {
	for i := range t.Indexes {
		if t.Indexes[i].Name == name {
			return &t.Indexes[i]
		}
	}
	return nil
}

// buckets is how many stretches a hashed space has.
const buckets = 1 << 16

// bucket spreads partition values over the stretches.
func bucket(v Value) uint16 {
	sum := spread(v)
	return binary.BigEndian.Uint16(sum[:])
}

// spread is DynamoDB's hash, as far as recorded answers show it, so that its clients meet rows in the order
// that they know: MD5 of a fixed word and the bytes of a partition value, or of a whole key. The bytes of a
// number are its packed form.
func spread(key ...Value) [md5.Size]byte {
	b := append(make([]byte, 0, 128), "Outliers"...)
	for _, v := range key {
		switch v.Type {
		case String, Binary:
			b = append(b, v.Str...)
		case Decimal:
			d, _ := parseDecimal(v.Str) // a bad one is refused when it is encoded
			b = append(b, d.pack()...)
		default:
			b, _ = appendKeyValue(b, v)
		}
	}
	return md5.Sum(b)
}

// scattered is how many bytes of the hash of a table's key stand in an index.
const scattered = 3

// key encodes a whole key: every column, of its type, no infinities.
func (s space) key(k Key) ([]byte, error) {
	if len(k) != len(s.cols) {
		return nil, &KeyError{s.table, "", "needs " + strconv.Itoa(len(s.cols)) + " columns"}
	}
	for i, c := range s.cols {
		if k[i].Type != c.Type {
			return nil, &KeyError{s.table, c.Name, "is " + k[i].Type.String() + ", not " + c.Type.String()}
		}
	}
	return s.encode(k)
}

func (s space) encode(k Key) ([]byte, error) {
	b := make([]byte, len(s.prefix), 64)
	copy(b, s.prefix)
	start := len(b)
	if s.hash {
		b = append(b, 0, 0)
		start = len(b)
	}
	for i, v := range k {
		if i == s.own && s.scatter != nil && v.Type == Max {
			b = append(b, "\xff\xff\xff"[:scattered]...) // behind every hash
		} else if i == s.own && s.scatter != nil && v.Type != Min {
			var key Key
			for _, at := range s.scatter {
				if at >= len(k) || k[at].Type == Min || k[at].Type == Max {
					return nil, &KeyError{s.table, "", "has all columns of the table's key or none"}
				}
				key = append(key, k[at])
			}
			sum := spread(key...)
			b = append(b, sum[:scattered]...)
		}
		var err error
		if b, err = appendKeyValue(b, v); err != nil {
			return nil, err
		}
		if i == 0 && s.hash {
			binary.BigEndian.PutUint16(b[start-2:], bucket(v))
		}
	}
	return b, nil
}

// bound encodes one end of a range. Columns may be Min or Max, missing ones are Min, and one more
// Min or Max than there are columns is allowed: Max there means "just after this key".
func (s space) bound(k Key) ([]byte, error) {
	end := len(k)
	for i, v := range k {
		if v.Type == Min || v.Type == Max {
			end = i + 1
			break
		}
		if i >= len(s.cols) {
			return nil, &KeyError{s.table, "", "has " + strconv.Itoa(len(s.cols)) + " columns"}
		}
		if v.Type != s.cols[i].Type {
			return nil, &KeyError{s.table, s.cols[i].Name, "is " + v.Type.String() + ", not " + s.cols[i].Type.String()}
		}
	}
	k = k[:end]
	if s.hash && (len(k) == 0 || k[0].Type == Min) {
		return s.prefix, nil // before every bucket
	}
	if s.hash && k[0].Type == Max {
		return append(append([]byte(nil), s.prefix...), 0xff, 0xff, tagMax), nil
	}
	return s.encode(k)
}

// edge is a bound as the first byte string that a walk to or from it does not go below, or that it
// stays below. A whole key with a Min behind it is just before that key.
func (s space) edge(k Key, reverse bool) ([]byte, error) {
	if n := len(s.cols); len(k) == n+1 && k[n].Type == Min {
		return s.bound(k[:n])
	}
	b, err := s.bound(k)
	if reverse {
		// To < key <= From: keys are self-delimiting, so no key lies between k and k+0x00.
		b = append(slices.Clone(b), 0)
	}
	return b, err
}

// part is where the keys of the i-th of n equal stretches of buckets begin, and where they have ended.
func (s space) part(i, n int) (lo, hi []byte) {
	at := func(i int) []byte {
		if b := (i*buckets + n - 1) / n; b < buckets {
			return binary.BigEndian.AppendUint16(slices.Clone(s.prefix), uint16(b))
		}
		return kv.PrefixEnd(s.prefix)
	}
	return at(i), at(i + 1)
}

// PartOf says in which of n parts (Range.Parts) of a hashed table or index the rows stand whose first
// key column has that value.
func PartOf(first Value, n int) (int, error) {
	_, err := appendKeyValue(nil, first)
	return int(bucket(first)) * n / buckets, err
}

// decode reads back what key wrote.
func (s space) decode(b []byte) (Key, error) { return s.cut(string(b), &slab{}) }

// cut is decode into memory from a slab.
func (s *space) cut(b string, mem *slab) (Key, error) {
	skip := len(s.prefix)
	if s.hash {
		skip += 2
	}
	if len(b) < skip {
		return nil, errCorrupt
	}
	rest := b[skip:]
	k := take(&mem.values, len(s.cols), min(mem.rows*len(s.cols), mostThings))
	var err error
	for i := range k {
		if i == s.own && s.scatter != nil {
			if len(rest) < scattered {
				return nil, errCorrupt
			}
			rest = rest[scattered:]
		}
		if k[i], rest, err = cutKeyValue(rest); err != nil {
			return nil, err
		}
	}
	if rest != "" {
		return nil, errCorrupt
	}
	return k, nil
}

// Compare orders two values as keys do: by type (Min, Bool, Int, Float, Decimal, String, Binary, Max), then
// by value. Values that cannot be in a key, and bad numbers, are equal to each other and come last.
func Compare(a, b Value) int {
	if a.Type == b.Type {
		switch a.Type {
		case Int:
			return cmp.Compare(a.Int, b.Int)
		case String, Binary:
			return strings.Compare(a.Str, b.Str)
		}
	}
	x, errX := appendKeyValue(nil, a)
	y, errY := appendKeyValue(nil, b)
	switch {
	case errX != nil && errY != nil:
		return 0
	case errX != nil:
		return 1
	case errY != nil:
		return -1
	}
	return strings.Compare(string(x), string(y))
}

// CompareKeys orders two keys column by column; a key comes before its own extensions.
func CompareKeys(a, b Key) int {
	for i := range min(len(a), len(b)) {
		if c := Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return len(a) - len(b)
}
