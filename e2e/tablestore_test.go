package e2e

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	ots "github.com/aliyun/aliyun-tablestore-go-sdk/tablestore"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aliyun/tablestore"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/table"
)

// tablestoreServer starts the protocol over tables in memory and returns its address and a key.
func tablestoreServer(t *testing.T) (endpoint string, cred access.Credentials) {
	t.Helper()
	store := memory.New()
	t.Cleanup(func() { store.Close() })
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	tables, err := table.Open(t.Context(), store, table.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := access.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	if cred, err = keys.AppKey(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(tablestore.New(tablestore.Options{Tables: tables, Keys: keys, Log: log}))
	t.Cleanup(srv.Close)
	return srv.URL, cred
}

func tablestoreClient(t *testing.T) *ots.TableStoreClient {
	t.Helper()
	endpoint, cred := tablestoreServer(t)
	return ots.NewClient(endpoint, "inst", cred.ID, cred.Secret)
}

// otsTable makes a table with a STRING key pk1, and an INTEGER key pk2 that counts by itself if auto.
func otsTable(t *testing.T, c *ots.TableStoreClient, name string, auto bool) {
	t.Helper()
	meta := &ots.TableMeta{TableName: name}
	meta.AddPrimaryKeyColumn("pk1", ots.PrimaryKeyType_STRING)
	if auto {
		meta.AddPrimaryKeyColumnOption("pk2", ots.PrimaryKeyType_INTEGER, ots.AUTO_INCREMENT)
	}
	_, err := c.CreateTable(&ots.CreateTableRequest{
		TableMeta:          meta,
		TableOption:        &ots.TableOption{TimeToAlive: -1, MaxVersion: 3},
		ReservedThroughput: &ots.ReservedThroughput{},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func otsKey(s string) *ots.PrimaryKey {
	pk := &ots.PrimaryKey{}
	pk.AddPrimaryKeyColumn("pk1", s)
	return pk
}

func otsPut(table, key string, expect ots.RowExistenceExpectation, columns ...any) *ots.PutRowChange {
	ch := &ots.PutRowChange{TableName: table, PrimaryKey: otsKey(key)}
	for i := 0; i < len(columns); i += 2 {
		ch.AddColumn(columns[i].(string), columns[i+1])
	}
	ch.SetCondition(expect)
	return ch
}

func otsGet(t *testing.T, c *ots.TableStoreClient, table, key string) map[string]any {
	t.Helper()
	resp, err := c.GetRow(&ots.GetRowRequest{SingleRowQueryCriteria: &ots.SingleRowQueryCriteria{
		TableName: table, PrimaryKey: otsKey(key), MaxVersion: 1,
	}})
	if err != nil {
		t.Fatal(err)
	}
	cols := map[string]any{}
	for _, c := range resp.Columns {
		cols[c.ColumnName] = c.Value
	}
	return cols
}

func otsCode(err error) string {
	if e, ok := err.(*ots.OtsError); ok {
		return fmt.Sprintf("%d %s: %s", e.HttpStatusCode, e.Code, e.Message)
	}
	return fmt.Sprint(err)
}

func TestTablestoreGoSDKTables(t *testing.T) {
	t.Parallel()
	c := tablestoreClient(t)
	otsTable(t, c, "a", false)
	otsTable(t, c, "b", true)
	list, err := c.ListTable()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, list.TableNames); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
	d, err := c.DescribeTable(&ots.DescribeTableRequest{TableName: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.TableMeta.SchemaEntry) != 2 || *d.TableMeta.SchemaEntry[1].Option != ots.AUTO_INCREMENT || d.TableOption.MaxVersion != 3 || d.TableOption.TimeToAlive != -1 {
		t.Errorf("described as %+v", d)
	}
	u, err := c.UpdateTable(&ots.UpdateTableRequest{
		TableName: "b", TableOption: &ots.TableOption{TimeToAlive: 86400, MaxVersion: 5},
		StreamSpec: &ots.StreamSpecification{EnableStream: true, ExpirationTime: 24},
	})
	if err != nil {
		t.Fatal(err)
	}
	if u.TableOption.TimeToAlive != 86400 || u.TableOption.MaxVersion != 5 || !u.StreamDetails.EnableStream || *u.StreamDetails.StreamId == "" {
		t.Errorf("updated to %+v", u)
	}
	if _, err := c.DeleteTable(&ots.DeleteTableRequest{TableName: "b"}); err != nil {
		t.Fatal(err)
	}
	_, err = c.DeleteTable(&ots.DeleteTableRequest{TableName: "b"})
	if got, want := otsCode(err), "404 OTSObjectNotExist: Requested table does not exist."; got != want {
		t.Errorf("deleted twice: %s, want %s", got, want)
	}
}

func TestTablestoreGoSDKRows(t *testing.T) {
	t.Parallel()
	c := tablestoreClient(t)
	otsTable(t, c, "t", false)
	put := otsPut("t", "k", ots.RowExistenceExpectation_EXPECT_NOT_EXIST,
		"i", int64(7), "d", 34.2, "b", true, "s", "é", "x", []byte{0xff})
	if _, err := c.PutRow(&ots.PutRowRequest{PutRowChange: put}); err != nil {
		t.Fatal(err)
	}
	_, err := c.PutRow(&ots.PutRowRequest{PutRowChange: put})
	if got, want := otsCode(err), "403 OTSConditionCheckFail: Condition check failed."; got != want {
		t.Errorf("put twice: %s, want %s", got, want)
	}
	want := map[string]any{"i": int64(7), "d": 34.2, "b": true, "s": "é", "x": []byte{0xff}}
	if diff := cmp.Diff(want, otsGet(t, c, "t", "k")); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}

	up := &ots.UpdateRowChange{TableName: "t", PrimaryKey: otsKey("k")}
	up.PutColumn("s", "new")
	up.DeleteColumn("d")
	up.IncrementColumn("i", 5)
	up.SetReturnIncrementValue()
	up.AppendIncrementColumnToReturn("i")
	up.SetCondition(ots.RowExistenceExpectation_EXPECT_EXIST)
	up.SetColumnCondition(ots.NewSingleColumnCondition("s", ots.CT_EQUAL, "é"))
	updated, err := c.UpdateRow(&ots.UpdateRowRequest{UpdateRowChange: up})
	if err != nil {
		t.Fatal(err)
	}
	if len(updated.Columns) != 1 || updated.Columns[0].Value != int64(12) {
		t.Errorf("increment returned %+v", updated.Columns)
	}
	want = map[string]any{"i": int64(12), "b": true, "s": "new", "x": []byte{0xff}}
	if diff := cmp.Diff(want, otsGet(t, c, "t", "k")); diff != "" {
		t.Errorf("updated row (-want +got):\n%s", diff)
	}

	del := &ots.DeleteRowChange{TableName: "t", PrimaryKey: otsKey("k")}
	del.SetCondition(ots.RowExistenceExpectation_EXPECT_EXIST)
	if _, err := c.DeleteRow(&ots.DeleteRowRequest{DeleteRowChange: del}); err != nil {
		t.Fatal(err)
	}
	if got := otsGet(t, c, "t", "k"); len(got) != 0 {
		t.Errorf("deleted row has %v", got)
	}
}

func TestTablestoreGoSDKAutoIncrement(t *testing.T) {
	t.Parallel()
	c := tablestoreClient(t)
	otsTable(t, c, "t", true)
	last := int64(0)
	for range 20 {
		pk := otsKey("k")
		pk.AddPrimaryKeyColumnWithAutoIncrement("pk2")
		ch := &ots.PutRowChange{TableName: "t", PrimaryKey: pk}
		ch.AddColumn("c", "v")
		ch.SetCondition(ots.RowExistenceExpectation_IGNORE)
		ch.SetReturnPk()
		resp, err := c.PutRow(&ots.PutRowRequest{PutRowChange: ch})
		if err != nil {
			t.Fatal(err)
		}
		id := resp.PrimaryKey.PrimaryKeys[1].Value.(int64)
		if id <= last || id >= 1<<53 {
			t.Fatalf("id %d after %d", id, last)
		}
		last = id
	}
}

func TestTablestoreGoSDKBatches(t *testing.T) {
	t.Parallel()
	c := tablestoreClient(t)
	otsTable(t, c, "t", false)
	if _, err := c.PutRow(&ots.PutRowRequest{PutRowChange: otsPut("t", "k3", ots.RowExistenceExpectation_IGNORE, "n", int64(0))}); err != nil {
		t.Fatal(err)
	}
	write := &ots.BatchWriteRowRequest{}
	for i := range 10 {
		write.AddRowChange(otsPut("t", fmt.Sprint("k", i), ots.RowExistenceExpectation_EXPECT_NOT_EXIST, "n", int64(i)))
	}
	written, err := c.BatchWriteRow(write)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range written.TableToRowsResult["t"] {
		if r.IsSucceed == (i == 3) {
			t.Errorf("row %d: %+v", i, r)
		}
	}
	q := &ots.MultiRowQueryCriteria{TableName: "t", MaxVersion: 1}
	for i := range 11 {
		q.AddRow(otsKey(fmt.Sprint("k", i)))
	}
	read, err := c.BatchGetRow(&ots.BatchGetRowRequest{MultiRowQueryCriteria: []*ots.MultiRowQueryCriteria{q}})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range read.TableToRowsResult["t"] {
		switch want := int64(i); {
		case i == 10 && (!r.IsSucceed || len(r.Columns) > 0):
			t.Errorf("a row that is not there: %+v", r)
		case i == 3:
			want = 0
			fallthrough
		case i < 10:
			if !r.IsSucceed || r.Columns[0].Value != want {
				t.Errorf("row %d: %+v", i, r)
			}
		}
	}
}

// TestTablestoreGoSDKPages walks 12,000 rows, more than one call may look at.
func TestTablestoreGoSDKPages(t *testing.T) {
	t.Parallel()
	const rows = 12000
	c := tablestoreClient(t)
	otsTable(t, c, "t", false)
	for at := 0; at < rows; at += 200 {
		write := &ots.BatchWriteRowRequest{}
		for i := at; i < at+200; i++ {
			write.AddRowChange(otsPut("t", fmt.Sprintf("%05d", i), ots.RowExistenceExpectation_IGNORE, "n", int64(i%100)))
		}
		if _, err := c.BatchWriteRow(write); err != nil {
			t.Fatal(err)
		}
	}
	for _, back := range []bool{false, true} {
		for _, filtered := range []bool{false, true} {
			for _, limit := range []int32{0, 700} {
				t.Run(fmt.Sprintf("backward=%t/filter=%t/limit=%d", back, filtered, limit), func(t *testing.T) {
					least, most := &ots.PrimaryKey{}, &ots.PrimaryKey{}
					least.AddPrimaryKeyColumnWithMinValue("pk1")
					most.AddPrimaryKeyColumnWithMaxValue("pk1")
					q := &ots.RangeRowQueryCriteria{
						TableName: "t", StartPrimaryKey: least, EndPrimaryKey: most,
						Direction: ots.FORWARD, MaxVersion: 1, Limit: limit,
					}
					if back {
						q.StartPrimaryKey, q.EndPrimaryKey, q.Direction = most, least, ots.BACKWARD
					}
					var want []string
					for i := range rows {
						if filtered && i%100 != 42 {
							continue
						}
						want = append(want, fmt.Sprintf("%05d", i))
					}
					if filtered {
						q.Filter = ots.NewSingleColumnCondition("n", ots.CT_EQUAL, int64(42))
					}
					if back {
						for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
							want[i], want[j] = want[j], want[i]
						}
					}
					var got []string
					for q.StartPrimaryKey != nil {
						page, err := c.GetRange(&ots.GetRangeRequest{RangeRowQueryCriteria: q})
						if err != nil {
							t.Fatal(err)
						}
						if limit > 0 && len(page.Rows) > int(limit) || len(page.Rows) > 5000 {
							t.Fatalf("page of %d rows", len(page.Rows))
						}
						for _, r := range page.Rows {
							got = append(got, r.PrimaryKey.PrimaryKeys[0].Value.(string))
						}
						q.StartPrimaryKey = page.NextStartPrimaryKey
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
				})
			}
		}
	}
}

func TestTablestoreGoSDKOneOfManyPutsWins(t *testing.T) {
	t.Parallel()
	c := tablestoreClient(t)
	otsTable(t, c, "t", false)
	var won, lost atomic.Int32
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			put := otsPut("t", "k", ots.RowExistenceExpectation_EXPECT_NOT_EXIST, "n", int64(i))
			_, err := c.PutRow(&ots.PutRowRequest{PutRowChange: put})
			switch {
			case err == nil:
				won.Add(1)
			case strings.Contains(otsCode(err), "OTSConditionCheckFail"):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 63 {
		t.Errorf("%d won and %d lost", won.Load(), lost.Load())
	}
}

// TestTablestoreNodeSDK runs testdata/tablestore/*.test.js, each against a server of its own. The
// Node SDK has to be installed there: npm ci.
func TestTablestoreNodeSDK(t *testing.T) {
	t.Parallel()
	const dir = "testdata/tablestore"
	if _, err := os.Stat(filepath.Join(dir, "node_modules/tablestore")); err != nil {
		t.Fatal("the Node SDK is not installed: run \"make test\", or npm ci in e2e/" + dir)
	}
	scripts, err := filepath.Glob(dir + "/*.test.js")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("scripts: %v, %v", scripts, err)
	}
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			t.Parallel()
			endpoint, cred := tablestoreServer(t)
			cmd := exec.CommandContext(t.Context(), "node", "--test", filepath.Base(script))
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "OTS_ENDPOINT="+endpoint, "OTS_INSTANCE=inst", "OTS_ID="+cred.ID, "OTS_SECRET="+cred.Secret)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
			}
		})
	}
}
