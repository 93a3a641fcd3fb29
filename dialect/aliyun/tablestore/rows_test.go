package tablestore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/table"
)

// show writes cells as "name=value@time": times in ms since start, without "@0".
func (s *server) show(cells []cell) string {
	var parts []string
	for _, c := range cells {
		part := c.Name + "=" + valueText(c.Value)
		if at := c.Time - start.UnixMilli(); c.HasTime && at != 0 {
			part += fmt.Sprint("@", at)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " ")
}

// showRows writes the rows of an answer as "key: cells; key: cells".
func (s *server) showRows(b []byte) string {
	s.t.Helper()
	var parts []string
	for _, r := range s.rows(b) {
		parts = append(parts, strings.TrimSpace(s.show(r.Key)+": "+s.show(r.Cells)))
	}
	return strings.Join(parts, "; ")
}

func (c *client) get(change func(*getRowRequest)) string {
	c.t.Helper()
	req := &getRowRequest{Table: "t", Key: keyRow(textCell("id", "u1"))}
	if change != nil {
		change(req)
	}
	if req.MaxVersions == nil && req.Time == nil {
		req.MaxVersions = new(int32(100))
	}
	var resp getRowResponse
	c.do("GetRow", req, &resp)
	return c.showRows(resp.Row)
}

func at(ms int64, c cell) cell {
	c.Time, c.HasTime = start.UnixMilli()+ms, true
	return c
}

func as(op cellOp, c cell) cell {
	c.Op = op
	if op != opIncrement {
		c.Kind, c.Value = vtNone, table.Value{}
	}
	return c
}

func TestRowsChangeAsWritten(t *testing.T) {
	t.Parallel()
	n := func(i int64) cell { return intCell("n", i) }
	m := func(i int64) cell { return intCell("m", i) }
	cases := []struct {
		name  string
		steps []any // *rowRequest with Table as operation, or a time.Duration to wait
		want  string
	}{
		{"put", []any{put(ignore, rowU1(n(1), m(2)))}, "id=u1: m=2 n=1"},
		{"a put replaces the row", []any{put(ignore, rowU1(n(1))), put(ignore, rowU1(m(2)))}, "id=u1: m=2"},
		{"bytes need not be text", []any{put(ignore, rowU1(cell{Name: "b", Kind: vtBlob, Value: table.Value{Type: table.Binary, Str: "\xff\x00"}}))}, "id=u1: b=ff00"},
		{"a put without columns makes a row", []any{put(ignore, rowU1())}, "id=u1:"},
		{"the last of one name and time wins", []any{put(ignore, rowU1(n(1), n(2)))}, "id=u1: n=2"},
		{"versions, newest first, at most three", []any{
			put(ignore, rowU1(at(2, n(2)), at(4, n(4)), at(1, n(1)), at(3, n(3)))),
		}, "id=u1: n=4@4 n=3@3 n=2@2"},
		{"an update adds a version", []any{put(ignore, rowU1(n(1))), time.Second, update(rowU1(n(2)))}, "id=u1: n=2@1000 n=1"},
		{"an update leaves other columns", []any{put(ignore, rowU1(n(1))), update(rowU1(m(2)))}, "id=u1: m=2 n=1"},
		{"an update makes a row", []any{update(rowU1(n(1)))}, "id=u1: n=1"},
		{"a deleting update makes none", []any{update(rowU1(as(opDeleteAll, n(0)))), update(rowU1(at(1, as(opDeleteVersion, n(0)))))}, ""},
		{"a column is deleted", []any{put(ignore, rowU1(n(1), m(2))), update(rowU1(as(opDeleteAll, n(0))))}, "id=u1: m=2"},
		{"a version is deleted", []any{put(ignore, rowU1(at(1, n(1)), at(2, n(2)))), update(rowU1(at(1, as(opDeleteVersion, n(0)))))}, "id=u1: n=2@2"},
		{"a version that is not there is deleted", []any{put(ignore, rowU1(n(1))), update(rowU1(at(9, as(opDeleteVersion, n(0)))))}, "id=u1: n=1"},
		{"a row may lose all columns", []any{put(ignore, rowU1(at(1, n(1)))), update(rowU1(at(1, as(opDeleteVersion, n(0)))))}, "id=u1:"},
		{"deleted and put", []any{put(ignore, rowU1(at(1, n(1)))), update(rowU1(as(opDeleteAll, n(0)), n(2)))}, "id=u1: n=2"},
		{"increments", []any{update(rowU1(as(opIncrement, n(5)))), time.Second, update(rowU1(as(opIncrement, n(-7))))}, "id=u1: n=-2@1000 n=5"},
		{"an increment beats a version of tomorrow", []any{put(ignore, rowU1(at(9000, n(5)))), update(rowU1(as(opIncrement, n(1))))}, "id=u1: n=6@9000"},
		{"a row is deleted", []any{put(ignore, rowU1(n(1))), remove(ignore)}, ""},
		{"a missing row is deleted", []any{remove(ignore)}, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newServer(t, nil).operator("inst")
			c.createTable("t", &tableOptions{MaxVersions: new(int32(3))}, anyText)
			for _, step := range tc.steps {
				switch step := step.(type) {
				case time.Duration:
					c.pass(step)
				case *rowRequest:
					c.do("PutRow", step, nil)
				case updateStep:
					c.do("UpdateRow", step.rowRequest, nil)
				case removeStep:
					c.do("DeleteRow", step.rowRequest, nil)
				}
			}
			if diff := cmp.Diff(tc.want, c.get(nil)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

type updateStep struct{ *rowRequest }
type removeStep struct{ *rowRequest }

func update(row wireRow) updateStep { return updateStep{put(ignore, row)} }
func remove(cond condition) removeStep {
	return removeStep{put(cond, wireRow{Key: rowU1().Key, Delete: true})}
}

func TestExpectationsAndConditionsGuardWrites(t *testing.T) {
	t.Parallel()
	n5 := func(c int32, passIfMissing bool, existence int32) condition {
		return condition{existence, single(c, "n", intValue(5), passIfMissing, true).bytes()}
	}
	cases := []struct {
		name   string
		there  bool // a row with n = 5
		cond   condition
		passes bool
	}{
		{"ignore, there", true, ignore, true},
		{"ignore, not there", false, ignore, true},
		{"shall exist, there", true, existing, true},
		{"shall exist, not there", false, existing, false},
		{"shall not exist, there", true, absent, false},
		{"shall not exist, not there", false, absent, true},
		{"n is 5", true, n5(cmpEqual, false, expectIgnore), true},
		{"n is not 5", true, n5(cmpNotEqual, true, expectIgnore), false},
		{"no row, a missing column passes", false, n5(cmpEqual, true, expectIgnore), true},
		{"no row, a missing column fails", false, n5(cmpEqual, false, expectIgnore), false},
		{"no row that shall exist, a missing column passes", false, n5(cmpEqual, true, expectExist), false},
	}
	for _, tc := range cases {
		for _, op := range []string{"PutRow", "UpdateRow", "DeleteRow"} {
			t.Run(tc.name+"/"+op, func(t *testing.T) {
				t.Parallel()
				c := newServer(t, nil).operator("inst")
				c.createTable("t", nil, anyText)
				if tc.there {
					c.do("PutRow", put(ignore, rowU1(intCell("n", 5))), nil)
				}
				before := c.get(nil)
				req := put(tc.cond, rowU1(intCell("n", 6)))
				if op == "DeleteRow" {
					req = remove(tc.cond).rowRequest
				}
				f := c.try(op, req, nil)
				if tc.passes && f != nil {
					t.Errorf("refused: %v", f)
				}
				if !tc.passes {
					if diff := cmp.Diff(faultCondition, f); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
					if after := c.get(nil); after != before {
						t.Errorf("row was %q and is %q", before, after)
					}
				}
			})
		}
	}
}

func TestReadsSelect(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.createTable("t", &tableOptions{MaxVersions: new(int32(9))}, anyText)
	var cells []cell
	for i := range int64(6) {
		cells = append(cells, intCell(fmt.Sprint("c", i), i))
	}
	cells = append(cells, at(1, intCell("v", 1)), at(2, intCell("v", 2)), at(3, intCell("v", 3)))
	c.do("PutRow", put(ignore, rowU1(cells...)), nil)
	ms := start.UnixMilli()
	is := func(column string, n int64) []byte { return single(cmpEqual, column, intValue(n), false, true).bytes() }
	cases := []struct {
		name   string
		change func(*getRowRequest)
		want   string
	}{
		{"all", nil, "id=u1: c0=0 c1=1 c2=2 c3=3 c4=4 c5=5 v=3@3 v=2@2 v=1@1"},
		{"another row", func(r *getRowRequest) { r.Key = keyRow(textCell("id", "u2")) }, ""},
		{"two versions", func(r *getRowRequest) { r.Columns, r.MaxVersions = []string{"v"}, new(int32(2)) }, "id=u1: v=3@3 v=2@2"},
		{"named columns", func(r *getRowRequest) { r.Columns = []string{"c3", "c1", "x"} }, "id=u1: c1=1 c3=3"},
		{"no named column is there", func(r *getRowRequest) { r.Columns = []string{"x"} }, ""},
		{"the key alone", func(r *getRowRequest) { r.Columns = []string{"id"} }, "id=u1:"},
		{"the key and a column", func(r *getRowRequest) { r.Columns = []string{"id", "c1"} }, "id=u1: c1=1"},
		{"from a column to another", func(r *getRowRequest) { r.Start, r.End = new("c2"), new("c4") }, "id=u1: c2=2 c3=3"},
		{"a page of columns", func(r *getRowRequest) { r.Start, r.Filter = new("c1"), paged(1, 3).bytes() }, "id=u1: c2=2 c3=3 c4=4"},
		{"a page past the end", func(r *getRowRequest) { r.Filter = paged(100, 3).bytes() }, "id=u1:"},
		{"a time range", func(r *getRowRequest) { r.Time = &timeRange{Start: new(ms + 1), End: new(ms + 3)} }, "id=u1: v=2@2 v=1@1"},
		{"a time range and one version", func(r *getRowRequest) {
			r.Time, r.MaxVersions = &timeRange{Start: new(ms + 1), End: new(ms + 3)}, one
		}, "id=u1: v=2@2"},
		{"a moment", func(r *getRowRequest) { r.Time = &timeRange{Specific: new(ms + 2)} }, "id=u1: v=2@2"},
		{"a time when nothing was", func(r *getRowRequest) { r.Time = &timeRange{Start: new(ms + 8), End: new(ms + 9)} }, "id=u1:"},
		{"a filter that matches", func(r *getRowRequest) { r.Columns, r.Filter = []string{"c1"}, is("c1", 1) }, "id=u1: c1=1"},
		{"a filter that does not", func(r *getRowRequest) { r.Columns, r.Filter = []string{"c1"}, is("c1", 2) }, ""},
		{"a filter on a column that is not read", func(r *getRowRequest) { r.Columns, r.Filter = []string{"c1"}, is("c2", 2) }, ""},
		{"a filter on the key", func(r *getRowRequest) {
			r.Columns, r.Filter = []string{"c1"}, single(cmpEqual, "id", textValue("u1"), false, true).bytes()
		}, "id=u1: c1=1"},
	}
	for _, tc := range cases {
		if diff := cmp.Diff(tc.want, c.get(tc.change)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestCellsEndWithTheTimeToLive(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.createTable("t", &tableOptions{TimeToLive: new(int32(60))}, anyText)
	c.do("PutRow", put(ignore, rowU1(intCell("n", 1))), nil)
	c.pass(50 * time.Second)
	c.do("UpdateRow", put(ignore, rowU1(intCell("m", 1))), nil)
	c.pass(11 * time.Second)
	if got, want := c.get(nil), "id=u1: m=1@50000"; got != want {
		t.Errorf("after 61 s: %q, want %q", got, want)
	}
	c.pass(50 * time.Second)
	if got := c.get(nil); got != "" {
		t.Errorf("after 111 s: %q", got)
	}
	c.do("PutRow", put(absent, rowU1(intCell("n", 2))), nil)
}

func TestIncrementsStopAtTheEdge(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, anyText)
	c.do("PutRow", put(ignore, rowU1(intCell("n", 1<<62), textCell("s", "a"))), nil)
	for name, want := range map[string]*fault{
		"n": invalid("Column 'n' overflows."),
		"s": invalid("Column 's' cannot be incremented: its type is VT_STRING."),
	} {
		req := put(ignore, rowU1(as(opIncrement, intCell(name, 1<<62))))
		if diff := cmp.Diff(want, c.try("UpdateRow", req, nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAnswersReturnWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, anyText)
	req := put(ignore, rowU1(as(opIncrement, intCell("n", 5)), as(opIncrement, intCell("m", 1)), intCell("o", 1)))
	req.Return = &returnContent{Type: returnAfterModify, Columns: []string{"n"}}
	var resp rowResponse
	c.do("UpdateRow", req, &resp)
	if got, want := c.showRows(resp.Row), "id=u1: n=5"; got != want {
		t.Errorf("increment returns %q, want %q", got, want)
	}
	for _, op := range []string{"PutRow", "UpdateRow", "DeleteRow"} {
		req := put(ignore, rowU1(intCell("n", 1)))
		if op == "DeleteRow" {
			req = remove(ignore).rowRequest
		}
		resp = rowResponse{}
		c.do(op, req, &resp)
		if resp.Row != nil {
			t.Errorf("%s returns %x unasked", op, resp.Row)
		}
		req.Return = &returnContent{Type: returnKey}
		c.do(op, req, &resp)
		if got, want := c.showRows(resp.Row), "id=u1:"; got != want {
			t.Errorf("%s returns %q, want %q", op, got, want)
		}
	}
}

func TestAutoIncrementedKeysGrow(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		c := newServer(t, func(o *Options) { o.Strict = strict }).operator("inst")
		c.createTable("t", plainOptions, keySchema{Name: "gid", Type: keyInteger}, keySchema{Name: "id", Type: keyInteger, Option: autoIncr})
		write := func(op string, cond condition, id cell) (int64, *fault) {
			req := put(cond, wireRow{Key: []cell{intCell("gid", 1), id}, Cells: []cell{intCell("n", 1)}})
			req.Return = &returnContent{Type: returnKey}
			var resp rowResponse
			if f := c.try(op, req, &resp); f != nil {
				return 0, f
			}
			return c.rows(resp.Row)[0].Key[1].Value.Int, nil
		}
		last := int64(0)
		for range 5 {
			id, f := write("PutRow", ignore, autoCell("id"))
			if f != nil || id <= last || id >= 1<<53 {
				t.Fatalf("strict %t: id %d after %d, %v", strict, id, last, f)
			}
			last = id
		}
		if _, f := write("UpdateRow", existing, intCell("id", last)); f != nil {
			t.Errorf("strict %t: update of an existing row: %v", strict, f)
		}
		if _, f := write("UpdateRow", ignore, intCell("id", last)); (f == nil) == strict {
			t.Errorf("strict %t: update of a row that was not expected: %v", strict, f)
		}
	}
}

func TestBatchWritesFailRowByRow(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, anyText)
	c.createTable("u", nil, anyText)
	row := func(kind int32, cond condition, r wireRow) batchWriteRow {
		return batchWriteRow{Type: kind, Row: plainRow(r), Condition: cond}
	}
	id := func(s string, cells ...cell) wireRow { return wireRow{Key: []cell{textCell("id", s)}, Cells: cells} }
	returning := row(writePut, absent, id("b", intCell("n", 1)))
	returning.Return = &returnContent{Type: returnKey}
	var resp batchResponse
	c.do("BatchWriteRow", &batchWriteRequest{Tables: []batchWriteTable{
		{"t", []batchWriteRow{
			row(writePut, absent, id("a", intCell("n", 1))),
			row(writePut, ignore, wireRow{Key: []cell{intCell("id", 1)}}),
			row(writeUpdate, existing, id("x", intCell("n", 1))),
			returning,
			row(writeDelete, ignore, wireRow{Key: []cell{textCell("id", "c")}, Delete: true}),
			row(writeUpdate, ignore, id("d", intCell("n", 1))),
			row(writeUpdate, ignore, id("d", intCell("m", 2))),
		}},
		{"nowhere", []batchWriteRow{row(writePut, ignore, id("a"))}},
		{"u", []batchWriteRow{row(writePut, absent, id("a", intCell("n", 1)))}},
	}}, &resp)
	var got []string
	for _, tab := range resp.Tables {
		for i, r := range tab.Rows {
			text := fmt.Sprint(tab.Table, " ", i, " ", r.OK)
			if r.Error != nil {
				text += " " + r.Error.Code + " " + r.Error.Message
			}
			if r.Row != nil {
				text += " " + c.showRows(r.Row)
			}
			if r.OK && (r.Consumed == nil || r.Consumed.Unit.Write != 1) {
				t.Errorf("%s consumed %v", text, r.Consumed)
			}
			got = append(got, text)
		}
	}
	want := []string{
		"t 0 true",
		"t 1 false OTSInvalidPK Validate PK type fail. Input: VT_INTEGER, Meta: VT_STRING.",
		"t 2 false OTSConditionCheckFail Condition check failed.",
		"t 3 true id=b:",
		"t 4 true",
		"t 5 true",
		"t 6 true",
		"nowhere 0 false OTSObjectNotExist Requested table does not exist.",
		"u 0 true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := c.get(func(r *getRowRequest) { r.Key = keyRow(textCell("id", "d")) }), "id=d: m=2 n=1"; got != want {
		t.Errorf("row d is %q, want %q", got, want)
	}
}

func TestAtomicBatchesWriteAllOrNothing(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, keySchema{Name: "p", Type: keyString}, keySchema{Name: "id", Type: keyInteger})
	row := func(p string, id int64, cond condition) batchWriteRow {
		return batchWriteRow{Type: writePut, Condition: cond, Row: plainRow(wireRow{
			Key: []cell{textCell("p", p), intCell("id", id)}, Cells: []cell{intCell("n", id)},
		})}
	}
	bad := batchWriteRow{Type: writePut, Row: keyRow(intCell("p", 1), intCell("id", 1))}
	for _, tc := range []struct {
		name string
		rows []batchWriteRow
		want []string
	}{
		{"one partition", []batchWriteRow{row("a", 1, absent), row("a", 2, absent)}, []string{"", ""}},
		{"one refused", []batchWriteRow{row("a", 3, absent), row("a", 1, absent)}, []string{"Condition check failed.", "Condition check failed."}},
		{"two partitions", []batchWriteRow{row("a", 4, ignore), row("b", 4, ignore)}, []string{
			"Data out of scope of atomic. Atomic PartKey:a. Data PartKey:b", "Data out of scope of atomic. Atomic PartKey:a. Data PartKey:b"}},
		{"a wrong key", []batchWriteRow{row("a", 5, ignore), bad}, []string{
			"Validate PK type fail. Input: VT_INTEGER, Meta: VT_STRING.", "Validate PK type fail. Input: VT_INTEGER, Meta: VT_STRING."}},
	} {
		var resp batchResponse
		c.do("BatchWriteRow", &batchWriteRequest{Tables: []batchWriteTable{{"t", tc.rows}}, Atomic: true}, &resp)
		var got []string
		for _, r := range resp.Tables[0].Rows {
			text := ""
			if !r.OK {
				text = r.Error.Message
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	var resp getRangeResponse
	c.do("GetRange", &getRangeRequest{Table: "t", MaxVersions: one, From: keyRow(minCell("p"), minCell("id")), To: keyRow(maxCell("p"), maxCell("id"))}, &resp)
	if got, want := c.showRows(resp.Rows), "p=a id=1: n=1; p=a id=2: n=2"; got != want {
		t.Errorf("table has %q, want %q", got, want)
	}
}

func TestBatchReadsAnswerInOrder(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, anyText)
	c.do("PutRow", put(ignore, rowU1(intCell("n", 1))), nil)
	u1 := keyRow(textCell("id", "u1"))
	var resp batchResponse
	c.do("BatchGetRow", &batchGetRequest{Tables: []batchGetTable{
		{Table: "t", Keys: [][]byte{u1, keyRow(textCell("id", "u2")), keyRow(intCell("id", 1)), u1}, MaxVersions: one},
		{Table: "nowhere", Keys: [][]byte{u1}, MaxVersions: one},
	}}, &resp)
	var got []string
	for _, tab := range resp.Tables {
		for _, r := range tab.Rows {
			if r.OK {
				got = append(got, c.showRows(r.Row))
			} else {
				got = append(got, r.Error.Message)
			}
		}
	}
	want := []string{"id=u1: n=1", "", "Validate PK type fail. Input: VT_INTEGER, Meta: VT_STRING.", "id=u1: n=1", "Requested table does not exist."}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRangesWalkBothWays(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, keySchema{Name: "a", Type: keyInteger}, keySchema{Name: "b", Type: keyBinary})
	b := func(s string) cell {
		return cell{Name: "b", Kind: vtBlob, Value: table.Value{Type: table.Binary, Str: s}}
	}
	for _, k := range []struct {
		a int64
		b string
	}{{-1, "a"}, {0, ""}, {0, "a"}, {0, "\xff"}, {1, "a"}} {
		req := put(ignore, wireRow{Key: []cell{intCell("a", k.a), b(k.b)}, Cells: []cell{intCell("n", k.a)}})
		c.do("PutRow", req, nil)
	}
	minA, maxA, minB, maxB := minCell("a"), maxCell("a"), minCell("b"), maxCell("b")
	n0 := single(cmpEqual, "n", intValue(0), false, true).bytes()
	cases := []struct {
		name     string
		from, to []cell
		change   func(*getRangeRequest)
		want     string
		next     string
	}{
		{"all", []cell{minA, minB}, []cell{maxA, maxB}, nil, "a=-1 b=61: n=-1; a=0 b=: n=0; a=0 b=61: n=0; a=0 b=ff: n=0; a=1 b=61: n=1", ""},
		{"from inclusive to exclusive", []cell{intCell("a", 0), b("")}, []cell{intCell("a", 0), b("\xff")}, nil, "a=0 b=: n=0; a=0 b=61: n=0", ""},
		{"one partition", []cell{intCell("a", 0), minB}, []cell{intCell("a", 0), maxB}, nil, "a=0 b=: n=0; a=0 b=61: n=0; a=0 b=ff: n=0", ""},
		{"between partitions", []cell{intCell("a", 0), maxB}, []cell{intCell("a", 1), minB}, nil, "", ""},
		{"a limit", []cell{minA, minB}, []cell{maxA, maxB}, func(r *getRangeRequest) { r.Limit = new(int32(2)) }, "a=-1 b=61: n=-1; a=0 b=: n=0", "a=0 b=61:"},
		{"a limit that just fits", []cell{minA, minB}, []cell{maxA, maxB}, func(r *getRangeRequest) { r.Limit = new(int32(5)) }, "a=-1 b=61: n=-1; a=0 b=: n=0; a=0 b=61: n=0; a=0 b=ff: n=0; a=1 b=61: n=1", ""},
		{"a filter", []cell{minA, minB}, []cell{maxA, maxB}, func(r *getRangeRequest) { r.Filter = n0 }, "a=0 b=: n=0; a=0 b=61: n=0; a=0 b=ff: n=0", ""},
		{"a filter and a limit", []cell{minA, minB}, []cell{maxA, maxB}, func(r *getRangeRequest) { r.Filter, r.Limit = n0, new(int32(2)) }, "a=0 b=: n=0; a=0 b=61: n=0", "a=0 b=ff:"},
		{"backward", []cell{maxA, maxB}, []cell{intCell("a", 0), b("")}, func(r *getRangeRequest) { r.Direction = 1 }, "a=1 b=61: n=1; a=0 b=ff: n=0; a=0 b=61: n=0", ""},
		{"backward with a limit", []cell{intCell("a", 0), b("\xff")}, []cell{minA, minB}, func(r *getRangeRequest) { r.Direction, r.Limit = 1, new(int32(2)) }, "a=0 b=ff: n=0; a=0 b=61: n=0", "a=0 b=:"},
		{"no such column", []cell{minA, minB}, []cell{maxA, maxB}, func(r *getRangeRequest) { r.Columns = []string{"x"} }, "", ""},
	}
	for _, tc := range cases {
		req := &getRangeRequest{Table: "t", MaxVersions: one, From: keyRow(tc.from...), To: keyRow(tc.to...)}
		if tc.change != nil {
			tc.change(req)
		}
		var resp getRangeResponse
		c.do("GetRange", req, &resp)
		if diff := cmp.Diff([]string{tc.want, tc.next}, []string{c.showRows(resp.Rows), c.showRows(resp.Next)}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestCapacityIsCountedIn4096Bytes(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, anyText)
	var w rowResponse
	c.do("PutRow", put(absent, rowU1(textCell("c", strings.Repeat("x", 5000)))), &w)
	var r getRowResponse
	c.do("GetRow", &getRowRequest{Table: "t", Key: keyRow(textCell("id", "u1")), MaxVersions: one}, &r)
	if w.Consumed.Unit != (capacityUnit{1, 2}) || r.Consumed.Unit != (capacityUnit{2, 0}) {
		t.Errorf("written for %v, read for %v", w.Consumed.Unit, r.Consumed.Unit)
	}
	c.do("GetRow", &getRowRequest{Table: "t", Key: keyRow(textCell("id", "u2")), MaxVersions: one}, &r)
	if r.Consumed.Unit != (capacityUnit{1, 0}) {
		t.Errorf("a missing row is read for %v", r.Consumed.Unit)
	}
}

func TestOneOfManyPutsWins(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, anyText)
	var won, lost atomic.Int32
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			switch f := c.try("PutRow", put(absent, rowU1(intCell("n", int64(i)))), nil); {
			case f == nil:
				won.Add(1)
			case *f == *faultCondition:
				lost.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 63 {
		t.Errorf("%d won, %d lost", won.Load(), lost.Load())
	}
}

func TestErrorsOfTheRoomsHaveCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want *fault
	}{
		{fmt.Errorf("read: %w", &table.MissingError{}), faultMissing},
		{&table.ExistsError{}, faultExists},
		{kv.ErrConflict, faultConflict},
		{kv.ErrTooLarge, faultRowSize},
		{kv.ErrClosed, faultDown},
		{kv.ErrUnavailable, faultDown},
		{kv.ErrTooLong, faultTimeout},
		{context.DeadlineExceeded, faultTimeout},
		{kv.ErrCorrupt, faultInternal},
		{errors.New("secret"), faultInternal},
		{sluice.Errorf(sluice.Throttled, "x"), faultBusy},
		{sluice.Errorf(sluice.Timeout, "x"), faultTimeout},
		{sluice.Errorf(sluice.Unavailable, "x"), faultDown},
		{sluice.Errorf(sluice.Conflict, "x"), faultConflict},
		{sluice.Errorf(sluice.TooMuch, "x"), faultRowSize},
		{sluice.Errorf(sluice.Invalid, "x"), invalid("x")},
	} {
		if diff := cmp.Diff(c.want, faultOf(c.err)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.err, diff)
		}
	}
}
