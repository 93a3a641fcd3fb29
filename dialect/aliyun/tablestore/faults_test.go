package tablestore

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/table"
)

var (
	anyText   = keySchema{Name: "id", Type: keyString}
	autoIncr  = new(int32(autoIncrement))
	one       = new(int32(1))
	ignore    = condition{}
	existing  = condition{Existence: expectExist}
	absent    = condition{Existence: expectNotExist}
	cannotUse = invalid("Cannot deserialize the request data.")
)

func autoCell(name string) cell {
	return cell{Name: name, Kind: vtAuto, Value: table.Value{Type: table.Min}}
}
func minCell(name string) cell {
	return cell{Name: name, Kind: vtInfMin, Value: table.Value{Type: table.Min}}
}
func maxCell(name string) cell {
	return cell{Name: name, Kind: vtInfMax, Value: table.Value{Type: table.Max}}
}

func put(cond condition, row wireRow) *rowRequest {
	return &rowRequest{Table: "t", Row: plainRow(row), Condition: cond}
}

func rowU1(cells ...cell) wireRow {
	return wireRow{Key: []cell{textCell("id", "u1")}, Cells: cells}
}

type faultCase struct {
	name string
	op   string
	req  any
	want *fault
}

// testFaults runs cases against table t with key id STRING, table auto with keys gid INTEGER and id
// INTEGER that counts by itself, and table frozen that allows no update.
func testFaults(t *testing.T, cases []faultCase) {
	t.Helper()
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, anyText)
	c.createTable("frozen", &tableOptions{AllowUpdate: new(false)}, anyText)
	c.createTable("auto", nil, keySchema{Name: "gid", Type: keyInteger}, keySchema{Name: "id", Type: keyInteger, Option: autoIncr})
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, c.try(tc.op, tc.req, nil)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTableFaults(t *testing.T) {
	t.Parallel()
	create := func(name string, more func(*createTableRequest), key ...keySchema) *createTableRequest {
		req := &createTableRequest{Meta: tableMeta{Name: name, Key: key}}
		if more != nil {
			more(req)
		}
		return req
	}
	defined := func(columns ...definedColumn) func(*createTableRequest) {
		return func(r *createTableRequest) { r.Meta.Defined = columns }
	}
	options := func(o tableOptions) func(*createTableRequest) {
		return func(r *createTableRequest) { r.Options = &o }
	}
	stream := func(s streamSpec) func(*createTableRequest) {
		return func(r *createTableRequest) { r.Stream = &s }
	}
	id := keySchema{Name: "a", Type: keyInteger}
	var cases []faultCase
	for _, name := range []string{"", "0", "#", "中文", "T#", "3t", "-", strings.Repeat("a", 256)} {
		cases = append(cases, faultCase{"the name " + name, "CreateTable", create(name, nil, id), invalid("Invalid table name: '%s'.", name)})
	}
	for _, name := range []string{"_0", "A0", strings.Repeat("a", 255)} {
		cases = append(cases, faultCase{"the name " + name, "CreateTable", create(name, nil, id), nil})
	}
	cases = append(cases, []faultCase{
		{"exists", "CreateTable", create("t", nil, id), faultExists},
		{"no key", "CreateTable", create("x", nil), invalid("The number of primary key columns must be in range: [1, 4].")},
		{"five keys", "CreateTable", create("x", nil, id, id, id, id, id), invalid("The number of primary key columns must be in range: [1, 4].")},
		{"one key twice", "CreateTable", create("x", nil, id, id), invalid("Duplicated primary key name: 'a'.")},
		{"a column with #", "CreateTable", create("x", nil, keySchema{Name: "#a", Type: 1}), invalid("Invalid column name: '#a'.")},
		{"a key of no type", "CreateTable", create("x", nil, keySchema{Name: "a", Type: 9}), invalid("9 is an invalid type for the primary key.")},
		{"auto-increment first", "CreateTable", create("x", nil, keySchema{Name: "a", Type: 1, Option: autoIncr}), invalid("First primary key can't be auto increment, table: x.")},
		{"auto-increment text", "CreateTable", create("x", nil, id, keySchema{Name: "b", Type: 2, Option: autoIncr}), invalid("AUTO_INCREMENT primary key must be integer.")},
		{"auto-increment twice", "CreateTable", create("x", nil, id, keySchema{Name: "b", Type: 1, Option: autoIncr}, keySchema{Name: "c", Type: 1, Option: autoIncr}), invalid("AUTO_INCREMENT primary key count must <= 1.")},
		{"a defined key", "CreateTable", create("x", defined(definedColumn{"a", 1}), id), invalid("Duplicated attribute column name with primary key column: 'a'.")},
		{"defined twice", "CreateTable", create("x", defined(definedColumn{"b", 1}, definedColumn{"b", 1}), id), invalid("Duplicated defined column name: 'b'.")},
		{"defined as nothing", "CreateTable", create("x", defined(definedColumn{"b", 5}), id), invalid("Invalid type of defined column: 'b'.")},
		{"no time to live", "CreateTable", create("x", options(tableOptions{TimeToLive: new(int32(0))}), id), invalid("TimeToLive cannot be 0 or less than -1.")},
		{"no versions", "CreateTable", create("x", options(tableOptions{MaxVersions: new(int32(0))}), id), invalid("MaxVersions must be greater than 0.")},
		{"no deviation", "CreateTable", create("x", options(tableOptions{Deviation: new(int64(0))}), id), invalid("DeviationCellVersionInSec must be greater than 0.")},
		{"too much throughput", "CreateTable", create("x", func(r *createTableRequest) { r.Throughput.Unit.Read = new(int32(100001)) }, id), invalid("Reserved throughput must be in range: [0, 100000].")},
		{"a stream of no hours", "CreateTable", create("x", stream(streamSpec{Enable: true}), id), invalid("Stream expiration time must be in range: [1, 168].")},
		{"a stream of 169 hours", "CreateTable", create("x", stream(streamSpec{Enable: true, Hours: new(int32(169))}), id), invalid("Stream expiration time must be in range: [1, 168].")},
		{"no stream of an hour", "CreateTable", create("x", stream(streamSpec{Hours: one}), id), invalid("Stream expiration time cannot be given when stream is disabled.")},
		{"encryption", "CreateTable", create("x", func(r *createTableRequest) { r.SSE = &sseSpec{true} }, id), invalid("Server side encryption is not supported.")},
		{"described, not there", "DescribeTable", &tableRequest{"x"}, faultMissing},
		{"deleted, not there", "DeleteTable", &tableRequest{"x"}, faultMissing},
		{"updated, not there", "UpdateTable", &updateTableRequest{Table: "x", Options: &tableOptions{MaxVersions: one}}, faultMissing},
		{"updated with nothing", "UpdateTable", &updateTableRequest{Table: "t"}, invalid("No parameter is specified in UpdateTable.")},
		{"updated with no option", "UpdateTable", &updateTableRequest{Table: "t", Options: &tableOptions{}}, invalid("No parameter is specified in table options.")},
		{"updateFullRow", "UpdateTable", &updateTableRequest{Table: "t", Options: &tableOptions{UpdateFullRow: new(true)}}, invalid("UpdateTable can not contain updateFullRow")},
		{"undefined", "DeleteDefinedColumn", &deleteDefinedRequest{"t", []string{"b"}}, invalid("Defined column 'b' does not exist.")},
		{"search", "Search", &searchIndexRequest{"t", "i"}, noSearchIndex("i")},
		{"search in no table", "Search", &searchIndexRequest{"x", "i"}, invalid("table [x] does not exist")},
		{"search indexes", "ListSearchIndex", &listSearchIndexRequest{"t"}, nil},
	}...)
	testFaults(t, cases)
}

