package tablestore

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/kv"
)

// specError is a line of the cloud's list of errors: how it comes about here, or why it never does.
type specError struct {
	status  int
	code    string
	message string
	cause   func(w *world) *fault
	never   string
}

// world is what the causes of errors need: table t with key id STRING, auto with keys gid and id, the latter counting
// by itself, ledger with keys gid INTEGER and id STRING and local transactions, closed without them, frozen that
// allows no update, and searched with a search index and the secondary index by_n.
type world struct {
	*client
	t *testing.T
}

func newWorld(t *testing.T) *world {
	c := newServer(t, func(o *Options) { o.MaxTables = 7 }).operator("inst")
	c.createTable("t", nil, anyText)
	c.createTable("frozen", &tableOptions{AllowUpdate: new(false)}, anyText)
	c.createTable("auto", nil, keySchema{Name: "gid", Type: keyInteger}, keySchema{Name: "id", Type: keyInteger, Option: autoIncr})
	for name, allowed := range map[string]bool{"ledger": true, "closed": false} {
		key := []keySchema{{Name: "gid", Type: keyInteger}, {Name: "id", Type: keyString}}
		c.do("CreateTable", &createTableRequest{Meta: tableMeta{Name: name, Key: key}, LocalTxn: &allowed}, nil)
	}
	c.do("CreateTable", &createTableRequest{
		Meta:    tableMeta{Name: "searched", Key: []keySchema{anyText}, Defined: []definedColumn{{"n", definedInteger}}},
		Indexes: []indexMeta{{Name: "by_n", Key: []string{"n"}}},
	}, nil)
	schema := indexSchema{Fields: []fieldSchema{{Name: "n", Type: fieldLong}}}
	c.do("CreateSearchIndex", &createSearchIndexRequest{Table: "searched", Index: "i", Schema: marshal(&schema)}, nil)
	c.do("PutRow", put(ignore, rowU1(intCell("n", 1))), nil)
	return &world{c, t}
}

// strict is a client of a server that is as strict as the cloud.
func (w *world) strict() *client {
	c := newServer(w.t, func(o *Options) { o.Strict = true }).operator("inst")
	c.createTable("auto", plainOptions, keySchema{Name: "gid", Type: keyInteger}, keySchema{Name: "id", Type: keyInteger, Option: autoIncr})
	return c
}

// sent sends a request of ListTable after a change to it.
func (w *world) sent(change func(r *http.Request)) *fault {
	r := w.request("ListTable", nil)
	change(r)
	return w.result("ListTable", r, nil)
}

func (w *world) put(row wireRow) *fault { return w.try("PutRow", put(ignore, row), nil) }

func (w *world) update(cells ...cell) *fault {
	return w.try("UpdateRow", put(ignore, rowU1(cells...)), nil)
}

func (w *world) create(meta tableMeta, options *tableOptions) *fault {
	if meta.Name == "" {
		meta.Name = "new"
	}
	return w.try("CreateTable", &createTableRequest{Meta: meta, Options: options}, nil)
}

func (w *world) get(change func(*getRowRequest)) *fault {
	r := &getRowRequest{Table: "t", Key: keyRow(textCell("id", "u1")), MaxVersions: one}
	change(r)
	return w.try("GetRow", r, nil)
}

func (w *world) filter(m filterMessage) *fault {
	return w.get(func(r *getRowRequest) { r.Filter = m.bytes() })
}

func (w *world) walk(change func(*getRangeRequest)) *fault {
	r := &getRangeRequest{Table: "t", From: keyRow(minCell("id")), To: keyRow(maxCell("id")), MaxVersions: one}
	change(r)
	return w.try("GetRange", r, nil)
}

// auto writes to the table whose key counts by itself.
func (w *world) auto(c *client, op string, cond condition, id cell) *fault {
	row := wireRow{Key: []cell{intCell("gid", 1), id}, Cells: []cell{intCell("n", 1)}}
	if op == "DeleteRow" {
		row.Cells, row.Delete = nil, true
	}
	return c.try(op, &rowRequest{Table: "auto", Row: plainRow(row), Condition: cond}, nil)
}

func (w *world) batch(rows ...batchWriteRow) *fault {
	return w.try("BatchWriteRow", &batchWriteRequest{Tables: []batchWriteTable{{"t", rows}}}, nil)
}

