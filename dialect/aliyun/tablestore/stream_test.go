package tablestore

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// streamed is a table with a stream, and the stream's id.
func streamed(t *testing.T, columns ...string) (*client, string) {
	c := newServer(t, nil).operator("inst")
	c.do("CreateTable", &createTableRequest{
		Meta: tableMeta{Name: "t", Key: []keySchema{anyText}}, Options: &tableOptions{MaxVersions: new(int32(3))},
		Stream: &streamSpec{Enable: true, Hours: one, Columns: columns},
	}, nil)
	var list listStreamResponse
	c.do("ListStream", &listStreamRequest{"t"}, &list)
	if len(list.Streams) != 1 || list.Streams[0].Table != "t" {
		t.Fatalf("streams: %+v", list)
	}
	return c, list.Streams[0].ID
}

// iterator begins to read a stream at a time (µs).
func (c *client) iterator(stream string, since int64) string {
	c.t.Helper()
	var d describeStreamResponse
	c.do("DescribeStream", &describeStreamRequest{Stream: stream}, &d)
	if len(d.Shards) != 1 || d.Status != streamActive || d.Hours != 1 || d.Table != "t" {
		c.t.Fatalf("stream: %+v", d)
	}
	var resp shardIteratorResponse
	c.do("GetShardIterator", &shardIteratorRequest{stream, d.Shards[0].ID, since}, &resp)
	return resp.Iterator
}

func (c *client) records(iterator string) streamRecordResponse {
	c.t.Helper()
	var resp streamRecordResponse
	c.do("GetStreamRecord", &streamRecordRequest{Iterator: iterator}, &resp)
	return resp
}

// streamRow reads a record, whose extension it checks and takes off.
func (c *client) streamRow(b []byte) wireRow {
	c.t.Helper()
	// 0B len 0C len 0D epoch 0E time 0F row, then 09 crc.
	const extension = 1 + 4 + 1 + 4 + 1 + 4 + 1 + 8 + 1 + 4
	at := len(b) - 2 - extension
	if at < 0 || b[at] != tagExtension || b[at+5] != tagSequence || b[at+10] != tagEpoch || b[at+15] != tagStamp || b[at+24] != tagRowIndex {
		c.t.Fatalf("record without its extension: %x", b)
	}
	row, err := parseRow(append(append([]byte(nil), b[:at]...), b[len(b)-2:]...))
	if err != nil {
		c.t.Fatalf("record %x: %v", b, err)
	}
	return row
}

