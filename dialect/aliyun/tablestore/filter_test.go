package tablestore

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/table"
)

// Builders of filters on the wire.

func single(comparator int32, column string, v table.Value, passIfMissing, latest bool) filterMessage {
	return filterMessage{filterSingle, marshal(&singleMessage{
		Comparator: comparator, Column: column, Value: appendVariant(nil, variantOf(v.Type), v),
		IfMissing: !passIfMissing, Latest: latest,
	})}
}

func composite(combinator int32, subs ...filterMessage) filterMessage {
	return filterMessage{filterComposite, marshal(&compositeMessage{combinator, subs})}
}

func paged(offset, limit int32) filterMessage {
	return filterMessage{filterPage, marshal(&pageMessage{offset, limit})}
}

func (m filterMessage) bytes() []byte { return marshal(&m) }

// The Go and the Python SDK send these bytes for status == "UNACTIVED".
const unactived = "08 01 12 1e  08 01 12 06 737461747573 1a 0e 03 09000000 554e41435449564544 20 00 28 01"

func TestFilterReadsAndWritesAsTheSDKsDo(t *testing.T) {
	t.Parallel()
	want := single(cmpEqual, "status", textValue("UNACTIVED"), true, true).bytes()
	if diff := cmp.Diff(unhex(t, unactived), want); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	f, page, err := parseFilter(unhex(t, unactived))
	if err != nil || page != nil {
		t.Fatal(page, err)
	}
	status := func(v ...table.Value) columns {
		return func(name string) (cells []table.Cell) {
			for _, v := range v {
				cells = append(cells, table.Cell{Value: v})
			}
			return cells
		}
	}
	if !f.match(status(textValue("UNACTIVED"))) || f.match(status(textValue("ACTIVED"))) || !f.match(status()) {
		t.Error("the filter does not mean status == UNACTIVED, pass if missing")
	}
}

func TestFilterMatches(t *testing.T) {
	t.Parallel()
	float := func(f float64) table.Value { return table.Value{Type: table.Float, Float: f} }
	truth := func(n int64) table.Value { return table.Value{Type: table.Bool, Int: n} }
	blob := func(s string) table.Value { return table.Value{Type: table.Binary, Str: s} }
	row := map[string][]table.Cell{
		"n":    {{Value: intValue(5)}, {Value: intValue(9)}},
		"f":    {{Value: float(1.5)}},
		"s":    {{Value: textValue("t1:42, t2:7")}},
		"b":    {{Value: truth(0)}},
		"blob": {{Value: blob("\xff")}},
	}
	transferred := func(regex string, cast int32, v table.Value) filterMessage {
		return filterMessage{filterSingle, marshal(&singleMessage{
			Comparator: cmpEqual, Column: "s", Value: appendVariant(nil, variantOf(v.Type), v),
			IfMissing: true, Latest: true, Transfer: &transferMessage{regex, &cast},
		})}
	}
	is := func(comparator int32, column string, v table.Value) filterMessage {
		return single(comparator, column, v, false, true)
	}
	cases := []struct {
		name string
		f    filterMessage
		want bool
	}{
		{"equal", is(cmpEqual, "n", intValue(5)), true},
		{"equal, other value", is(cmpEqual, "n", intValue(6)), false},
		{"equal, other type", is(cmpEqual, "n", float(5)), false},
		{"not equal", is(cmpNotEqual, "n", intValue(6)), true},
		{"not equal, other type", is(cmpNotEqual, "n", textValue("5")), false},
		{"greater", is(cmpGreater, "n", intValue(4)), true},
		{"greater, equal", is(cmpGreater, "n", intValue(5)), false},
		{"greater or equal", is(cmpGreaterEqual, "n", intValue(5)), true},
		{"less", is(cmpLess, "f", float(1.6)), true},
		{"less or equal", is(cmpLessEqual, "f", float(1.5)), true},
		{"less, of booleans", is(cmpLess, "b", truth(1)), true},
		{"greater, of unsigned bytes", is(cmpGreater, "blob", blob("\x7f")), true},
		{"the newest version alone", single(cmpEqual, "n", intValue(9), true, true), false},
		{"any version", single(cmpEqual, "n", intValue(9), false, false), true},
		{"missing, passes", single(cmpEqual, "x", intValue(9), true, true), true},
		{"missing, does not", single(cmpEqual, "x", intValue(9), false, true), false},
		{"exist", is(cmpExist, "n", intValue(0)), true},
		{"exist, missing", is(cmpExist, "x", intValue(0)), false},
		{"not exist", is(cmpNotExist, "x", intValue(0)), true},
		{"not", composite(logicNot, is(cmpEqual, "n", intValue(5))), false},
		{"and", composite(logicAnd, is(cmpEqual, "n", intValue(5)), is(cmpEqual, "f", float(1.5))), true},
		{"and, one fails", composite(logicAnd, is(cmpEqual, "n", intValue(5)), is(cmpEqual, "f", float(2))), false},
		{"or", composite(logicOr, is(cmpEqual, "n", intValue(6)), is(cmpEqual, "f", float(1.5))), true},
		{"or, both fail", composite(logicOr, is(cmpEqual, "n", intValue(6)), is(cmpEqual, "f", float(2))), false},
		{"nested", composite(logicAnd, composite(logicNot, is(cmpEqual, "n", intValue(6))), is(cmpExist, "f", intValue(0))), true},
		{"a part, cast to a number", transferred("t1:([0-9]+),", 0, intValue(42)), true},
		{"a part, cast to a float", transferred("t2:[0-9]+$", 1, float(7)), false},
		{"a whole match", transferred("t2:[0-9]+", 3, textValue("t2:7")), true},
		{"a part that is not there is missing", transferred("t3:([0-9]+)", 0, intValue(0)), false},
	}
	for _, c := range cases {
		f, _, err := parseFilter(c.f.bytes())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := f.match(func(name string) []table.Cell { return row[name] }); got != c.want {
			t.Errorf("%s: got %t", c.name, got)
		}
	}
}