func TestTableQuota(t *testing.T) {
	t.Parallel()
	c := newServer(t, func(o *Options) { o.MaxTables = 2 }).operator("inst")
	c.createTable("a", nil, anyText)
	c.createTable("b", nil, anyText)
	req := &createTableRequest{Meta: tableMeta{Name: "c", Key: []keySchema{anyText}}}
	if diff := cmp.Diff(tooManyTables(2), c.try("CreateTable", req, nil)); diff != "" {
		t.Errorf("third table (-want +got):\n%s", diff)
	}
	req.Meta.Name = "b"
	if diff := cmp.Diff(faultExists, c.try("CreateTable", req, nil)); diff != "" {
		t.Errorf("second table again (-want +got):\n%s", diff)
	}
}

func TestWriteFaults(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return strings.Repeat("x", n) }
	n := intCell("n", 1)
	stamped := func(c cell, at int64) cell { c.Time, c.HasTime = at, true; return c }
	marked := func(c cell, op cellOp) cell { c.Op = op; return c }
	bare := func(op cellOp) cell { return cell{Name: "n", Kind: vtNone, Op: op} }
	float := func(f float64) cell {
		return cell{Name: "n", Kind: vtDouble, Value: table.Value{Type: table.Float, Float: f}}
	}
	key := func(cells ...cell) wireRow { return wireRow{Key: cells, Cells: []cell{n}} }
	auto := func(cond condition, id cell) *rowRequest {
		r := put(cond, wireRow{Key: []cell{intCell("gid", 1), id}, Cells: []cell{n}})
		r.Table = "auto"
		return r
	}
	erase := func(table string, cond condition, key ...cell) *rowRequest {
		return &rowRequest{Table: table, Row: plainRow(wireRow{Key: key, Delete: true}), Condition: cond}
	}
	returning := func(r *rowRequest, how int32, columns ...string) *rowRequest {
		r.Return = &returnContent{how, columns}
		return r
	}
	var wide []cell
	for i := range maxAttributes + 1 {
		wide = append(wide, intCell(fmt.Sprint("c", i), 1))
	}
	big := []cell{textCell("a", text(maxAttributeSize)), textCell("b", text(maxAttributeSize-10)), textCell("c", text(20))}
	frozen := put(ignore, rowU1(n))
	frozen.Table = "frozen"
	nowhere := put(ignore, rowU1(n))
	nowhere.Table = "nowhere"
	transaction := put(ignore, rowU1(n))
	transaction.Transaction = "x"
	notUTF8 := strings.Repeat("\xff", 3)
	ms := start.UnixMilli()
	testFaults(t, []faultCase{
		{"no table", "PutRow", nowhere, faultMissing},
		{"no row", "PutRow", &rowRequest{Table: "t"}, invalid("Cell data broken, mismatch header")},
		{"no transaction", "PutRow", transaction, invalid("TransactionID is invalid.")},
		{"two key columns", "PutRow", put(ignore, key(textCell("id", "a"), textCell("b", "a"))), badKey("Validate PK size fail. Input: 2, Meta: 1.")},
		{"another key column", "PutRow", put(ignore, key(intCell("name", 1))), badKey("Validate PK name fail. Input: name, Meta: id.")},
		{"another type", "PutRow", put(ignore, key(intCell("id", 1))), badKey("Validate PK type fail. Input: VT_INTEGER, Meta: VT_STRING.")},
		{"no key value", "PutRow", put(ignore, key(cell{Name: "id", Kind: vtNone})), badKey("Validate PK type fail. Input: VT_NULL, Meta: VT_STRING.")},
		{"a key that does not count", "PutRow", put(ignore, key(autoCell("id"))), badKey("Validate PK type fail. Input: VT_AUTO_INCREMENT, Meta: VT_STRING.")},
		{"the least key", "PutRow", put(ignore, key(minCell("id"))), invalid("VT_INF_MIN is an invalid type for the primary key.")},
		{"the greatest key", "PutRow", put(ignore, key(maxCell("id"))), invalid("VT_INF_MAX is an invalid type for the primary key.")},
		{"a long key", "PutRow", put(ignore, key(textCell("id", text(1025)))), invalid("The length of primary key column: 'id' exceeds the MaxLength:1024 with CurrentLength:1025.")},
		{"a longest key", "PutRow", put(ignore, key(textCell("id", text(1024)))), nil},
		{"a key that is no text", "PutRow", put(ignore, key(textCell("id", notUTF8))), invalid("Value of column 'id' must be UTF8 encoding.")},
		{"a column named #", "PutRow", put(ignore, rowU1(intCell("#", 1))), invalid("Invalid column name: '#'.")},
		{"a column without a name", "PutRow", put(ignore, rowU1(intCell("", 1))), invalid("Invalid column name: ''.")},
		{"a column named with a hyphen", "PutRow", put(ignore, rowU1(intCell("price-2", 1))), nil},
		{"a column of the key", "PutRow", put(ignore, rowU1(intCell("id", 1))), invalid("Duplicated attribute column name with primary key column: 'id'.")},
		{"a long value", "PutRow", put(ignore, rowU1(textCell("c", text(maxAttributeSize+1)))), invalid("The length of attribute column: 'c' exceeds the MaxLength:2097152 with CurrentLength:2097153.")},
		{"values too long together", "PutRow", put(ignore, rowU1(big...)), invalid("The total data size of PutRow request exceeds the limit, limit size: 4194304, data size: 4194321.")},
		{"a value that is no text", "PutRow", put(ignore, rowU1(textCell("c", notUTF8))), invalid("Value of column 'c' must be UTF8 encoding.")},
		{"a value that is no number", "PutRow", put(ignore, rowU1(float(math.NaN()))), invalid("NaN can't be set to double value.")},
		{"an infinite value", "PutRow", put(ignore, rowU1(float(math.Inf(-1)))), invalid("Infinity can't be set to double value.")},
		{"a value out of a key", "PutRow", put(ignore, rowU1(minCell("n"))), invalid("VT_INF_MIN is an invalid type for the attribute column.")},
		{"1025 columns", "PutRow", put(ignore, rowU1(wide...)), invalid("The number of attribute columns exceeds the limit, limit count: 1024, column count: 1025.")},
		{"a time below zero", "PutRow", put(ignore, rowU1(stamped(n, -1))), invalid("Timestamp must be in range [0, INT64_MAX/1000).")},
		{"a time beyond time", "PutRow", put(ignore, rowU1(stamped(n, math.MaxInt64/1000))), invalid("Timestamp must be in range [0, INT64_MAX/1000).")},
		{"a time long ago", "PutRow", put(ignore, rowU1(stamped(n, ms-86401*1000))), invalid("Invalid timestamp. Cell:n.")},
		{"a time just not too long ago", "PutRow", put(ignore, rowU1(stamped(n, ms-86400*1000))), nil},
		{"a time far ahead", "PutRow", put(ignore, rowU1(stamped(n, ms+86400*1000))), invalid("Invalid timestamp. Cell:n.")},
		{"an operation in a put", "PutRow", put(ignore, rowU1(marked(n, opIncrement))), invalid("OpType cannot be given for column name:n in PutRow.")},
		{"a delete marker in a put", "PutRow", put(ignore, wireRow{Key: []cell{textCell("id", "a")}, Delete: true}), invalid("Delete marker cannot be given.")},
		{"an unknown expectation", "PutRow", put(condition{Existence: 3}, rowU1(n)), cannotUse},
		{"a broken condition", "PutRow", put(condition{Column: []byte{1}}, rowU1(n)), invalid("Deserialize filter failed.")},
		{"a page as a condition", "PutRow", put(condition{Column: paged(0, 1).bytes()}, rowU1(n)), invalid("Deserialize filter failed.")},
		{"an unknown return", "PutRow", returning(put(ignore, rowU1(n)), 3), cannotUse},
		{"columns returned with the key", "PutRow", returning(put(ignore, rowU1(n)), returnKey, "n"), invalid("Return columns can only be given when return type is RT_AFTER_MODIFY.")},

		{"an update of nothing", "UpdateRow", put(ignore, rowU1()), invalid("Attribute column is missing.")},
		{"an update where none may be", "UpdateRow", frozen, invalid("UpdateRow is not allowed on table whose AllowUpdate is false.")},
		{"a put without a value", "UpdateRow", put(ignore, rowU1(bare(opPut))), invalid("Value of column 'n' is missing.")},
		{"a version deleted without a time", "UpdateRow", put(ignore, rowU1(bare(opDeleteVersion))), invalid("Timestamp must be given when type is DELETE_ONE_VERSION.")},
		{"all versions deleted with a time", "UpdateRow", put(ignore, rowU1(stamped(bare(opDeleteAll), 1))), invalid("Timestamp cannot be given when type is DELETE_ALL_VERSION.")},
		{"deleted with a value", "UpdateRow", put(ignore, rowU1(marked(n, opDeleteAll))), invalid("Column value cannot be given when type is DELETE_ONE_VERSION,DELETE_ALL_VERSION.")},
		{"incremented by a float", "UpdateRow", put(ignore, rowU1(marked(float(1), opIncrement))), invalid("Column 'n' can only be incremented by VT_INTEGER. Input: VT_DOUBLE.")},
		{"incremented at a time", "UpdateRow", put(ignore, rowU1(stamped(marked(n, opIncrement), ms))), invalid("Timestamp cannot be given when type is INCREMENT.")},
		{"incremented and put", "UpdateRow", put(ignore, rowU1(n, marked(n, opIncrement))), invalid("Column 'n' cannot be incremented and modified in the same request.")},
		{"asked back without increment", "UpdateRow", returning(put(ignore, rowU1(n)), returnAfterModify, "n"), invalid("Return column 'n' is not incremented in the request.")},

		{"a delete without its marker", "DeleteRow", put(ignore, rowU1()), invalid("Invalid request of delete row: missing RowDeleteMarker in request")},
		{"a delete with columns", "DeleteRow", put(ignore, wireRow{Key: []cell{textCell("id", "a")}, Cells: []cell{n}, Delete: true}), invalid("Attribute column cannot be given in DeleteRow.")},

		{"a counted key that shall exist", "PutRow", auto(existing, autoCell("id")), invalid("Invalid expect:EXPECT_EXIST when modify row with pk auto increment")},
		{"a counted key that shall not exist", "PutRow", auto(absent, autoCell("id")), invalid("Invalid expect:EXPECT_NOT_EXIST when modify row with pk auto increment")},
		{"a counted key with a condition", "PutRow", auto(condition{Column: single(cmpEqual, "n", intValue(1), true, true).bytes()}, autoCell("id")), invalid("Can't set condition when modify row with pk auto increment")},
		{"a chosen key that is new", "PutRow", auto(ignore, intCell("id", 7)), invalid("Invalid expect: IGNORE when modify a specific row for table with pk auto increment")},
		{"a chosen key that shall not exist", "PutRow", auto(absent, intCell("id", 7)), invalid("Invalid expect: EXPECT_NOT_EXIST when modify a specific row for table with pk auto increment")},
		{"a chosen key that shall exist", "PutRow", auto(existing, intCell("id", 7)), faultCondition},
		{"a counted key, deleted", "DeleteRow", erase("auto", ignore, intCell("gid", 1), autoCell("id")), invalid("Invalid row to delete which with pk auto increment")},
		{"a chosen key that is not there, deleted", "DeleteRow", erase("auto", ignore, intCell("gid", 1), intCell("id", 7)), faultCondition},
	})
}

