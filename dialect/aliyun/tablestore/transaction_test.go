package tablestore

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/table"
)

// ledger is a table with local transactions, keys gid and id.
func ledger(t *testing.T) *client {
	c := newServer(t, nil).operator("inst")
	key := []keySchema{{Name: "gid", Type: keyInteger}, {Name: "id", Type: keyString}}
	c.do("CreateTable", &createTableRequest{Meta: tableMeta{Name: "t", Key: key}, LocalTxn: new(true)}, nil)
	return c
}

func ledgerKey(gid int64, id string) []cell { return []cell{intCell("gid", gid), textCell("id", id)} }

func (c *client) begin(gid int64) string {
	c.t.Helper()
	var resp transactionMessage
	c.do("StartLocalTransaction", &startTransactionRequest{"t", keyRow(intCell("gid", gid))}, &resp)
	return resp.ID
}

// in puts a request into a transaction.
func in(id string, r *rowRequest) *rowRequest {
	r.Transaction = id
	return r
}

// sum is the value of column n of a ledger's row; -1 when it is not there.
func (c *client) sum(id string, gid int64, name string) int64 {
	c.t.Helper()
	var resp getRowResponse
	c.do("GetRow", &getRowRequest{Table: "t", Key: keyRow(ledgerKey(gid, name)...), MaxVersions: one, Transaction: id}, &resp)
	for _, row := range c.rows(resp.Row) {
		return row.Cells[0].Value.Int
	}
	return -1
}

func TestATransactionIsSeenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"CommitTransaction", "AbortTransaction"} {
		c := ledger(t)
		c.do("PutRow", put(ignore, wireRow{Key: ledgerKey(1, "a"), Cells: []cell{intCell("n", 1)}}), nil)
		id := c.begin(1)
		plus := intCell("n", 10)
		plus.Op = opIncrement
		var updated rowResponse
		inc := in(id, put(existing, wireRow{Key: ledgerKey(1, "a"), Cells: []cell{plus}}))
		inc.Return = &returnContent{returnAfterModify, []string{"n"}}
		c.do("UpdateRow", inc, &updated)
		if got := c.rows(updated.Row)[0].Cells[0].Value.Int; got != 11 {
			t.Errorf("incremented to %d", got)
		}
		var batch batchResponse
		c.do("BatchWriteRow", &batchWriteRequest{Transaction: id, Tables: []batchWriteTable{{"t", []batchWriteRow{
			{Type: writePut, Row: plainRow(wireRow{Key: ledgerKey(1, "b"), Cells: []cell{intCell("n", 2)}})},
			{Type: writePut, Row: plainRow(wireRow{Key: ledgerKey(1, "a"), Cells: []cell{intCell("n", 5)}}), Condition: absent},
		}}}}, &batch)
		if rows := batch.Tables[0].Rows; !rows[0].OK || rows[1].OK {
			t.Errorf("batch did %+v", rows)
		}
		if a, b := c.sum(id, 1, "a"), c.sum(id, 1, "b"); a != 11 || b != 2 {
			t.Errorf("the transaction sees %d and %d", a, b)
		}
		if a, b := c.sum("", 1, "a"), c.sum("", 1, "b"); a != 1 || b != -1 {
			t.Errorf("others see %d and %d", a, b)
		}
		var page getRangeResponse
		c.do("GetRange", &getRangeRequest{Table: "t", MaxVersions: one, Transaction: id, Limit: one,
			From: keyRow(intCell("gid", 1), minCell("id")), To: keyRow(intCell("gid", 1), maxCell("id"))}, &page)
		if len(c.rows(page.Rows)) != 1 || len(page.Next) == 0 {
			t.Errorf("first page has %d rows, next %x", len(c.rows(page.Rows)), page.Next)
		}
		c.do("GetRange", &getRangeRequest{Table: "t", MaxVersions: one, Transaction: id,
			From: page.Next, To: keyRow(intCell("gid", 1), maxCell("id"))}, &page)
		if rows := c.rows(page.Rows); len(rows) != 1 || rows[0].Key[1].Value.Str != "b" {
			t.Errorf("second page has %+v", rows)
		}
		var ended transactionMessage
		if end == "AbortTransaction" {
			c.do(end, &transactionMessage{id}, &ended) // the Node SDK wants the id back
			if ended.ID != id {
				t.Errorf("aborted %q, want %q", ended.ID, id)
			}
		} else {
			c.do(end, &transactionMessage{id}, nil)
		}
		want := [2]int64{1, -1}
		if end == "CommitTransaction" {
			want = [2]int64{11, 2}
		}
		if got := [2]int64{c.sum("", 1, "a"), c.sum("", 1, "b")}; got != want {
			t.Errorf("after %s rows are %v, want %v", end, got, want)
		}
	}
}

