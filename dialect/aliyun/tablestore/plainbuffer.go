package tablestore

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/sluicehq/sluice/table"
)

// PlainBuffer is the row format inside messages: a header, then rows of tagged cells, little endian,
// with a CRC-8 a cell and a row.

const plainHeader = 0x75

// The tags of PlainBuffer.
const (
	tagKey byte = iota + 1
	tagData
	tagCell
	tagName
	tagValue
	tagOp
	tagTime
	tagDelete
	tagRowCRC
	tagCellCRC
	tagExtension
	tagSequence
	tagEpoch
	tagStamp
	tagRowIndex
)

// variant is the type byte of a value on the wire.
type variant byte

// The variants. The last four occur in the keys of requests only, none where a cell has no value.
const (
	vtInteger variant = 0x00
	vtDouble  variant = 0x01
	vtBoolean variant = 0x02
	vtString  variant = 0x03
	vtBlob    variant = 0x07
	vtInfMin  variant = 0x09
	vtInfMax  variant = 0x0a
	vtAuto    variant = 0x0b
	vtNone    variant = 0xff
)

// String is the name that error texts use.
func (v variant) String() string {
	switch v {
	case vtInteger:
		return "VT_INTEGER"
	case vtDouble:
		return "VT_DOUBLE"
	case vtBoolean:
		return "VT_BOOLEAN"
	case vtString:
		return "VT_STRING"
	case vtBlob:
		return "VT_BLOB"
	case vtInfMin:
		return "VT_INF_MIN"
	case vtInfMax:
		return "VT_INF_MAX"
	case vtAuto:
		return "VT_AUTO_INCREMENT"
	}
	return "VT_NULL"
}

// variantOf is the wire's type for a room's; vtNone for one that Tablestore does not have.
func variantOf(t table.Type) variant {
	switch t {
	case table.Int:
		return vtInteger
	case table.Float:
		return vtDouble
	case table.Bool:
		return vtBoolean
	case table.String:
		return vtString
	case table.Binary:
		return vtBlob
	}
	return vtNone
}

// cellOp is what a cell of an update asks for.
type cellOp byte

// The cell operations.
const (
	opPut           cellOp = 0
	opDeleteAll     cellOp = 1
	opDeleteVersion cellOp = 3
	opIncrement     cellOp = 4
)

// cell is one cell on the wire.
type cell struct {
	Name    string
	Kind    variant
	Value   table.Value // Min for INF_MIN and AUTO_INCREMENT, Max for INF_MAX
	Op      cellOp
	Time    int64 // unix ms
	HasTime bool
}

// size is what a cell counts against the limits of a request.
func (c *cell) size() int { return len(c.Name) + valueSize(c.Value) }

// wireRow is one row on the wire.
type wireRow struct {
	Key    []cell
	Cells  []cell
	Delete bool

	Sequence *sequence // of a row in a stream; only written
}

// The faults of PlainBuffer; they end the text "Cell data broken, ".
var (
	errHeader    = errors.New("mismatch header")
	errNoKey     = errors.New("PK is empty.")
	errChecksum  = errors.New("checksum is mismatch")
	errRowEnd    = errors.New("row is not end with checksum tag.")
	errCellEnd   = errors.New("cell is not end with checksum tag.")
	errTruncated = errors.New("unexpected end of data.")
	errVariant   = errors.New("invalid cell value.")
	errOp        = errors.New("invalid cell type.")
)

// parseRow reads a header and one row. What follows the row is ignored: the Node SDK sends its
// whole, too large buffer.
func parseRow(b []byte) (wireRow, error) {
	r := newReader(b)
	if r.int32() != plainHeader || r.err != nil {
		return wireRow{}, errHeader
	}
	row := r.row()
	return row, r.err
}

// reader consumes PlainBuffer; after an error it reads zeros.
type reader struct {
	b    []byte // what is left
	text string // the same bytes, and those before, of which strings are parts
	err  error
}

func newReader(b []byte) reader { return reader{b: b, text: string(b)} }

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail(errTruncated)
		return nil
	}
	head := r.b[:n:n]
	r.b = r.b[n:]
	return head
}