func putOf(key, value string, cond condition) batchWriteRow {
	return batchWriteRow{Type: writePut, Row: plainRow(wireRow{Key: []cell{textCell("id", key)}, Cells: []cell{textCell("c", value)}}), Condition: cond}
}

// broken puts a row whose bytes a change has broken.
func (w *world) broken(change func(b []byte) []byte) *fault {
	return w.try("PutRow", &rowRequest{Table: "t", Row: change(plainRow(rowU1(intCell("n", 1))))}, nil)
}

// fails has the store fail under a read.
func (w *world) fails(err error) *fault {
	w.store.err.Store(&err)
	return w.get(func(*getRowRequest) {})
}

// begin starts a transaction on the ledger and returns a put into it.
func (w *world) begin(gid int64) (id string, put func(gid int64, value string) *fault) {
	var resp transactionMessage
	w.do("StartLocalTransaction", &startTransactionRequest{"ledger", keyRow(intCell("gid", gid))}, &resp)
	return resp.ID, func(gid int64, value string) *fault { return w.ledger(resp.ID, gid, value) }
}

func (w *world) ledger(transaction string, gid int64, value string) *fault {
	row := wireRow{Key: []cell{intCell("gid", gid), textCell("id", "a")}, Cells: []cell{textCell("c", value)}}
	return w.try("PutRow", &rowRequest{Table: "ledger", Row: plainRow(row), Transaction: transaction}, nil)
}

const (
	ours       = "keys are there or not, and belong to apps: there are no users and no policies to tell apart"
	unthrottle = "nothing is throttled: throughput is kept and told, never enforced"
	atOnce     = "tables and instances are ready as soon as they are made"
)

