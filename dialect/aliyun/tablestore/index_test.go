package tablestore

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// indexed is a table with key (gid INTEGER, uid STRING), some defined columns, and an index by s.
func indexed(t *testing.T) *client {
	c := newServer(t, func(o *Options) { o.MaxTables = 4 }).operator("inst")
	c.do("CreateTable", &createTableRequest{
		Meta: tableMeta{
			Name: "t",
			Key:  []keySchema{{Name: "gid", Type: keyInteger}, {Name: "uid", Type: keyString}},
			Defined: []definedColumn{
				{"s", definedString}, {"n", definedInteger}, {"d", definedDouble}, {"x", definedBlob},
			},
		},
		Indexes: []indexMeta{{Name: "by_s", Key: []string{"s"}, Defined: []string{"n"}}},
	}, nil)
	for i, row := range []struct {
		uid   string
		cells []cell
	}{
		{"a", []cell{textCell("s", "y"), intCell("n", 1), textCell("other", "o")}},
		{"b", []cell{textCell("s", "x"), intCell("n", 2)}},
		{"c", []cell{intCell("s", 5), intCell("n", 3)}}, // s has another type: not in the index
		{"d", []cell{intCell("n", 4)}},
	} {
		req := put(ignore, wireRow{Key: []cell{intCell("gid", int64(i)), textCell("uid", row.uid)}, Cells: row.cells})
		c.do("PutRow", req, nil)
	}
	return c
}

func (c *client) walk(name string, columns ...string) string {
	c.t.Helper()
	low, high := []cell{minCell(columns[0])}, []cell{maxCell(columns[0])}
	for _, col := range columns[1:] {
		low, high = append(low, minCell(col)), append(high, maxCell(col))
	}
	var resp getRangeResponse
	c.do("GetRange", &getRangeRequest{Table: name, MaxVersions: one, From: keyRow(low...), To: keyRow(high...)}, &resp)
	return c.showRows(resp.Rows)
}

func TestIndexesAreReadAsTables(t *testing.T) {
	t.Parallel()
	c := indexed(t)
	if got, want := c.walk("by_s", "s", "gid", "uid"), "s=x gid=1 uid=b: n=2; s=y gid=0 uid=a: n=1"; got != want {
		t.Errorf("index has %q, want %q", got, want)
	}
	entry := keyRow(textCell("s", "y"), intCell("gid", 0), textCell("uid", "a"))
	none := keyRow(textCell("s", "z"), intCell("gid", 0), textCell("uid", "a"))
	var row getRowResponse
	c.do("GetRow", &getRowRequest{Table: "by_s", Key: entry, MaxVersions: one}, &row)
	if got, want := c.showRows(row.Row), "s=y gid=0 uid=a: n=1"; got != want {
		t.Errorf("entry is %q, want %q", got, want)
	}
	var batch batchResponse
	c.do("BatchGetRow", &batchGetRequest{Tables: []batchGetTable{{Table: "by_s", Keys: [][]byte{none, entry}, MaxVersions: one}}}, &batch)
	if got := c.showRows(batch.Tables[0].Rows[0].Row) + "|" + c.showRows(batch.Tables[0].Rows[1].Row); got != "|s=y gid=0 uid=a: n=1" {
		t.Errorf("batch has %q", got)
	}

	// It follows its table.
	req := put(ignore, wireRow{Key: []cell{intCell("gid", 0), textCell("uid", "a")}, Cells: []cell{textCell("s", "w")}})
	c.do("UpdateRow", req, nil)
	if got, want := c.walk("by_s", "s", "gid", "uid"), "s=w gid=0 uid=a: n=1; s=x gid=1 uid=b: n=2"; got != want {
		t.Errorf("after an update the index has %q, want %q", got, want)
	}

	var d describeTableResponse
	c.do("DescribeTable", &tableRequest{"by_s"}, &d)
	want := tableMeta{
		Name:    "by_s",
		Key:     []keySchema{{Name: "s", Type: keyString}, {Name: "gid", Type: keyInteger}, {Name: "uid", Type: keyString}},
		Defined: []definedColumn{{"n", definedInteger}},
	}
	if diff := cmp.Diff(want, d.Meta); diff != "" {
		t.Errorf("described (-want +got):\n%s", diff)
	}
}

func TestIndexesComeAndGo(t *testing.T) {
	t.Parallel()
	c := indexed(t)
	c.do("CreateIndex", &createIndexRequest{"t", indexMeta{Name: "by_n", Key: []string{"gid", "n"}, Defined: []string{"s"}, Mode: indexSync, Type: indexLocal}, true}, nil)
	if got, want := c.walk("by_n", "gid", "n", "uid"), "gid=0 n=1 uid=a: s=y; gid=1 n=2 uid=b: s=x; gid=2 n=3 uid=c: s=5; gid=3 n=4 uid=d:"; got != want {
		t.Errorf("new index has %q, want %q", got, want)
	}
	var d describeTableResponse
	c.do("DescribeTable", &tableRequest{"t"}, &d)
	want := []indexMeta{
		{Name: "by_s", Key: []string{"s"}, Defined: []string{"n"}, Phase: phaseSynced},
		{Name: "by_n", Key: []string{"gid", "n"}, Defined: []string{"s"}, Mode: indexSync, Type: indexLocal, Phase: phaseSynced},
	}
	if diff := cmp.Diff(want, d.Indexes); diff != "" {
		t.Errorf("indexes (-want +got):\n%s", diff)
	}
	c.do("DropIndex", &dropIndexRequest{"t", "by_s"}, nil)
	get := &getRowRequest{Table: "by_s", Key: keyRow(textCell("s", "y"), intCell("gid", 0), textCell("uid", "a")), MaxVersions: one}
	if diff := cmp.Diff(faultMissing, c.try("GetRow", get, nil)); diff != "" {
		t.Errorf("dropped index (-want +got):\n%s", diff)
	}
	c.do("DeleteTable", &tableRequest{"t"}, nil)
	c.createTable("by_n", nil, anyText)
}

