package tablestore

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluicehq/sluice/table"
)

// Row existence expectations, return types and kinds of writes on the wire.
const (
	expectIgnore   = 0
	expectExist    = 1
	expectNotExist = 2

	returnKey         = 1
	returnAfterModify = 2

	writePut    = 1
	writeUpdate = 2
	writeDelete = 3
)

// keyUse says which placeholders a key may hold.
type keyUse uint8

const (
	keyOfRead keyUse = iota
	keyOfWrite
	keyOfRange
)

// checkKey holds the key cells of a request against the key of a table or index. In a write, auto reports that
// the auto-increment column was left to the server.
func checkKey(cols []table.KeyColumn, cells []cell, use keyUse) (key table.Key, auto bool, err error) {
	if len(cells) != len(cols) {
		return nil, false, badKey("Validate PK size fail. Input: %d, Meta: %d.", len(cells), len(cols))
	}
	for i, c := range cells {
		meta := cols[i]
		if c.Name != meta.Name {
			return nil, false, badKey("Validate PK name fail. Input: %s, Meta: %s.", c.Name, meta.Name)
		}
		switch want := variantOf(meta.Type); {
		case c.Kind == vtInfMin || c.Kind == vtInfMax:
			if use != keyOfRange {
				return nil, false, invalid("%s is an invalid type for the primary key.", c.Kind)
			}
		case c.Kind == vtAuto && use != keyOfWrite:
			return nil, false, invalid("PKAutoIncr can't be used for read operations.")
		case c.Kind == vtAuto && meta.AutoIncrement:
			auto = true
		case c.Kind != want:
			return nil, false, badKey("Validate PK type fail. Input: %s, Meta: %s.", c.Kind, want)
		case want != vtInteger && valueSize(c.Value) > maxKeySize:
			return nil, false, invalid("The length of primary key column: '%s' exceeds the MaxLength:%d with CurrentLength:%d.", c.Name, maxKeySize, valueSize(c.Value))
		case want == vtString && !utf8.ValidString(c.Value.Str):
			return nil, false, invalid("Value of column '%s' must be UTF8 encoding.", c.Name)
		}
		key = append(key, c.Value)
	}
	return key, auto, nil
}

// parseKey reads a blob that holds a key and nothing else.
func parseKey(cols []table.KeyColumn, b []byte, use keyUse) (table.Key, error) {
	row, err := parseRow(b)
	if err != nil {
		return nil, invalid("Cell data broken, %s", err)
	}
	key, _, err := checkKey(cols, row.Key, use)
	return key, err
}

// change is one checked write to one row, before it is known what the row holds.
type change struct {
	spec      *table.Spec
	kind      int32
	key       table.Key
	auto      bool // the auto-increment column is to be filled in
	hasAuto   bool // the table has such a column
	strict    bool
	cells     []cell
	expect    int32
	filter    *filter
	answer    returnContent
	deviation int64 // seconds
	size      int   // bytes of data that are written
	raw       []byte
}