func TestTransactionFaults(t *testing.T) {
	t.Parallel()
	c := ledger(t)
	for _, name := range []string{"never", "maybe"} {
		req := &createTableRequest{Meta: tableMeta{Name: name, Key: []keySchema{{Name: "gid", Type: keyInteger}}}}
		if name == "never" {
			req.LocalTxn = new(false)
		}
		c.do("CreateTable", req, nil)
	}
	id := c.begin(1)
	row := func(gid int64) *rowRequest {
		return put(ignore, wireRow{Key: ledgerKey(gid, "a"), Cells: []cell{intCell("n", 1)}})
	}
	start := func(name string, key ...cell) *startTransactionRequest {
		return &startTransactionRequest{name, keyRow(key...)}
	}
	unknown := strings.Repeat("0", 32)
	outside := func(gid string) *fault {
		return &fault{400, "OTSDataOutOfRange", "Data out of scope of transaction. Data PartKey:" + gid}
	}
	walk := func(from, to cell) *getRangeRequest {
		return &getRangeRequest{Table: "t", MaxVersions: one, Transaction: id, From: keyRow(from, minCell("id")), To: keyRow(to, maxCell("id"))}
	}
	batch := func(gid int64, atomic bool) *batchWriteRequest {
		return &batchWriteRequest{Transaction: id, Atomic: atomic, Tables: []batchWriteTable{{"t", []batchWriteRow{{Type: writePut, Row: row(gid).Row}}}}}
	}
	for _, tc := range []faultCase{
		{"started twice", "StartLocalTransaction", start("t", intCell("gid", 1)), faultConflict},
		{"a whole key", "StartLocalTransaction", start("t", ledgerKey(2, "a")...), invalid("StartLocalTransaction support only one primary key.")},
		{"another type", "StartLocalTransaction", start("t", textCell("gid", "1")), badKey("Validate PK type fail. Input: VT_STRING, Meta: VT_INTEGER.")},
		{"no key", "StartLocalTransaction", &startTransactionRequest{Table: "t"}, invalid("Cell data broken, mismatch header")},
		{"no table", "StartLocalTransaction", start("x", intCell("gid", 1)), faultMissing},
		{"a table without", "StartLocalTransaction", start("never", intCell("gid", 1)), invalid("Try to call method using explicit transaction on explicit-transaction-disabled table")},
		{"a table that did not say", "StartLocalTransaction", start("maybe", intCell("gid", 1)), nil},
		{"a table that did not say, twice", "StartLocalTransaction", start("maybe", intCell("gid", 1)), faultConflict},
		{"a write beside it", "PutRow", row(1), faultConflict},
		{"a write elsewhere", "PutRow", row(2), nil},
		{"a write outside of it", "PutRow", in(id, row(2)), outside("2")},
		{"a batch outside of it", "BatchWriteRow", batch(2, false), outside("2")},
		{"an atomic batch in it", "BatchWriteRow", batch(1, true), invalid("is_atomic can not be used in local transaction.")},
		{"a read outside of it", "GetRow", &getRowRequest{Table: "t", Key: keyRow(ledgerKey(2, "a")...), MaxVersions: one, Transaction: id}, outside("2")},
		{"a walk from outside", "GetRange", walk(minCell("gid"), intCell("gid", 1)), outside("")},
		{"a walk to outside", "GetRange", walk(intCell("gid", 1), intCell("gid", 2)), outside("2")},
		{"an unknown id", "PutRow", in(unknown, row(1)), faultNoSession},
		{"an unknown id, committed", "CommitTransaction", &transactionMessage{unknown}, faultNoSession},
		{"an unknown id, aborted", "AbortTransaction", &transactionMessage{unknown}, faultNoSession},
		{"a malformed id", "PutRow", in("x", row(1)), invalid("TransactionID is invalid.")},
		{"a malformed id, committed", "CommitTransaction", &transactionMessage{"x"}, invalid("TransactionID is invalid.")},
		{"no id, aborted", "AbortTransaction", &transactionMessage{}, invalid("TransactionID is invalid.")},
		{"committed", "CommitTransaction", &transactionMessage{id}, nil},
		{"committed twice", "CommitTransaction", &transactionMessage{id}, faultNoSession},
		{"a write after it", "PutRow", row(1), nil},
	} {
		if diff := cmp.Diff(tc.want, c.try(tc.op, tc.req, nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	if got := faultOf(table.ErrBusy); got != faultInSession {
		t.Errorf("a busy session is %v", got)
	}
}

func TestATransactionEndsWithItsMinute(t *testing.T) {
	t.Parallel()
	c := ledger(t)
	id := c.begin(1)
	row := put(ignore, wireRow{Key: ledgerKey(1, "a"), Cells: []cell{intCell("n", 1)}})
	c.do("PutRow", in(id, row), nil)
	c.pass(time.Minute)
	for _, op := range []string{"PutRow", "UpdateRow"} {
		if f := c.try(op, in(id, row), nil); f != nil && f.Code != "OTSSessionNotExist" || f == nil {
			t.Errorf("%s: %v", op, f)
		}
	}
	if f := c.try("CommitTransaction", &transactionMessage{id}, nil); f == nil || f.Code != "OTSSessionNotExist" {
		t.Errorf("commit: %v", f)
	}
	if n := c.sum("", 1, "a"); n != -1 {
		t.Errorf("row is %d", n)
	}
	c.begin(1)
}

func TestATransactionWritesFourMegabytes(t *testing.T) {
	t.Parallel()
	c := ledger(t)
	id := c.begin(1)
	big := func(name string) *rowRequest {
		return in(id, put(ignore, wireRow{Key: ledgerKey(1, name), Cells: []cell{textCell("c", strings.Repeat("x", maxAttributeSize-100))}}))
	}
	c.do("PutRow", big("a"), nil)
	c.do("PutRow", big("b"), nil)
	if diff := cmp.Diff(faultSessionSize, c.try("PutRow", big("c"), nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.do("CommitTransaction", &transactionMessage{id}, nil)
}

func TestATransactionFillsInNoKeys(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	key := []keySchema{{Name: "gid", Type: keyInteger}, {Name: "id", Type: keyInteger, Option: autoIncr}}
	c.do("CreateTable", &createTableRequest{Meta: tableMeta{Name: "t", Key: key}, LocalTxn: new(true)}, nil)
	row := put(ignore, wireRow{Key: []cell{intCell("gid", 1), autoCell("id")}, Cells: []cell{intCell("n", 1)}})
	want := invalid("PKAutoIncr can't be used in local transaction.")
	if diff := cmp.Diff(want, c.try("PutRow", in(c.begin(1), row), nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStrictTransactionsHaveToBeAskedFor(t *testing.T) {
	t.Parallel()
	c := newServer(t, func(o *Options) { o.Strict = true }).operator("inst")
	c.createTable("t", plainOptions, keySchema{Name: "gid", Type: keyInteger})
	want := invalid("Try to call method using explicit transaction on explicit-transaction-disabled table")
	if diff := cmp.Diff(want, c.try("StartLocalTransaction", &startTransactionRequest{"t", keyRow(intCell("gid", 1))}, nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
