package e2e

import (
	"fmt"
	"strings"
	"testing"

	ots "github.com/aliyun/aliyun-tablestore-go-sdk/tablestore"
	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/search"
	"github.com/google/go-cmp/cmp"
)

// otsPair makes a table with keys pk1 STRING and pk2 STRING.
func otsPair(t *testing.T, c *ots.TableStoreClient, name string) {
	t.Helper()
	meta := &ots.TableMeta{TableName: name}
	meta.AddPrimaryKeyColumn("pk1", ots.PrimaryKeyType_STRING)
	meta.AddPrimaryKeyColumn("pk2", ots.PrimaryKeyType_STRING)
	_, err := c.CreateTable(&ots.CreateTableRequest{
		TableMeta:          meta,
		TableOption:        &ots.TableOption{TimeToAlive: -1, MaxVersion: 1},
		ReservedThroughput: &ots.ReservedThroughput{},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func otsPairKey(a, b string) *ots.PrimaryKey {
	pk := otsKey(a)
	pk.AddPrimaryKeyColumn("pk2", b)
	return pk
}

func otsPairPut(id *string, a, b string, n int64) *ots.PutRowRequest {
	ch := &ots.PutRowChange{TableName: "t", PrimaryKey: otsPairKey(a, b), TransactionId: id}
	ch.AddColumn("n", n)
	ch.SetCondition(ots.RowExistenceExpectation_IGNORE)
	return &ots.PutRowRequest{PutRowChange: ch}
}

func TestTablestoreGoSDKTransactions(t *testing.T) {
	t.Parallel()
	c := tablestoreClient(t)
	otsPair(t, c, "t")
	read := func(id *string, a, b string) any {
		t.Helper()
		resp, err := c.GetRow(&ots.GetRowRequest{SingleRowQueryCriteria: &ots.SingleRowQueryCriteria{
			TableName: "t", PrimaryKey: otsPairKey(a, b), MaxVersion: 1, TransactionId: id,
		}})
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.Columns) == 0 {
			return nil
		}
		return resp.Columns[0].Value
	}
	for _, commit := range []bool{false, true} {
		begun, err := c.StartLocalTransaction(&ots.StartLocalTransactionRequest{TableName: "t", PrimaryKey: otsKey("a")})
		if err != nil {
			t.Fatal(err)
		}
		id := begun.TransactionId
		for i := range int64(3) {
			if _, err := c.PutRow(otsPairPut(id, "a", fmt.Sprint(i), i)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.PutRow(otsPairPut(id, "b", "0", 0)); !strings.Contains(otsCode(err), "OTSDataOutOfRange") {
			t.Errorf("a write outside of the transaction: %s", otsCode(err))
		}
		if in, out := read(id, "a", "2"), read(nil, "a", "2"); in != int64(2) || out != nil {
			t.Errorf("the transaction sees %v, others %v", in, out)
		}
		var want any
		if commit {
			want = int64(2)
			if _, err = c.CommitTransaction(&ots.CommitTransactionRequest{TransactionId: id}); err != nil {
				t.Fatal(err)
			}
		} else if _, err = c.AbortTransaction(&ots.AbortTransactionRequest{TransactionId: id}); err != nil {
			t.Fatal(err)
		}
		if got := read(nil, "a", "2"); got != want {
			t.Errorf("after the transaction the row is %v, want %v", got, want)
		}
		_, err = c.CommitTransaction(&ots.CommitTransactionRequest{TransactionId: id})
		if got, want := otsCode(err), "400 OTSSessionNotExist: Session not exist or may be timeout."; got != want {
			t.Errorf("committed twice: %s, want %s", got, want)
		}
	}
}

func TestTablestoreGoSDKStreams(t *testing.T) {
	t.Parallel()
	c := tablestoreClient(t)
	otsPair(t, c, "t")
	_, err := c.UpdateTable(&ots.UpdateTableRequest{TableName: "t", StreamSpec: &ots.StreamSpecification{EnableStream: true, ExpirationTime: 24}})
	if err != nil {
		t.Fatal(err)
	}
	name := "t"
	list, err := c.ListStream(&ots.ListStreamRequest{TableName: &name})
	if err != nil || len(list.Streams) != 1 {
		t.Fatalf("streams %+v: %v", list, err)
	}
	id := list.Streams[0].Id
	d, err := c.DescribeStream(&ots.DescribeStreamRequest{StreamId: id})
	if err != nil || len(d.Shards) != 1 || d.Status != ots.SS_Active || *d.TableName != "t" {
		t.Fatalf("stream %+v: %v", d, err)
	}
	begun, err := c.GetShardIterator(&ots.GetShardIteratorRequest{StreamId: id, ShardId: d.Shards[0].SelfShard})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutRow(otsPairPut(nil, "a", "1", 1)); err != nil {
		t.Fatal(err)
	}
	up := &ots.UpdateRowChange{TableName: "t", PrimaryKey: otsPairKey("a", "1")}
	up.IncrementColumn("n", 6)
	up.DeleteColumn("m")
	up.SetCondition(ots.RowExistenceExpectation_IGNORE)
	if _, err := c.UpdateRow(&ots.UpdateRowRequest{UpdateRowChange: up}); err != nil {
		t.Fatal(err)
	}
	del := &ots.DeleteRowChange{TableName: "t", PrimaryKey: otsPairKey("a", "1")}
	del.SetCondition(ots.RowExistenceExpectation_IGNORE)
	if _, err := c.DeleteRow(&ots.DeleteRowRequest{DeleteRowChange: del}); err != nil {
		t.Fatal(err)
	}
	var got []string
	one := int32(1)
	for it := begun.ShardIterator; ; {
		page, err := c.GetStreamRecord(&ots.GetStreamRecordRequest{ShardIterator: it, Limit: &one})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			text := fmt.Sprint(r.Type, " ", r.PrimaryKey.PrimaryKeys[1].Value)
			for _, col := range r.Columns {
				text += fmt.Sprint(" ", *col.Name, "=", col.Value)
			}
			got = append(got, text)
		}
		if *page.NextShardIterator == *it {
			break
		}
		it = page.NextShardIterator
	}
	want := []string{`"PutRow" 1 n=1`, `"UpdateRow" 1 m=<nil> n=7`, `"DeleteRow" 1`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestTablestoreGoSDKSplits(t *testing.T) {
	t.Parallel()
	c := tablestoreClient(t)
	otsPair(t, c, "t")
	if _, err := c.PutRow(otsPairPut(nil, "a", "1", 1)); err != nil {
		t.Fatal(err)
	}
	resp, err := c.ComputeSplitPointsBySize(&ots.ComputeSplitPointsBySizeRequest{TableName: "t", SplitSize: 1})
	if err != nil || len(resp.Splits) != 1 || len(resp.Splits[0].LowerBound.PrimaryKeys) != 2 {
		t.Fatalf("splits %+v: %v", resp, err)
	}
}

func TestTablestoreGoSDKNestedAndGeoQueries(t *testing.T) {
	t.Parallel()
	c := tablestoreClient(t)
	otsTable(t, c, "t", false)
	name := func(s string) *string { return &s }
	_, err := c.CreateSearchIndex(&ots.CreateSearchIndexRequest{TableName: "t", IndexName: "i", IndexSchema: &ots.IndexSchema{FieldSchemas: []*ots.FieldSchema{
		{FieldName: name("place"), FieldType: ots.FieldType_GEO_POINT},
		{FieldName: name("parts"), FieldType: ots.FieldType_NESTED, FieldSchemas: []*ots.FieldSchema{
			{FieldName: name("kind"), FieldType: ots.FieldType_KEYWORD}, {FieldName: name("n"), FieldType: ots.FieldType_LONG},
		}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for key, cols := range map[string][2]string{
		"a": {"30,120", `[{"kind":"x","n":1},{"kind":"y","n":2}]`},
		"b": {"30.001,120", `[{"kind":"x","n":2}]`},
		"c": {"31,121", `[]`},
	} {
		put := otsPut("t", key, ots.RowExistenceExpectation_IGNORE, "place", cols[0], "parts", cols[1])
		if _, err := c.PutRow(&ots.PutRowRequest{PutRowChange: put}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		what string
		q    search.Query
		want string
	}{
		{"near", &search.GeoDistanceQuery{FieldName: "place", CenterPoint: "30,120", DistanceInMeter: 1000}, "ba"},
		{"in a box", &search.GeoBoundingBoxQuery{FieldName: "place", TopLeft: "31.5,120.5", BottomRight: "30.5,121.5"}, "c"},
		{"in a polygon", &search.GeoPolygonQuery{FieldName: "place", Points: []string{"29,119", "32,119", "29,122"}}, "ba"},
		{"with a part", &search.NestedQuery{Path: "parts", ScoreMode: search.ScoreMode_None, Query: &search.BoolQuery{MustQueries: []search.Query{
			&search.TermQuery{FieldName: "parts.kind", Term: "x"}, &search.TermQuery{FieldName: "parts.n", Term: int64(2)},
		}}}, "b"},
	} {
		q := search.NewSearchQuery().SetQuery(tc.q).SetSort(&search.Sort{Sorters: []search.Sorter{
			&search.GeoDistanceSort{FieldName: "place", Points: []string{"30.002,120"}},
		}})
		resp, err := c.Search(&ots.SearchRequest{TableName: "t", IndexName: "i", SearchQuery: q})
		if err != nil {
			t.Errorf("%s: %v", tc.what, err)
			continue
		}
		got := ""
		for _, r := range resp.Rows {
			got += r.PrimaryKey.PrimaryKeys[0].Value.(string)
		}
		if got != tc.want {
			t.Errorf("%s: found %s, want %s", tc.what, got, tc.want)
		}
	}
}