// newChange reads a write and checks all that can be checked without the row.
func (c *call) newChange(spec *table.Spec, extra *extra, kind int32, m *batchWriteRow) (*change, error) {
	row, err := parseRow(m.Row)
	if err != nil {
		return nil, invalid("Cell data broken, %s", err)
	}
	ch := &change{spec: spec, kind: kind, raw: m.Row, cells: row.Cells, expect: m.Condition.Existence, strict: c.Strict, deviation: extra.deviation()}
	if ch.key, ch.auto, err = checkKey(spec.Key, row.Key, keyOfWrite); err != nil {
		return nil, err
	}
	ch.hasAuto = slices.ContainsFunc(spec.Key, func(k table.KeyColumn) bool { return k.AutoIncrement })
	if ch.expect < expectIgnore || ch.expect > expectNotExist {
		return nil, invalid("Cannot deserialize the request data.")
	}
	if len(m.Condition.Column) > 0 {
		var page *pageMessage
		if ch.filter, page, err = parseFilter(m.Condition.Column); err != nil {
			return nil, err
		}
		if page != nil {
			return nil, invalid("Deserialize filter failed.")
		}
	}
	if m.Return != nil {
		ch.answer = *m.Return
	}
	switch {
	case kind == writeDelete && !row.Delete:
		return nil, invalid("Invalid request of delete row: missing RowDeleteMarker in request")
	case kind == writeDelete && len(row.Cells) > 0:
		return nil, invalid("Attribute column cannot be given in DeleteRow.")
	case kind != writeDelete && row.Delete:
		return nil, invalid("Delete marker cannot be given.")
	case kind == writeUpdate && len(row.Cells) == 0:
		return nil, invalid("Attribute column is missing.")
	case kind == writeUpdate && !extra.allowsUpdate():
		return nil, invalid("UpdateRow is not allowed on table whose AllowUpdate is false.")
	}
	if err := ch.checkAuto(); err != nil {
		return nil, err
	}
	if err := ch.checkCells(); err != nil {
		return nil, err
	}
	for i := range row.Key {
		ch.size += row.Key[i].size()
	}
	return ch, ch.checkReturn()
}

// checkAuto refuses what writes to a table with an auto-increment key must not ask for (spec 5.5).
func (ch *change) checkAuto() error {
	switch expect := expectName(ch.expect); {
	case !ch.hasAuto:
		return nil
	case ch.auto && ch.kind == writeDelete:
		return invalid("Invalid row to delete which with pk auto increment")
	case ch.auto && ch.expect != expectIgnore:
		return invalid("Invalid expect:%s when modify row with pk auto increment", expect)
	case ch.auto && ch.filter != nil:
		return invalid("Can't set condition when modify row with pk auto increment")
	case ch.auto:
		return nil
	case ch.expect == expectNotExist, ch.strict && ch.expect == expectIgnore && ch.kind != writeDelete:
		return invalid("Invalid expect: %s when modify a specific row for table with pk auto increment", expect)
	}
	return nil
}

func expectName(expect int32) string {
	return [...]string{"IGNORE", "EXPECT_EXIST", "EXPECT_NOT_EXIST"}[expect]
}

// checkCells checks the attribute cells and adds their sizes.
func (ch *change) checkCells() error {
	var ops map[string]cellOp // only where a column may be named twice and it matters
	if n := len(ch.cells); n > maxAttributes || n > 1 && slices.ContainsFunc(ch.cells, func(c cell) bool { return c.Op == opIncrement }) {
		ops = make(map[string]cellOp, n)
	}
	for i := range ch.cells {
		c := &ch.cells[i]
		if err := checkColumnName(c.Name); err != nil {
			return err
		}
		if hasColumn(ch.spec.Key, c.Name) {
			return invalid("Duplicated attribute column name with primary key column: '%s'.", c.Name)
		}
		if err := ch.checkCell(c); err != nil {
			return err
		}
		if before, again := ops[c.Name]; again && (before == opIncrement || c.Op == opIncrement) {
			return invalid("Column '%s' cannot be incremented and modified in the same request.", c.Name)
		}
		if ops != nil {
			ops[c.Name] = c.Op
		}
		ch.size += c.size()
	}
	if len(ops) > maxAttributes {
		return invalid("The number of attribute columns exceeds the limit, limit count: %d, column count: %d.", maxAttributes, len(ops))
	}
	return nil
}