func TestReadFaults(t *testing.T) {
	t.Parallel()
	u1 := keyRow(textCell("id", "u1"))
	get := func(change func(*getRowRequest)) *getRowRequest {
		r := &getRowRequest{Table: "t", Key: u1, MaxVersions: one}
		change(r)
		return r
	}
	walk := func(change func(*getRangeRequest)) *getRangeRequest {
		r := &getRangeRequest{Table: "t", From: keyRow(minCell("id")), To: keyRow(maxCell("id")), MaxVersions: one}
		change(r)
		return r
	}
	many := func(n int, name string) *batchGetRequest {
		keys := make([][]byte, n)
		for i := range keys {
			keys[i] = u1
		}
		return &batchGetRequest{Tables: []batchGetTable{{Table: name, Keys: keys, MaxVersions: one}}}
	}
	testFaults(t, []faultCase{
		{"no table", "GetRow", get(func(r *getRowRequest) { r.Table = "x" }), faultMissing},
		{"no version", "GetRow", get(func(r *getRowRequest) { r.MaxVersions = nil }), invalid("No version condition is specified.")},
		{"zero versions", "GetRow", get(func(r *getRowRequest) { r.MaxVersions = new(int32(0)) }), invalid("MaxVersions must be greater than 0.")},
		{"versions of one time", "GetRow", get(func(r *getRowRequest) { r.Time = &timeRange{Specific: new(int64(1))} }), invalid("MaxVersions and specific time cannot be given at the same time.")},
		{"half a time range", "GetRow", get(func(r *getRowRequest) { r.Time = &timeRange{Start: new(int64(1))} }), invalid("Start and end time must be given at the same time.")},
		{"a time below zero", "GetRow", get(func(r *getRowRequest) { r.Time = &timeRange{Start: new(int64(-1)), End: new(int64(1))} }), invalid("Timestamp must be in range [0, INT64_MAX/1000).")},
		{"a moment beyond time", "GetRow", get(func(r *getRowRequest) {
			r.MaxVersions, r.Time = nil, &timeRange{Specific: new(int64(math.MaxInt64))}
		}), invalid("Timestamp must be in range [0, INT64_MAX/1000).")},
		{"1025 columns", "GetRow", get(func(r *getRowRequest) { r.Columns = strings.Split(strings.Repeat("c ", 1024)+"c", " ") }), invalid("The number of columns from the request exceeds the limit, limit count: 1024, column count: 1025.")},
		{"no column", "GetRow", get(func(r *getRowRequest) { r.Columns = []string{""} }), invalid("Invalid column name: ''.")},
		{"the least key", "GetRow", get(func(r *getRowRequest) { r.Key = keyRow(minCell("id")) }), invalid("VT_INF_MIN is an invalid type for the primary key.")},
		{"a counted key", "GetRow", get(func(r *getRowRequest) { r.Key = keyRow(autoCell("id")) }), invalid("PKAutoIncr can't be used for read operations.")},
		{"a key of another type", "GetRow", get(func(r *getRowRequest) { r.Key = keyRow(intCell("id", 1)) }), badKey("Validate PK type fail. Input: VT_INTEGER, Meta: VT_STRING.")},
		{"a broken filter", "GetRow", get(func(r *getRowRequest) { r.Filter = []byte{1} }), invalid("Deserialize filter failed.")},
		{"a transaction", "GetRow", get(func(r *getRowRequest) { r.Transaction = "x" }), invalid("TransactionID is invalid.")},

		{"no version", "GetRange", walk(func(r *getRangeRequest) { r.MaxVersions = nil }), invalid("No version condition is specified.")},
		{"a limit of zero", "GetRange", walk(func(r *getRangeRequest) { r.Limit = new(int32(0)) }), invalid("The limit must be greater than 0.")},
		{"a limit below zero", "GetRange", walk(func(r *getRangeRequest) { r.Limit = new(int32(-1)) }), invalid("The limit must be greater than 0.")},
		{"backward the wrong way", "GetRange", walk(func(r *getRangeRequest) { r.Direction = 1 }), invalid("Begin key must more than end key in BACKWARD")},
		{"forward the wrong way", "GetRange", walk(func(r *getRangeRequest) { r.From, r.To = r.To, r.From }), invalid("Begin key must less than end key in FORWARD")},
		{"from a key to itself", "GetRange", walk(func(r *getRangeRequest) { r.From, r.To = u1, u1 }), invalid("Begin key must less than end key in FORWARD")},
		{"sideways", "GetRange", walk(func(r *getRangeRequest) { r.Direction = 2 }), cannotUse},
		{"a bound of another type", "GetRange", walk(func(r *getRangeRequest) { r.From = keyRow(intCell("id", 1)) }), badKey("Validate PK type fail. Input: VT_INTEGER, Meta: VT_STRING.")},
		{"a counted bound", "GetRange", walk(func(r *getRangeRequest) { r.To = keyRow(autoCell("id")) }), invalid("PKAutoIncr can't be used for read operations.")},

		{"no tables", "BatchGetRow", &batchGetRequest{}, invalid("No row specified in the request of BatchGetRow.")},
		{"101 rows", "BatchGetRow", many(101, "t"), invalid("Rows count exceeds the upper limit: 100.")},
		{"100 rows", "BatchGetRow", many(100, "t"), nil},
		{"a table without rows", "BatchGetRow", many(0, "t"), nil},
		{"a table twice", "BatchGetRow", &batchGetRequest{Tables: []batchGetTable{{Table: "t"}, {Table: "t"}}}, invalid("Duplicated table name: 't'.")},
		{"no version", "BatchGetRow", &batchGetRequest{Tables: []batchGetTable{{Table: "t", Keys: [][]byte{u1}}}}, invalid("No version condition is specified while querying row.")},
		{"a broken key", "BatchGetRow", &batchGetRequest{Tables: []batchGetTable{{Table: "t", Keys: [][]byte{u1[:9]}, MaxVersions: one}}}, invalid("Cell data broken, unexpected end of data.")},
	})
}