func TestAStreamTellsWhatWasWritten(t *testing.T) {
	t.Parallel()
	c, stream := streamed(t, "n", "gone")
	ms := start.UnixMilli()
	timed := func(c cell) cell { c.Time, c.HasTime = ms, true; return c }
	bare := func(name string, op cellOp) cell { return cell{Name: name, Kind: vtNone, Op: op} }
	first := wireRow{Key: []cell{textCell("id", "a")}, Cells: []cell{textCell("gone", "x"), intCell("n", 1), textCell("old", "y")}}
	c.do("PutRow", put(ignore, first), nil)
	plus := intCell("n", 4)
	plus.Op = opIncrement
	oneVersion := timed(bare("old", opDeleteVersion))
	c.do("UpdateRow", put(ignore, wireRow{Key: first.Key, Cells: []cell{plus, bare("gone", opDeleteAll), oneVersion, intCell("m", 7)}}), nil)
	c.do("DeleteRow", &rowRequest{Table: "t", Row: plainRow(wireRow{Key: first.Key, Delete: true})}, nil)
	c.try("PutRow", put(existing, first), nil) // refused: nothing to tell

	it := c.iterator(stream, 0)
	resp := c.records(it)
	type told struct {
		Action int32
		Row    wireRow
		Origin []cell
	}
	var got []told
	for _, r := range resp.Records {
		o := told{r.Action, c.streamRow(r.Record), nil}
		if len(r.Origin) > 0 {
			o.Origin = c.streamRow(r.Origin).Cells
		}
		got = append(got, o)
	}
	want := []told{
		{actionPut, wireRow{Key: first.Key, Cells: []cell{timed(textCell("gone", "x")), timed(intCell("n", 1)), timed(textCell("old", "y"))}}, nil},
		{actionUpdate, wireRow{Key: first.Key, Cells: []cell{bare("gone", opDeleteAll), timed(intCell("m", 7)), timed(intCell("n", 5)), oneVersion}},
			[]cell{timed(textCell("gone", "x")), timed(intCell("n", 1))}},
		{actionDelete, wireRow{Key: first.Key}, []cell{timed(intCell("n", 5))}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if resp.More {
		t.Error("more records after the last")
	}
	if again := c.records(resp.Next); again.Next != resp.Next || len(again.Records) > 0 {
		t.Errorf("after the end: %+v", again)
	}
	var page streamRecordResponse
	c.do("GetStreamRecord", &streamRecordRequest{it, new(int32(2))}, &page)
	if len(page.Records) != 2 || !page.More {
		t.Errorf("a page of two has %d, more %t", len(page.Records), page.More)
	}
}

func TestAStreamIsReadFromATime(t *testing.T) {
	t.Parallel()
	c, stream := streamed(t)
	for range 20 {
		c.do("PutRow", put(ignore, rowU1(intCell("n", 1))), nil)
		c.pass(time.Second)
	}
	for seconds, want := range map[int64]int{0: 20, 1: 19, 13: 7, 19: 1, 20: 0} {
		if got := len(c.records(c.iterator(stream, start.UnixMicro()+seconds*1e6)).Records); got != want {
			t.Errorf("from second %d on there are %d records, want %d", seconds, got, want)
		}
	}
}

func TestStreamsEndAndAreTrimmed(t *testing.T) {
	t.Parallel()
	c, stream := streamed(t)
	c.do("PutRow", put(ignore, rowU1(intCell("n", 1))), nil)
	it := c.iterator(stream, 0)
	c.pass(2 * time.Hour)
	spec, err := c.tables.Lookup(t.Context(), "inst", "t")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.tables.Run(ctx) }()
	for oldest := uint64(1); oldest == 1; time.Sleep(time.Millisecond) {
		if oldest, _, err = c.tables.StreamBounds(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	testRead := func(want *fault) {
		t.Helper()
		if diff := cmp.Diff(want, c.try("GetStreamRecord", &streamRecordRequest{Iterator: it}, nil)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	testRead(faultTrimmed)
	it = c.iterator(stream, 0)
	testRead(nil)
	c.do("UpdateTable", &updateTableRequest{Table: "t", Stream: &streamSpec{}}, nil)
	testRead(faultNoStream)
	var list listStreamResponse
	c.do("ListStream", &listStreamRequest{}, &list)
	if len(list.Streams) > 0 {
		t.Errorf("streams: %+v", list)
	}
	c.do("UpdateTable", &updateTableRequest{Table: "t", Stream: &streamSpec{Enable: true, Hours: one}}, nil)
	c.do("ListStream", &listStreamRequest{}, &list)
	if len(list.Streams) != 1 || list.Streams[0].ID == stream {
		t.Errorf("streams: %+v", list)
	}
}

func TestStreamFaults(t *testing.T) {
	t.Parallel()
	c, stream := streamed(t)
	for _, tc := range []faultCase{
		{"streams of no table", "ListStream", &listStreamRequest{"x"}, faultMissing},
		{"no stream", "DescribeStream", &describeStreamRequest{Stream: "x"}, faultNoStream},
		{"a stream of no table", "DescribeStream", &describeStreamRequest{Stream: "x_1"}, faultNoStream},
		{"an older stream", "DescribeStream", &describeStreamRequest{Stream: "t_1"}, faultNoStream},
		{"no shard", "GetShardIterator", &shardIteratorRequest{Stream: stream, Shard: "x"}, invalid("Invalid shard id: 'x'.")},
		{"a time before time", "GetShardIterator", &shardIteratorRequest{stream, shardOf(stream), -1}, invalid("Invalid timestamp: -1.")},
		{"an iterator of no stream", "GetStreamRecord", &streamRecordRequest{Iterator: "t_1/1"}, faultNoStream},
		{"no iterator", "GetStreamRecord", &streamRecordRequest{Iterator: "x"}, invalid("Invalid shard iterator: 'x'.")},
		{"an iterator without a number", "GetStreamRecord", &streamRecordRequest{Iterator: stream + "/0"}, invalid("Invalid shard iterator: '%s/0'.", stream)},
		{"a limit of zero", "GetStreamRecord", &streamRecordRequest{stream + "/1", new(int32(0))}, invalid("The limit must be greater than 0.")},
	} {
		if diff := cmp.Diff(tc.want, c.try(tc.op, tc.req, nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestATableIsSplitBySize(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, keySchema{Name: "gid", Type: keyInteger}, keySchema{Name: "id", Type: keyInteger})
	for gid := range int64(10) {
		for id := range int64(3) {
			c.do("PutRow", put(ignore, wireRow{Key: []cell{intCell("gid", gid), intCell("id", id)}, Cells: []cell{textCell("c", string(make([]byte, 1000)))}}), nil)
		}
	}
	split := func(size int64, limit *int32) splitPointsResponse {
		var resp splitPointsResponse
		c.do("ComputeSplitPointsBySize", &splitPointsRequest{"t", size, new(int64(1)), limit}, &resp)
		if len(resp.Schema) != 2 || len(resp.Locations) != 1 || resp.Locations[0].Repeat != 2*int64(len(resp.Points)+1) {
			t.Errorf("splits: %+v", resp)
		}
		last := int64(-1)
		for _, p := range resp.Points {
			row, err := parseRow(p)
			if err != nil || len(row.Key) != 1 || row.Key[0].Value.Int <= last {
				t.Errorf("split point %+v after %d: %v", row, last, err)
			}
			last = row.Key[0].Value.Int
		}
		return resp
	}
	if n := len(split(9000, nil).Points); n < 2 || n > 4 {
		t.Errorf("%d split points", n)
	}
	if n := len(split(1, nil).Points); n < 8 {
		t.Errorf("%d split points of single bytes", n)
	}
	if n := len(split(1, one).Points); n != 1 {
		t.Errorf("%d split points, one was asked for", n)
	}
	if n := len(split(1<<40, nil).Points); n != 0 {
		t.Errorf("%d split points of a small table", n)
	}
	for _, req := range []*splitPointsRequest{{Table: "t"}, {Table: "t", Size: 1, Unit: new(int64(0))}, {Table: "t", Size: 1 << 62, Unit: new(int64(4))}} {
		if diff := cmp.Diff(invalid("Split size must be greater than 0."), c.try("ComputeSplitPointsBySize", req, nil)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