func (ch *change) checkCell(c *cell) error {
	if c.HasTime && (c.Time < 0 || c.Time >= maxTimestamp) {
		return invalid("Timestamp must be in range [0, INT64_MAX/1000).")
	}
	if c.Op != opPut && ch.kind == writePut {
		return invalid("OpType cannot be given for column name:%s in PutRow.", c.Name)
	}
	switch hasValue := c.Kind != vtNone; {
	case c.Op == opDeleteAll || c.Op == opDeleteVersion:
		if hasValue {
			return invalid("Column value cannot be given when type is DELETE_ONE_VERSION,DELETE_ALL_VERSION.")
		}
		if c.Op == opDeleteVersion && !c.HasTime {
			return invalid("Timestamp must be given when type is DELETE_ONE_VERSION.")
		}
		if c.Op == opDeleteAll && c.HasTime {
			return invalid("Timestamp cannot be given when type is DELETE_ALL_VERSION.")
		}
		return nil
	case !hasValue:
		return invalid("Value of column '%s' is missing.", c.Name)
	case c.Op == opIncrement:
		if c.Kind != vtInteger {
			return invalid("Column '%s' can only be incremented by %s. Input: %s.", c.Name, vtInteger, c.Kind)
		}
		if c.HasTime {
			return invalid("Timestamp cannot be given when type is INCREMENT.")
		}
	}
	return checkAttribute(c.Name, c.Kind, c.Value)
}

// checkReturn checks that only incremented columns are asked back (spec 5.6).
func (ch *change) checkReturn() error {
	r := ch.answer
	if r.Type < 0 || r.Type > returnAfterModify {
		return invalid("Cannot deserialize the request data.")
	}
	if r.Type != returnAfterModify && len(r.Columns) > 0 {
		return invalid("Return columns can only be given when return type is RT_AFTER_MODIFY.")
	}
	for _, name := range r.Columns {
		if !slices.ContainsFunc(ch.cells, func(c cell) bool { return c.Name == name && c.Op == opIncrement }) {
			return invalid("Return column '%s' is not incremented in the request.", name)
		}
	}
	return nil
}

// op is the change as the table room takes it.
func (ch *change) op() table.Op {
	return table.Op{Table: ch.spec, Key: ch.key, Do: ch.mutate, Note: ch.note()}
}

// mutate is the change on the row as it stands: time stamps, expectation, condition, then the cells.
func (ch *change) mutate(cur *table.Row, now int64) (*table.Row, error) {
	for i := range ch.cells {
		c := &ch.cells[i]
		if c.HasTime && c.Op == opPut && (c.Time/1000 < now/1000-ch.deviation || c.Time/1000 >= now/1000+ch.deviation) {
			return nil, invalid("Invalid timestamp. Cell:%s.", c.Name)
		}
	}
	if err := ch.check(cur); err != nil {
		return nil, err
	}
	if ch.kind == writeDelete {
		return nil, nil
	}
	next := &table.Row{Key: ch.key}
	if cur != nil {
		next.Key = cur.Key
		if ch.kind == writeUpdate {
			next.Columns = slices.Clone(cur.Columns)
		}
	}
	next.Columns = slices.Grow(next.Columns, len(ch.cells))
	room := make([]table.Cell, len(ch.cells)) // of columns that are new
	creates := ch.kind == writePut || cur != nil
	for i := range ch.cells {
		if err := ch.apply(next, &ch.cells[i], room[i:i+1:i+1], now); err != nil {
			return nil, err
		}
		creates = creates || ch.cells[i].Op == opPut || ch.cells[i].Op == opIncrement
	}
	if !creates {
		return nil, nil // only deletes, of a row that is not there
	}
	return next, nil
}

// check evaluates row existence, then the column condition.
func (ch *change) check(cur *table.Row) error {
	switch {
	case cur == nil && ch.expect == expectExist, cur != nil && ch.expect == expectNotExist && !ch.auto:
		return faultCondition
	case ch.hasAuto && !ch.auto && cur == nil && ch.kind == writeDelete:
		return faultCondition
	case ch.hasAuto && !ch.auto && cur == nil && ch.expect == expectIgnore:
		return invalid("Invalid expect: %s when modify a specific row for table with pk auto increment", expectName(ch.expect))
	}
	if !ch.filter.match(columnsOf(ch.spec.Key, ch.key, cur)) {
		return faultCondition
	}
	return nil
}