func (r *reader) string(n int) string {
	at := len(r.text) - len(r.b)
	return r.text[at : at+len(r.bytes(n))]
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) int32() int {
	if b := r.bytes(4); b != nil {
		return int(int32(binary.LittleEndian.Uint32(b)))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.bytes(8); b != nil {
		return int64(binary.LittleEndian.Uint64(b))
	}
	return 0
}

// tag consumes the next byte if it is t.
func (r *reader) tag(t byte) bool {
	if len(r.b) == 0 || r.b[0] != t {
		return false
	}
	r.b = r.b[1:]
	return true
}

func (r *reader) row() wireRow {
	var row wireRow
	var sum byte
	if !r.tag(tagKey) {
		r.fail(errNoKey)
	}
	row.Key = r.cells(&sum)
	if len(row.Key) == 0 {
		r.fail(errNoKey)
	}
	if r.tag(tagData) {
		row.Cells = r.cells(&sum)
	}
	row.Delete = r.tag(tagDelete)
	if row.Delete {
		sum = crc(sum, 1)
	} else {
		sum = crc(sum, 0)
	}
	if !r.tag(tagRowCRC) {
		r.fail(errRowEnd)
	}
	if r.byte() != sum {
		r.fail(errChecksum)
	}
	return row
}

// cells reads cells as long as there are any and adds their checksums to sum.
func (r *reader) cells(sum *byte) []cell {
	var cells []cell
	for r.tag(tagCell) {
		if cells == nil {
			cells = make([]cell, 0, min(8, 1+len(r.b)/32)) // most cells have at least so many bytes
		}
		var c cell
		if !r.tag(tagName) {
			r.fail(errTruncated)
		}
		c.Name = r.string(r.int32())
		var raw []byte
		c.Kind = vtNone
		if r.tag(tagValue) {
			raw = r.bytes(r.int32())
			v := reader{b: raw, text: r.text[:len(r.text)-len(r.b)]}
			c.Kind, c.Value = v.variant()
			if v.err != nil || len(v.b) > 0 {
				r.fail(errVariant)
			}
		}
		if r.tag(tagOp) {
			c.Op = cellOp(r.byte())
			if c.Op != opDeleteAll && c.Op != opDeleteVersion && c.Op != opIncrement {
				r.fail(errOp)
			}
		}
		if c.HasTime = r.tag(tagTime); c.HasTime {
			c.Time = r.int64()
		}
		if !r.tag(tagCellCRC) {
			r.fail(errCellEnd)
		}
		check := c.crc(raw)
		if r.byte() != check {
			r.fail(errChecksum)
		}
		*sum = crc(*sum, check)
		cells = append(cells, c)
	}
	return cells
}

// variant reads one value: its type byte and payload.
func (r *reader) variant() (variant, table.Value) {
	kind := variant(r.byte())
	var v table.Value
	switch kind {
	case vtInteger:
		v = table.Value{Type: table.Int, Int: r.int64()}
	case vtDouble:
		v = table.Value{Type: table.Float, Float: math.Float64frombits(uint64(r.int64()))}
	case vtBoolean:
		v = table.Value{Type: table.Bool}
		if r.byte() != 0 {
			v.Int = 1
		}
	case vtString:
		v = table.Value{Type: table.String, Str: r.string(r.int32())}
	case vtBlob:
		v = table.Value{Type: table.Binary, Str: r.string(r.int32())}
	case vtInfMin, vtAuto:
		v = table.Value{Type: table.Min}
	case vtInfMax:
		v = table.Value{Type: table.Max}
	default:
		r.fail(errVariant)
	}
	return kind, v
}

// crc is the cell's checksum; raw is its value as it is on the wire, nil for none.
func (c *cell) crc(raw []byte) byte {
	sum := crc(crc(0, []byte(c.Name)...), raw...)
	if c.HasTime {
		sum = crc(sum, binary.LittleEndian.AppendUint64(nil, uint64(c.Time))...)
	}
	if c.Op != opPut {
		sum = crc(sum, byte(c.Op))
	}
	return sum
}

func appendHeader(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, plainHeader)
}

// appendRow writes a row without a header.
func appendRow(b []byte, row wireRow) []byte {
	var sum byte
	b = append(b, tagKey)
	b = appendCells(b, row.Key, &sum)
	if len(row.Cells) > 0 {
		b = append(b, tagData)
		b = appendCells(b, row.Cells, &sum)
	}
	if row.Delete {
		b = append(b, tagDelete)
		sum = crc(sum, 1)
	} else {
		sum = crc(sum, 0)
	}
	if row.Sequence != nil {
		b = row.Sequence.append(b)
	}
	return append(b, tagRowCRC, sum)
}

func appendCells(b []byte, cells []cell, sum *byte) []byte {
	for i := range cells {
		c := &cells[i]
		b = append(b, tagCell, tagName)
		b = appendString(b, c.Name)
		var raw []byte
		if c.Kind != vtNone {
			b = append(b, tagValue, 0, 0, 0, 0)
			at := len(b)
			b = appendVariant(b, c.Kind, c.Value)
			raw = b[at:]
			binary.LittleEndian.PutUint32(b[at-4:], uint32(len(raw)))
		}
		check := c.crc(raw)
		if c.Op != opPut {
			b = append(b, tagOp, byte(c.Op))
		}
		if c.HasTime {
			b = binary.LittleEndian.AppendUint64(append(b, tagTime), uint64(c.Time))
		}
		b = append(b, tagCellCRC, check)
		*sum = crc(*sum, check)
	}
	return b
}

func appendVariant(b []byte, kind variant, v table.Value) []byte {
	b = append(b, byte(kind))
	switch kind {
	case vtInteger:
		b = binary.LittleEndian.AppendUint64(b, uint64(v.Int))
	case vtDouble:
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Float))
	case vtBoolean:
		b = append(b, byte(v.Int))
	case vtString, vtBlob:
		b = appendString(b, v.Str)
	}
	return b
}

func appendString[T string | []byte](b []byte, s T) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}

// valueSize is what a value counts in limits and consumed capacity.
func valueSize(v table.Value) int {
	switch v.Type {
	case table.Int, table.Float:
		return 8
	case table.Bool:
		return 1
	}
	return len(v.Str)
}

// crc continues a CRC-8 (polynomial 7, no reflection).
func crc(sum byte, data ...byte) byte {
	for _, b := range data {
		sum = crcTable[sum^b]
	}
	return sum
}

var crcTable = func() (t [256]byte) {
	for i := range t {
		c := byte(i)
		for range 8 {
			if c&0x80 != 0 {
				c = c<<1 ^ 7
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}()