func TestBadFilters(t *testing.T) {
	t.Parallel()
	leaf := single(cmpEqual, "n", intValue(5), true, true)
	many := make([]filterMessage, maxFilters)
	for i := range many {
		many[i] = leaf
	}
	deep := leaf
	for range 10000 {
		deep = filterMessage{filterComposite, marshal(&compositeMessage{logicNot, []filterMessage{deep}})}
		if len(deep.Filter) > 1<<16 {
			break
		}
	}
	cases := []struct {
		name string
		b    []byte
		want *fault
	}{
		{"garbage", []byte{1}, invalid("Deserialize filter failed.")},
		{"an unknown type", filterMessage{9, nil}.bytes(), invalid("Deserialize filter failed.")},
		{"half a relation", filterMessage{filterSingle, []byte{8, 1}}.bytes(), invalid("Deserialize relation filter failed.")},
		{"an unknown comparator", single(9, "n", intValue(5), true, true).bytes(), invalid("Deserialize relation filter failed.")},
		{"an unknown combinator", composite(4, leaf, leaf).bytes(), invalid("Deserialize composite filter failed.")},
		{"half a page", filterMessage{filterPage, []byte{8, 1}}.bytes(), invalid("Deserialize column pagination filter failed.")},
		{"a page before the first", paged(-1, 1).bytes(), invalid("Offset in ColumnPaginationFilter must be greater than or equal to 0.")},
		{"a page of nothing", paged(0, 0).bytes(), invalid("Limit in ColumnPaginationFilter must be greater than 0.")},
		{"a page within", composite(logicNot, paged(0, 1)).bytes(), invalid("Deserialize filter failed.")},
		{"not of two", composite(logicNot, leaf, leaf).bytes(), invalid("Invalid NOT operator: the number of sub-filters must be 1.")},
		{"and of one", composite(logicAnd, leaf).bytes(), invalid("Invalid AND/OR operator: the number of sub-filters must be more than 1.")},
		{"or of none", composite(logicOr).bytes(), invalid("Invalid AND/OR operator: the number of sub-filters must be more than 1.")},
		{"33 filters", composite(logicOr, many...).bytes(), invalid("The count of filter exceeds the max: 32.")},
		{"a very deep filter", deep.bytes(), invalid("The count of filter exceeds the max: 32.")},
		{"a long value", single(cmpEqual, "n", textValue(string(make([]byte, maxAttributeSize+1))), true, true).bytes(),
			invalid("The length of attribute column: 'n' exceeds the MaxLength:2097152 with CurrentLength:2097153.")},
	}
	for _, c := range cases {
		_, _, err := parseFilter(c.b)
		if err == nil {
			t.Errorf("%s: no error", c.name)
		} else if diff := cmp.Diff(c.want, faultOf(err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	if _, _, err := parseFilter(composite(logicOr, many[1:]...).bytes()); err != nil {
		t.Errorf("32 filters: %v", err)
	}
}

func FuzzFilter(f *testing.F) {
	f.Add(unhex(f, unactived))
	f.Add(composite(logicAnd, single(cmpLess, "a", intValue(1), false, false), composite(logicNot, single(cmpExist, "b", intValue(0), true, true))).bytes())
	f.Add(paged(1, 2).bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		filter, _, err := parseFilter(b)
		if err != nil {
			faultOf(err)
			return
		}
		filter.match(func(string) []table.Cell { return []table.Cell{{Value: intValue(1)}, {Value: textValue("a")}} })
	})
}