// columnsOf lets filters look into a row; a missing row has no columns, not even key columns.
func columnsOf(cols []table.KeyColumn, key table.Key, row *table.Row) columns {
	return func(name string) []table.Cell {
		if row == nil {
			return nil
		}
		for i, k := range cols {
			if k.Name == name {
				return []table.Cell{{Value: key[i]}}
			}
		}
		if i, ok := findColumn(row.Columns, name); ok {
			return row.Columns[i].Cells
		}
		return nil
	}
}

func hasColumn(cols []table.KeyColumn, name string) bool {
	return slices.ContainsFunc(cols, func(k table.KeyColumn) bool { return k.Name == name })
}

func findColumn(cols []table.Column, name string) (int, bool) {
	return slices.BinarySearchFunc(cols, name, func(c table.Column, name string) int { return strings.Compare(c.Name, name) })
}

// apply does one cell to the row, whose columns it owns but not their cells. room is for one cell.
func (ch *change) apply(row *table.Row, c *cell, room []table.Cell, now int64) error {
	i, found := findColumn(row.Columns, c.Name)
	put := table.Cell{Value: c.Value, Time: now}
	if c.HasTime {
		put.Time = c.Time
	}
	switch c.Op {
	case opDeleteAll:
		if found {
			row.Columns = slices.Delete(row.Columns, i, i+1)
		}
		return nil
	case opDeleteVersion:
		if !found {
			return nil
		}
		left := slices.DeleteFunc(slices.Clone(row.Columns[i].Cells), func(o table.Cell) bool { return o.Time == c.Time })
		if len(left) == 0 {
			row.Columns = slices.Delete(row.Columns, i, i+1)
		} else {
			row.Columns[i].Cells = left
		}
		return nil
	case opIncrement:
		if found {
			newest := row.Columns[i].Cells[0]
			if newest.Value.Type != table.Int {
				return invalid("Column '%s' cannot be incremented: its type is %s.", c.Name, variantOf(newest.Value.Type))
			}
			old, by := newest.Value.Int, c.Value.Int
			if by > 0 && old > math.MaxInt64-by || by < 0 && old < math.MinInt64-by {
				return invalid("Column '%s' overflows.", c.Name)
			}
			put.Value.Int = old + by
			put.Time = max(now, newest.Time) // the sum has to be the newest version
		}
	}
	// The room sorts versions, keeps the first of one time, and drops what is too many.
	if found {
		row.Columns[i].Cells = append([]table.Cell{put}, row.Columns[i].Cells...)
	} else {
		room[0] = put
		row.Columns = slices.Insert(row.Columns, i, table.Column{Name: c.Name, Cells: room})
	}
	return nil
}

// returned is the row blob of the answer; nil when none was asked for.
func (ch *change) returned(done *table.Change) []byte {
	var row wireRow
	switch {
	case ch.answer.Type == returnAfterModify && len(ch.answer.Columns) > 0 && done.After != nil:
		names := slices.Sorted(slices.Values(ch.answer.Columns))
		for _, name := range slices.Compact(names) {
			if i, ok := findColumn(done.After.Columns, name); ok {
				row.Cells = append(row.Cells, attributeCell(name, done.After.Columns[i].Cells[0]))
			}
		}
	case ch.answer.Type != returnKey:
		return nil
	}
	row.Key = keyCells(ch.spec.Key, done.Key)
	return appendRow(appendHeader(nil), row)
}

func keyCells(cols []table.KeyColumn, key table.Key) []cell {
	cells := make([]cell, len(key))
	for i, v := range key {
		cells[i] = cell{Name: cols[i].Name, Kind: variantOf(v.Type), Value: v}
	}
	return cells
}

func attributeCell(name string, c table.Cell) cell {
	return cell{Name: name, Kind: variantOf(c.Value.Type), Value: c.Value, Time: c.Time, HasTime: true}
}

// units is how many capacity units n bytes take, at least one.
func units(n int) int32 { return int32(max(1, (n+4095)/4096)) }