func TestBatchWriteFaults(t *testing.T) {
	t.Parallel()
	row := func(id string, cond condition) batchWriteRow {
		return batchWriteRow{Type: writePut, Row: plainRow(wireRow{Key: []cell{textCell("id", id)}, Cells: []cell{intCell("n", 1)}}), Condition: cond}
	}
	batch := func(rows ...batchWriteRow) *batchWriteRequest {
		return &batchWriteRequest{Tables: []batchWriteTable{{"t", rows}}}
	}
	var many, large []batchWriteRow
	for i := range 201 {
		many = append(many, row(fmt.Sprint(i), ignore))
	}
	for i := range 3 {
		large = append(large, batchWriteRow{Type: writePut, Row: plainRow(wireRow{
			Key: []cell{textCell("id", fmt.Sprint(i))}, Cells: []cell{textCell("c", strings.Repeat("x", 1500000))},
		})})
	}
	strange := row("a", ignore)
	strange.Type = 4
	testFaults(t, []faultCase{
		{"no tables", "BatchWriteRow", &batchWriteRequest{}, invalid("No row is specified in BatchWriteRow.")},
		{"no rows", "BatchWriteRow", batch(), invalid("No operation is specified for table: 't'.")},
		{"a table twice", "BatchWriteRow", &batchWriteRequest{Tables: []batchWriteTable{{"t", many[:1]}, {"t", many[:1]}}}, invalid("Duplicated table name: 't'.")},
		{"201 rows", "BatchWriteRow", batch(many...), invalid("Rows count exceeds the upper limit: 200.")},
		{"200 rows", "BatchWriteRow", batch(many[:200]...), nil},
		{"4.5 MB", "BatchWriteRow", batch(large...), invalid("The total data size of BatchWriteRow request exceeds the limit, limit size: 4194304, data size: 4500012.")},
		{"an unknown kind of write", "BatchWriteRow", batch(strange), cannotUse},
		{"a row twice, one shall exist", "BatchWriteRow", batch(row("a", ignore), row("a", existing)), invalid("Repeated rows do not support row exist expectation check in BatchModify.")},
		{"a row twice, with a condition", "BatchWriteRow", batch(row("a", condition{Column: single(cmpEqual, "n", intValue(1), true, true).bytes()}), row("a", ignore)), invalid("Repeated rows do not support row condition check in BatchModify.")},
		{"a row twice", "BatchWriteRow", batch(row("a", ignore), row("a", ignore)), nil},
		{"a transaction", "BatchWriteRow", &batchWriteRequest{Transaction: "x"}, invalid("TransactionID is invalid.")},
	})
}
