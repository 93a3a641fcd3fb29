package tablestore

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTablesAreDescribedAsMade(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.do("CreateTable", &createTableRequest{
		Meta: tableMeta{
			Name:    "t",
			Key:     []keySchema{{Name: "a", Type: keyString}, {Name: "b", Type: keyInteger, Option: autoIncr}, {Name: "c", Type: keyBinary}},
			Defined: []definedColumn{{"d", definedString}},
		},
		Throughput: reservedThroughput{capacityRequest{new(int32(1)), new(int32(2))}},
		Options:    &tableOptions{TimeToLive: new(int32(86400)), MaxVersions: new(int32(5)), AllowUpdate: new(false), UpdateFullRow: new(true)},
		Stream:     &streamSpec{Enable: true, Hours: new(int32(24)), Columns: []string{"x"}},
	}, nil)
	made := start.Unix()
	want := describeTableResponse{
		Meta: tableMeta{
			Name:    "t",
			Key:     []keySchema{{Name: "a", Type: keyString}, {Name: "b", Type: keyInteger, Option: autoIncr}, {Name: "c", Type: keyBinary}},
			Defined: []definedColumn{{"d", definedString}},
		},
		Throughput: throughputDetails{capacityUnit{1, 2}, made, 0},
		Options: tableOptions{
			TimeToLive: new(int32(86400)), MaxVersions: new(int32(5)), Deviation: new(int64(86400)),
			AllowUpdate: new(false), UpdateFullRow: new(true),
		},
		Status:  statusActive,
		Stream:  &streamDetails{Enable: true, ID: fmt.Sprint("t_", made*1e6), Hours: new(int32(24)), LastEnable: new(made * 1e6), Columns: []string{"x"}},
		Created: made * 1e6,
	}
	describe := func() describeTableResponse {
		var got describeTableResponse
		c.do("DescribeTable", &tableRequest{"t"}, &got)
		return got
	}
	if diff := cmp.Diff(want, describe()); diff != "" {
		t.Fatalf("made (-want +got):\n%s", diff)
	}

	c.pass(time.Minute)
	var up updateTableResponse
	c.do("UpdateTable", &updateTableRequest{
		Table:      "t",
		Throughput: &reservedThroughput{capacityRequest{Write: new(int32(0))}},
		Options:    &tableOptions{TimeToLive: new(int32(-1)), Deviation: new(int64(60))},
		Stream:     &streamSpec{Enable: false},
	}, &up)
	want.Throughput = throughputDetails{capacityUnit{1, 0}, made, made + 60}
	want.Options.TimeToLive, want.Options.Deviation = new(int32(-1)), new(int64(60))
	want.Stream = &streamDetails{}
	if diff := cmp.Diff(updateTableResponse{want.Throughput, want.Options, *want.Stream}, up); diff != "" {
		t.Errorf("updated (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, describe()); diff != "" {
		t.Errorf("described after the update (-want +got):\n%s", diff)
	}

	c.do("AddDefinedColumn", &addDefinedRequest{"t", []definedColumn{{"e", definedInteger}}}, nil)
	c.do("DeleteDefinedColumn", &deleteDefinedRequest{"t", []string{"d"}}, nil)
	if diff := cmp.Diff([]definedColumn{{"e", definedInteger}}, describe().Meta.Defined); diff != "" {
		t.Errorf("defined columns (-want +got):\n%s", diff)
	}

	c.do("DeleteTable", &tableRequest{"t"}, nil)
	c.createTable("t", nil, anyText)
	c.createTable("s", nil, anyText)
	var list listTableResponse
	c.do("ListTable", &none{}, &list)
	if diff := cmp.Diff([]string{"s", "t"}, list.Names); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
}

var rewrite = flag.Bool("update", false, "rewrite the golden exchanges")

// TestExchanges plays testdata/exchanges.txt: lines "> Operation hex" are sent, "< status hex" has to
// come back, and everything else is for the reader. -update rewrites the answers.
func TestExchanges(t *testing.T) {
	t.Parallel()
	const file = "testdata/exchanges.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := newServer(t, nil).operator("inst")
	var out bytes.Buffer
	answer := ""
	for n, line := range strings.SplitAfter(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "> "):
			op, body, _ := strings.Cut(strings.TrimSpace(line[2:]), " ")
			status, b := c.send(c.request(op, unhex(t, body)))
			answer = strings.TrimSpace(fmt.Sprintf("< %d %s", status, hex.EncodeToString(b)))
		case strings.HasPrefix(line, "< "):
			if got := strings.TrimSpace(line); got != answer && !*rewrite {
				t.Errorf("%s:%d: got\n%s\nwant\n%s", file, n+1, answer, got)
			}
			line = answer + "\n"
		}
		out.WriteString(line)
	}
	if *rewrite {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