func TestIndexFaults(t *testing.T) {
	t.Parallel()
	c := indexed(t)
	create := func(m indexMeta) *createIndexRequest { return &createIndexRequest{"t", m, true} }
	write := put(ignore, wireRow{Key: []cell{textCell("s", "y"), intCell("gid", 0), textCell("uid", "a")}, Cells: []cell{intCell("n", 1)}})
	write.Table = "by_s"
	for _, tc := range []faultCase{
		{"written to", "PutRow", write, invalid("Can't write index table directly")},
		{"written to in a batch", "BatchWriteRow", &batchWriteRequest{Tables: []batchWriteTable{{"by_s", []batchWriteRow{{Type: writePut, Row: write.Row}}}}}, invalid("Can't write index table directly")},
		{"a key of another type", "GetRow", &getRowRequest{Table: "by_s", Key: keyRow(intCell("s", 1), intCell("gid", 0), textCell("uid", "a")), MaxVersions: one}, badKey("Validate PK type fail. Input: VT_INTEGER, Meta: VT_STRING.")},
		{"its name is taken by an index", "CreateIndex", create(indexMeta{Name: "by_s", Key: []string{"s"}}), faultExists},
		{"its name is taken by a table", "CreateIndex", create(indexMeta{Name: "t", Key: []string{"s"}}), faultExists},
		{"a table of an index's name", "CreateTable", &createTableRequest{Meta: tableMeta{Name: "by_s", Key: []keySchema{anyText}}}, faultExists},
		{"no table", "CreateIndex", &createIndexRequest{"u", indexMeta{Name: "i", Key: []string{"s"}}, true}, faultMissing},
		{"a bad name", "CreateIndex", create(indexMeta{Name: "1", Key: []string{"s"}}), invalid("Invalid table name: '1'.")},
		{"no key", "CreateIndex", create(indexMeta{Name: "i"}), invalid("The number of primary key columns must be in range: [1, 4].")},
		{"a key twice", "CreateIndex", create(indexMeta{Name: "i", Key: []string{"s", "s"}}), invalid("Duplicated primary key name: 's'.")},
		{"a key of an undefined column", "CreateIndex", create(indexMeta{Name: "i", Key: []string{"other"}}), invalid("Defined column 'other' does not exist.")},
		{"a key of floats", "CreateIndex", create(indexMeta{Name: "i", Key: []string{"d"}}), invalid("The type of column 'd' is invalid for the primary key.")},
		{"an undefined column", "CreateIndex", create(indexMeta{Name: "i", Key: []string{"s"}, Defined: []string{"other"}}), invalid("Defined column 'other' does not exist.")},
		{"local, of another key", "CreateIndex", create(indexMeta{Name: "i", Key: []string{"s"}, Type: indexLocal, Mode: indexSync}), invalid("The first primary key of local index must be the partition key: 'gid'.")},
		{"local, not in step", "CreateIndex", create(indexMeta{Name: "i", Key: []string{"gid", "s"}, Type: indexLocal}), invalid("Local index must be updated synchronously.")},
		{"its column is not defined any more", "DeleteDefinedColumn", &deleteDefinedRequest{"t", []string{"n"}}, invalid("Defined column 'n' is used by index 'by_s'.")},
		{"not there, dropped", "DropIndex", &dropIndexRequest{"t", "i"}, faultMissing},
		{"one more", "CreateIndex", create(indexMeta{Name: "i", Key: []string{"x"}}), nil},
		{"the last", "CreateIndex", create(indexMeta{Name: "j", Key: []string{"x"}}), nil},
		{"one too many", "CreateIndex", create(indexMeta{Name: "k", Key: []string{"x"}}), tooManyTables(4)},
	} {
		if diff := cmp.Diff(tc.want, c.try(tc.op, tc.req, nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestAnIndexWithoutBaseDataHasWhatIsWrittenAfterwards(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.do("CreateTable", &createTableRequest{Meta: tableMeta{Name: "t", Key: []keySchema{anyText}, Defined: []definedColumn{{"n", definedInteger}}}}, nil)
	row := func(id string, n int64) {
		c.do("PutRow", put(ignore, wireRow{Key: []cell{textCell("id", id)}, Cells: []cell{intCell("n", n)}}), nil)
	}
	row("a", 1)
	row("b", 2)
	c.do("CreateIndex", &createIndexRequest{Table: "t", Index: indexMeta{Name: "later", Key: []string{"n"}}}, nil)
	row("c", 3)
	row("b", 2) // as it was
	var d describeTableResponse
	c.do("DescribeTable", &tableRequest{"t"}, &d)
	if len(d.Indexes) != 1 || d.Indexes[0].Phase != phaseSynced {
		t.Errorf("described as %+v", d.Indexes)
	}
	var resp getRangeResponse
	c.do("GetRange", &getRangeRequest{Table: "later", MaxVersions: one, From: keyRow(minCell("n"), minCell("id")), To: keyRow(maxCell("n"), maxCell("id"))}, &resp)
	if diff := cmp.Diff("n=2 id=b:; n=3 id=c:", c.showRows(resp.Rows)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
