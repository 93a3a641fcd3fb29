package tablestore

import (
	"encoding/binary"
	"slices"

	"github.com/sluicehq/sluice/table"
)

// SimpleRowMatrix, the other form of the rows of a GetRange (spec 2.3): the columns' names come once, for all rows.

const (
	blockMatrix  = 1 // on the wire
	matrixHeader = 0x304d5253
	matrixCRC    = 1
	matrixRow    = 2
	matrixRows   = 3
	matrixWhole  = 10
	matrixNone   = 6 // the type of a column that a row does not have
)

// matrix reports whether the rows may come as a matrix: all of them with the same columns, and one version of each.
func (r *getRangeRequest) matrix() bool {
	return r.Block == blockMatrix && len(r.Columns) > 0 && r.MaxVersions != nil && *r.MaxVersions == 1
}

// appendMatrix writes rows of a table, with the columns that were asked for.
func appendMatrix(b []byte, key []table.KeyColumn, asked []string, rows []wireRow) []byte {
	var names, attributes []string
	for _, k := range key {
		names = append(names, k.Name)
	}
	for _, name := range asked {
		if !slices.Contains(names, name) && !slices.Contains(attributes, name) {
			attributes = append(attributes, name)
		}
	}
	const offsets = 4 // where the offsets of data and options are
	b = binary.LittleEndian.AppendUint32(b, matrixHeader)
	b = append(b, make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(names)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(attributes)))
	for _, name := range slices.Concat(names, attributes) {
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(name))), name...)
	}
	options := len(b)
	b = binary.LittleEndian.AppendUint32(append(b, matrixWhole, 1, matrixRows), uint32(len(rows)))
	binary.LittleEndian.PutUint32(b[offsets:], uint32(len(b)))
	binary.LittleEndian.PutUint32(b[offsets+4:], uint32(options))
	for _, row := range rows {
		b = append(b, matrixRow)
		for _, c := range row.Key {
			b = appendVariant(b, c.Kind, c.Value)
		}
		for _, name := range attributes {
			if i := slices.IndexFunc(row.Cells, func(c cell) bool { return c.Name == name }); i >= 0 {
				b = appendVariant(b, row.Cells[i].Kind, row.Cells[i].Value)
			} else {
				b = append(b, matrixNone)
			}
		}
	}
	return append(b, matrixCRC, crc(0, b...))
}