// TestEveryErrorOfTheSpec goes through the cloud's list of errors in its order.
func TestEveryErrorOfTheSpec(t *testing.T) {
	t.Parallel()
	long, n := strings.Repeat("x", 1025), intCell("n", 1)
	large := strings.Repeat("x", maxAttributeSize)
	deleting := func(op cellOp, stamped bool) cell {
		return cell{Name: "n", Kind: vtNone, Op: op, HasTime: stamped, Time: 1}
	}
	float := func(f float64) cell { return cell{Name: "n", Kind: vtDouble, Value: floatValue(f)} }
	stamped := func(at int64) cell { c := n; c.Time, c.HasTime = at, true; return c }
	valued := n
	valued.Op = opDeleteAll
	equal := single(cmpEqual, "n", intValue(1), true, true)
	key := func(types ...int32) (m tableMeta) {
		for i, of := range types {
			m.Key = append(m.Key, keySchema{Name: string(rune('a' + i)), Type: of})
		}
		return m
	}
	counting := func(m tableMeta, cols ...int) tableMeta {
		for _, i := range cols {
			m.Key[i].Option = autoIncr
		}
		return m
	}
	errs := []specError{
		// Authentication and HTTP.
		{403, "OTSAuthFailed", "The AccessKeyID does not exist.", func(w *world) *fault {
			return w.sent(func(r *http.Request) { r.Header.Set(headKey, "nobody") })
		}, ""},
		{403, "OTSAuthFailed", "The AccessKeyID is disabled.", nil, ours},
		{403, "OTSAuthFailed", "The user does not exist.", nil, ours},
		{403, "OTSAuthFailed", "The instance is not found.", nil, atOnce},
		{403, "OTSAuthFailed", "The user has no privilege to access the instance.", func(w *world) *fault {
			first := &client{w.server, w.keys.Temporary("STS.", access.Principal{App: "first", Function: "f"}, time.Hour), "shared"}
			first.do("ListTable", &none{}, nil)
			second := &client{w.server, w.keys.Temporary("STS.", access.Principal{App: "second", Function: "f"}, time.Hour), "shared"}
			return second.try("ListTable", &none{}, nil)
		}, ""},
		{403, "OTSAuthFailed", "The instance is not running.", nil, atOnce},
		{403, "OTSAuthFailed", "Signature mismatch.", func(w *world) *fault {
			return w.sent(func(r *http.Request) { r.Header.Set(headSign, "x") })
		}, ""},
		{403, "OTSAuthFailed", "Mismatch between system time and x-ots-date: 2024-01-01T00:00:00.000Z.", func(w *world) *fault {
			return w.sent(func(r *http.Request) { r.Header.Set(headDate, "2024-01-01T00:00:00.000Z"); w.sign(r) })
		}, ""},
		{403, "OTSAuthFailed", "Mismatch between MD5 value of request body and x-ots-contentmd5 in header.", func(w *world) *fault {
			return w.sent(func(r *http.Request) { r.Header.Set(headMD5, "x"); w.sign(r) })
		}, ""},
		{403, "OTSAuthFailed", "Request denied by instance ACL policies.", nil, ours},
		{403, "OTSNoPermissionAccess", "You have no permission to access the requested resource, please contact the resource owner", nil, ours},
		{413, "OTSRequestBodyTooLarge", "The size of POST data is too large.", func(w *world) *fault {
			return w.try("PutRow", make([]byte, maxBody+1), nil)
		}, ""},
		{408, "OTSRequestTimeout", "Request timeout.", (*world).slow, ""},
		{405, "OTSMethodNotAllowed", "Only POST method for requests is supported.", func(w *world) *fault {
			return w.sent(func(r *http.Request) { r.Method = "PUT" })
		}, ""},
		{400, "OTSParameterInvalid", "Missing header: x-ots-date.", func(w *world) *fault {
			return w.sent(func(r *http.Request) { r.Header.Del(headDate) })
		}, ""},
		{400, "OTSParameterInvalid", "Invalid date format: today.", func(w *world) *fault {
			return w.sent(func(r *http.Request) { r.Header.Set(headDate, "today"); w.sign(r) })
		}, ""},
		{400, "OTSParameterInvalid", "Unsupported operation: Frobnicate.", func(w *world) *fault { return w.try("Frobnicate", &none{}, nil) }, ""},
		{400, "OTSParameterInvalid", "Unsupported operation: SQLQuery.", func(w *world) *fault { return w.try("SQLQuery", &none{}, nil) }, ""},
		{400, "OTSParameterInvalid", "Invalid instance name: a.b.", func(w *world) *fault {
			return w.sent(func(r *http.Request) { r.Header.Set(headInstance, "a.b"); w.sign(r) })
		}, ""},

		// Operations.
		{404, "OTSObjectNotExist", "Requested table does not exist.", func(w *world) *fault { return w.try("DescribeTable", &tableRequest{"none"}, nil) }, ""},
		{409, "OTSObjectAlreadyExist", "Requested table already exists.", func(w *world) *fault {
			m := key(keyString)
			m.Name = "t"
			return w.create(m, nil)
		}, ""},
		{404, "OTSTableNotReady", "The table is not ready.", nil, atOnce},
		{403, "OTSConditionCheckFail", "Condition check failed.", func(w *world) *fault {
			return w.try("PutRow", put(absent, rowU1(n)), nil)
		}, ""},
		{409, "OTSRowOperationConflict", "Data is being modified by the other request.", func(w *world) *fault {
			w.begin(1)
			return w.ledger("", 1, "x")
		}, ""},
		{400, "OTSInvalidPK", "Validate PK size fail. Input: 2, Meta: 1.", func(w *world) *fault {
			return w.put(wireRow{Key: []cell{textCell("id", "a"), textCell("b", "a")}})
		}, ""},
		{400, "OTSInvalidPK", "Validate PK name fail. Input: name, Meta: id.", func(w *world) *fault {
			return w.put(wireRow{Key: []cell{intCell("name", 1)}})
		}, ""},
		{400, "OTSInvalidPK", "Validate PK type fail. Input: VT_INTEGER, Meta: VT_STRING.", func(w *world) *fault {
			return w.put(wireRow{Key: []cell{intCell("id", 1)}})
		}, ""},
		{400, "OTSMetaNotMatch", "search index [none] does not exist", func(w *world) *fault {
			return w.try("Search", &searchRequest{Table: "t", Index: "none"}, nil)
		}, ""},
		{400, "OTSOutOfRowSizeLimit", "The total data size of columns in one row exceeded the limit.", func(w *world) *fault {
			w.update(textCell("a", large))
			w.update(textCell("b", large[10:]))
			return w.update(textCell("c", large))
		}, ""},
		{400, "OTSOutOfColumnCountLimit", "The number of columns in one row exceeded the limit.", nil, "a row may have any number of columns; those of one write have an error of their own"},
		{403, "OTSQuotaExhausted", "Number of tables exceeds the quota:7.", func(w *world) *fault { return w.create(key(keyString), nil) }, ""},
		{403, "OTSQuotaExhausted", "Too frequent table operations.", nil, unthrottle},
		{403, "OTSNotEnoughCapacityUnit", "Remaining capacity unit is not enough.", nil, unthrottle},
		{403, "OTSTooFrequentReservedThroughputAdjustment", "Capacity unit adjustment is too frequent.", nil, unthrottle},
		{400, "OTSForbiddenUpdateCapacityUnit", "Your instance is forbidden to update capacity unit.", nil, unthrottle},
		{503, "OTSServerBusy", "Server is busy.", (*world).busy, ""},
		{503, "OTSPartitionUnavailable", "The partition is not available.", nil, "there is one store, which works or does not"},
		{503, "OTSTimeout", "Operation timeout.", func(w *world) *fault { return w.fails(kv.ErrTooLong) }, ""},
		{503, "OTSServerUnavailable", "Server is not available.", func(w *world) *fault { return w.fails(kv.ErrUnavailable) }, ""},
		{500, "OTSInternalServerError", "Internal server error.", func(w *world) *fault { return w.fails(errors.New("a bug")) }, ""},
		{400, "OTSSessionNotExist", "Session not exist or may be timeout.", func(w *world) *fault {
			return w.try("CommitTransaction", &transactionMessage{strings.Repeat("0", 32)}, nil)
		}, ""},
		{400, "OTSSessionBusy", "Session is busy.", (*world).together, ""},
		{400, "OTSDataOutOfRange", "Data out of scope of transaction. Data PartKey:2", func(w *world) *fault {
			_, put := w.begin(1)
			return put(2, "x")
		}, ""},
		{200, "OTSDataOutOfRange", "Data out of scope of atomic. Atomic PartKey:a. Data PartKey:b", func(w *world) *fault {
			var resp batchResponse
			rows := []batchWriteRow{putOf("a", "x", ignore), putOf("b", "x", ignore)}
			w.do("BatchWriteRow", &batchWriteRequest{Tables: []batchWriteTable{{"t", rows}}, Atomic: true}, &resp)
			return &fault{200, resp.Tables[0].Rows[1].Error.Code, resp.Tables[0].Rows[1].Error.Message}
		}, ""},
		{400, "OTSOutOfTransactionDataSizeLimit", "The total data size of the transaction exceeds the limit, limit size: 4194304.", func(w *world) *fault {
			_, put := w.begin(1)
			put(1, large)
			return put(1, large)
		}, ""},
		{400, "OTSSessionExpired", "ScanQuery'session is expired, please retry ComputeSplitsRequest and ScanQuery.", func(w *world) *fault {
			q := all()
			return w.try("ParallelScan", &parallelScanRequest{Table: "searched", Index: "i", Session: []byte("another"), Query: marshal(&scanQuery{Query: &q})}, nil)
		}, ""},
		{410, "OTSResourceGone, OTSTunnelServerUnavailable, OTSTunnelExpired, OTSTunnelExist, OTSSequenceNumberNotMatch", "", nil, "there are no tunnels"},

		// What is wrong with parameters: names and schemas.
		{400, "OTSParameterInvalid", "Invalid table name: '3t'.", func(w *world) *fault { return w.create(tableMeta{Name: "3t"}, nil) }, ""},
		{400, "OTSParameterInvalid", "Invalid column name: '#'.", func(w *world) *fault { return w.put(rowU1(intCell("#", 1))) }, ""},
		{400, "OTSParameterInvalid", "The number of primary key columns must be in range: [1, 4].", func(w *world) *fault { return w.create(key(1, 1, 1, 1, 1), nil) }, ""},
		{400, "OTSParameterInvalid", "Duplicated primary key name: 'a'.", func(w *world) *fault {
			return w.create(tableMeta{Key: []keySchema{{Name: "a", Type: 1}, {Name: "a", Type: 1}}}, nil)
		}, ""},
		{400, "OTSParameterInvalid", "VT_INF_MIN is an invalid type for the primary key.", func(w *world) *fault { return w.put(wireRow{Key: []cell{minCell("id")}}) }, ""},
		{400, "OTSParameterInvalid", "Duplicated attribute column name with primary key column: 'id'.", func(w *world) *fault { return w.put(rowU1(intCell("id", 1))) }, ""},
		{400, "OTSParameterInvalid", "AUTO_INCREMENT primary key must be integer.", func(w *world) *fault { return w.create(counting(key(1, 2), 1), nil) }, ""},
		{400, "OTSParameterInvalid", "AUTO_INCREMENT primary key count must <= 1.", func(w *world) *fault { return w.create(counting(key(1, 1, 1), 1, 2), nil) }, ""},
		{400, "OTSParameterInvalid", "First primary key can't be auto increment, table: new.", func(w *world) *fault { return w.create(counting(key(1, 1), 0), nil) }, ""},
		{400, "OTSParameterInvalid", "Time-to-live is missing while creating table.", func(w *world) *fault {
			return w.strict().try("CreateTable", &createTableRequest{Meta: tableMeta{Name: "new", Key: []keySchema{anyText}}}, nil)
		}, ""},
		{400, "OTSParameterInvalid", "MaxVersions is missing while creating table.", func(w *world) *fault {
			return w.strict().try("CreateTable", &createTableRequest{Meta: tableMeta{Name: "new", Key: []keySchema{anyText}}, Options: &tableOptions{TimeToLive: one}}, nil)
		}, ""},
		{400, "OTSParameterInvalid", "TimeToLive cannot be 0 or less than -1.", func(w *world) *fault { return w.create(key(1), &tableOptions{TimeToLive: new(int32(0))}) }, ""},
		{400, "OTSParameterInvalid", "No parameter is specified in table options.", func(w *world) *fault {
			return w.try("UpdateTable", &updateTableRequest{Table: "t", Options: &tableOptions{}}, nil)
		}, ""},
		// Sizes.
		{400, "OTSParameterInvalid", "The length of primary key column: 'id' exceeds the MaxLength:1024 with CurrentLength:1025.", func(w *world) *fault {
			return w.put(wireRow{Key: []cell{textCell("id", long)}})
		}, ""},
		{400, "OTSParameterInvalid", "The length of attribute column: 'c' exceeds the MaxLength:2097152 with CurrentLength:2097153.", func(w *world) *fault {
			return w.put(rowU1(textCell("c", large+"x")))
		}, ""},
		{400, "OTSParameterInvalid", "The number of attribute columns exceeds the limit, limit count: 1024, column count: 1025.", func(w *world) *fault {
			var wide []cell
			for i := range 1025 {
				wide = append(wide, intCell(fmt.Sprint("c", i), 1))
			}
			return w.put(rowU1(wide...))
		}, ""},
		{400, "OTSParameterInvalid", "The number of columns from the request exceeds the limit, limit count: 1024, column count: 1025.", func(w *world) *fault {
			return w.get(func(r *getRowRequest) { r.Columns = strings.Split(long, "")[:1025] })
		}, ""},
		{400, "OTSParameterInvalid", "The total data size of BatchWriteRow request exceeds the limit, limit size: 4194304, data size: 4194319.", func(w *world) *fault {
			return w.batch(putOf("a", large, ignore), putOf("b", large, ignore), putOf("c", "xxx", ignore))
		}, ""},
		{400, "OTSParameterInvalid", "The total data size of PutRow request exceeds the limit, limit size: 4194304, data size: 4194310.", func(w *world) *fault {
			return w.put(rowU1(textCell("a", large), textCell("b", large)))
		}, ""},
		{400, "OTSParameterInvalid", "The total data size of UpdateRow request exceeds the limit, limit size: 4194304, data size: 4194310.", func(w *world) *fault {
			return w.update(textCell("a", large), textCell("b", large))
		}, ""},
		{400, "OTSParameterInvalid", "Rows count exceeds the upper limit: 100.", func(w *world) *fault {
			return w.try("BatchGetRow", &batchGetRequest{Tables: []batchGetTable{{Table: "t", Keys: make([][]byte, 101)}}}, nil)
		}, ""},
		{400, "OTSParameterInvalid", "Rows count exceeds the upper limit: 200.", func(w *world) *fault { return w.batch(make([]batchWriteRow, 201)...) }, ""},
		// Batches.
		{400, "OTSParameterInvalid", "No row is specified in BatchWriteRow.", func(w *world) *fault { return w.try("BatchWriteRow", &batchWriteRequest{}, nil) }, ""},
		{400, "OTSParameterInvalid", "No operation is specified for table: 't'.", func(w *world) *fault { return w.batch() }, ""},
		{400, "OTSParameterInvalid", "No row specified in the request of BatchGetRow.", func(w *world) *fault { return w.try("BatchGetRow", &batchGetRequest{}, nil) }, ""},
		{400, "OTSParameterInvalid", "Duplicated table name: 't'.", func(w *world) *fault {
			return w.try("BatchGetRow", &batchGetRequest{Tables: []batchGetTable{{Table: "t"}, {Table: "t"}}}, nil)
		}, ""},
		{400, "OTSParameterInvalid", "Repeated rows do not support row exist expectation check in BatchModify.", func(w *world) *fault {
			return w.batch(putOf("a", "x", ignore), putOf("a", "x", existing))
		}, ""},
		{400, "OTSParameterInvalid", "Repeated rows do not support row condition check in BatchModify.", func(w *world) *fault {
			return w.batch(putOf("a", "x", ignore), putOf("a", "x", condition{Column: equal.bytes()}))
		}, ""},
		// Reads.
		{400, "OTSParameterInvalid", "No version condition is specified.", func(w *world) *fault { return w.get(func(r *getRowRequest) { r.MaxVersions = nil }) }, ""},
		{400, "OTSParameterInvalid", "No version condition is specified.", func(w *world) *fault { return w.walk(func(r *getRangeRequest) { r.MaxVersions = nil }) }, ""},
		{400, "OTSParameterInvalid", "No version condition is specified while querying row.", func(w *world) *fault {
			return w.try("BatchGetRow", &batchGetRequest{Tables: []batchGetTable{{Table: "t"}}}, nil)
		}, ""},
		{400, "OTSParameterInvalid", "The limit must be greater than 0.", func(w *world) *fault { return w.walk(func(r *getRangeRequest) { r.Limit = new(int32(0)) }) }, ""},
		{400, "OTSParameterInvalid", "Begin key must less than end key in FORWARD", func(w *world) *fault { return w.walk(func(r *getRangeRequest) { r.From, r.To = r.To, r.From }) }, ""},
		{400, "OTSParameterInvalid", "Begin key must more than end key in BACKWARD", func(w *world) *fault { return w.walk(func(r *getRangeRequest) { r.Direction = 1 }) }, ""},
		{400, "OTSParameterInvalid", "Start and end time must be given at the same time.", func(w *world) *fault {
			return w.get(func(r *getRowRequest) { r.Time = &timeRange{Start: new(int64(1))} })
		}, ""},
		{400, "OTSParameterInvalid", "PKAutoIncr can't be used for read operations.", func(w *world) *fault {
			return w.get(func(r *getRowRequest) { r.Key = keyRow(autoCell("id")) })
		}, ""},
		// Values and versions.
		{400, "OTSParameterInvalid", "Timestamp must be in range [0, INT64_MAX/1000).", func(w *world) *fault { return w.put(rowU1(stamped(-1))) }, ""},
		{400, "OTSParameterInvalid", "Invalid timestamp. Cell:n.", func(w *world) *fault { return w.put(rowU1(stamped(1))) }, ""},
		{400, "OTSParameterInvalid", "Attribute column is missing.", func(w *world) *fault { return w.update() }, ""},
		{400, "OTSParameterInvalid", "Column value cannot be given when type is DELETE_ONE_VERSION,DELETE_ALL_VERSION.", func(w *world) *fault { return w.update(valued) }, ""},
		{400, "OTSParameterInvalid", "Timestamp must be given when type is DELETE_ONE_VERSION.", func(w *world) *fault { return w.update(deleting(opDeleteVersion, false)) }, ""},
		{400, "OTSParameterInvalid", "Timestamp cannot be given when type is DELETE_ALL_VERSION.", func(w *world) *fault { return w.update(deleting(opDeleteAll, true)) }, ""},
		{400, "OTSParameterInvalid", "OpType cannot be given for column name:n in PutRow.", func(w *world) *fault { return w.put(rowU1(as(opIncrement, n))) }, ""},
		{400, "OTSParameterInvalid", "NaN can't be set to double value.", func(w *world) *fault { return w.put(rowU1(float(math.NaN()))) }, ""},
		{400, "OTSParameterInvalid", "Infinity can't be set to double value.", func(w *world) *fault { return w.put(rowU1(float(math.Inf(1)))) }, ""},
		{400, "OTSParameterInvalid", "Value of column 'c' must be UTF8 encoding.", func(w *world) *fault { return w.put(rowU1(textCell("c", "\xff"))) }, ""},
		{400, "OTSParameterInvalid", "Invalid request of delete row: missing RowDeleteMarker in request", func(w *world) *fault { return w.try("DeleteRow", put(ignore, rowU1()), nil) }, ""},
		{400, "OTSParameterInvalid", "Delete marker cannot be given.", func(w *world) *fault {
			return w.put(wireRow{Key: []cell{textCell("id", "a")}, Delete: true})
		}, ""},
		// Filters.
		{400, "OTSParameterInvalid", "Deserialize filter failed.", func(w *world) *fault { return w.get(func(r *getRowRequest) { r.Filter = []byte{1} }) }, ""},
		{400, "OTSParameterInvalid", "Deserialize relation filter failed.", func(w *world) *fault { return w.filter(filterMessage{filterSingle, []byte{1}}) }, ""},
		{400, "OTSParameterInvalid", "Deserialize composite filter failed.", func(w *world) *fault { return w.filter(filterMessage{filterComposite, []byte{1}}) }, ""},
		{400, "OTSParameterInvalid", "Deserialize column pagination filter failed.", func(w *world) *fault { return w.filter(filterMessage{filterPage, []byte{1}}) }, ""},
		{400, "OTSParameterInvalid", "The count of filter exceeds the max: 32.", func(w *world) *fault {
			many := make([]filterMessage, 32)
			for i := range many {
				many[i] = equal
			}
			return w.filter(composite(logicOr, many...))
		}, ""},
		{400, "OTSParameterInvalid", "Invalid NOT operator: the number of sub-filters must be 1.", func(w *world) *fault { return w.filter(composite(logicNot, equal, equal)) }, ""},
		{400, "OTSParameterInvalid", "Invalid AND/OR operator: the number of sub-filters must be more than 1.", func(w *world) *fault { return w.filter(composite(logicAnd, equal)) }, ""},
		{400, "OTSParameterInvalid", "Offset in ColumnPaginationFilter must be greater than or equal to 0.", func(w *world) *fault { return w.filter(paged(-1, 1)) }, ""},
		{400, "OTSParameterInvalid", "Limit in ColumnPaginationFilter must be greater than 0.", func(w *world) *fault { return w.filter(paged(0, 0)) }, ""},
		// Keys that count by themselves.
		{400, "OTSParameterInvalid", "Invalid expect:EXPECT_EXIST when modify row with pk auto increment", func(w *world) *fault {
			return w.auto(w.client, "PutRow", existing, autoCell("id"))
		}, ""},
		{400, "OTSParameterInvalid", "Can't set condition when modify row with pk auto increment", func(w *world) *fault {
			return w.auto(w.client, "PutRow", condition{Column: equal.bytes()}, autoCell("id"))
		}, ""},
		{400, "OTSParameterInvalid", "Invalid expect: IGNORE when modify a specific row for table with pk auto increment", func(w *world) *fault {
			return w.auto(w.strict(), "PutRow", ignore, intCell("id", 7))
		}, ""},
		{400, "OTSParameterInvalid", "Invalid expect: EXPECT_NOT_EXIST when modify a specific row for table with pk auto increment", func(w *world) *fault {
			return w.auto(w.client, "PutRow", absent, intCell("id", 7))
		}, ""},
		{400, "OTSParameterInvalid", "Invalid row to delete which with pk auto increment", func(w *world) *fault {
			return w.auto(w.client, "DeleteRow", ignore, autoCell("id"))
		}, ""},
		// The rest.
		{400, "OTSParameterInvalid", "Can't write index table directly", func(w *world) *fault {
			r := put(ignore, wireRow{Key: []cell{intCell("n", 1), textCell("id", "a")}})
			r.Table = "by_n"
			return w.try("PutRow", r, nil)
		}, ""},
		{400, "OTSParameterInvalid", "Table[searched] who has at least one search index cannot be deleted", func(w *world) *fault {
			return w.try("DeleteTable", &tableRequest{"searched"}, nil)
		}, ""},
		{400, "OTSParameterInvalid", "table [none] does not exist", func(w *world) *fault { return w.try("Search", &searchRequest{Table: "none", Index: "i"}, nil) }, ""},
		{400, "OTSParameterInvalid", "TransactionID is invalid.", func(w *world) *fault { return w.try("CommitTransaction", &transactionMessage{"x"}, nil) }, ""},
		{400, "OTSParameterInvalid", "StartLocalTransaction support only one primary key.", func(w *world) *fault {
			return w.try("StartLocalTransaction", &startTransactionRequest{"ledger", keyRow(intCell("gid", 1), textCell("id", "a"))}, nil)
		}, ""},
		{400, "OTSParameterInvalid", "Try to call method using explicit transaction on explicit-transaction-disabled table", func(w *world) *fault {
			return w.try("StartLocalTransaction", &startTransactionRequest{"closed", keyRow(intCell("gid", 1))}, nil)
		}, ""},
		{400, "OTSParameterInvalid", "Cannot deserialize the request data.", func(w *world) *fault { return w.try("GetRow", []byte{1}, nil) }, ""},
		{400, "OTSParameterInvalid", "Cell data broken, mismatch header", func(w *world) *fault { return w.broken(func(b []byte) []byte { return b[1:] }) }, ""},
		{400, "OTSParameterInvalid", "Cell data broken, PK is empty.", func(w *world) *fault { return w.broken(func(b []byte) []byte { return b[:4] }) }, ""},
		{400, "OTSParameterInvalid", "Cell data broken, checksum is mismatch", func(w *world) *fault {
			return w.broken(func(b []byte) []byte { b[len(b)-1]++; return b })
		}, ""},
		{400, "OTSParameterInvalid", "Cell data broken, row is not end with checksum tag.", func(w *world) *fault { return w.broken(func(b []byte) []byte { return b[:len(b)-2] }) }, ""},
	}
	for _, e := range errs {
		if (e.cause == nil) == (e.never == "") {
			t.Errorf("%s %q needs either a cause or a reason why there is none", e.code, e.message)
		}
		if e.cause == nil {
			continue
		}
		t.Run(e.code+" "+e.message[:min(60, len(e.message))], func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(&fault{e.status, e.code, e.message}, e.cause(newWorld(t))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// slow sends a part of a body and waits.
func (w *world) slow() *fault {
	server := httptest.NewUnstartedServer(w.Config.Handler)
	server.Config.ReadHeaderTimeout, server.Config.ReadTimeout = time.Minute, 50*time.Millisecond
	server.Start()
	defer server.Close()
	body, rest := io.Pipe()
	defer rest.Close()
	r := w.request("PutRow", nil)
	r.URL.Host = server.Listener.Addr().String()
	r.Body, r.ContentLength = body, 100
	go rest.Write([]byte("some")) // ends with the pipe
	return w.result("PutRow", r, nil)
}

// busy has as many transactions open as there may be.
func (w *world) busy() *fault {
	id, _ := w.begin(1)
	open := &w.Config.Handler.(*handler).transactions
	session := open.find(transactionID{"inst", id})
	open.mu.Lock()
	for i := range maxTransactions {
		open.open[transactionID{"inst", fmt.Sprint(i)}] = session
	}
	open.mu.Unlock()
	return w.try("StartLocalTransaction", &startTransactionRequest{"ledger", keyRow(intCell("gid", 2))}, nil)
}

// together sends two requests in one transaction at a time.
func (w *world) together() *fault {
	id, put := w.begin(1)
	g := &gate{make(chan struct{}), make(chan struct{})}
	w.store.gate.Store(g)
	done := make(chan struct{})
	go func() {
		defer close(done)
		put(1, "x")
	}()
	<-g.reached
	defer func() { close(g.open); <-done }()
	return w.try("CommitTransaction", &transactionMessage{id}, nil)
}
