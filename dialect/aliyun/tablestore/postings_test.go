package tablestore

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/table"
)

// TestPostingsFindWhatAWalkFinds writes at random and compares searches with a list of the rows.
func TestPostingsFindWhatAWalkFinds(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, anyText)
	there := map[string]int64{} // -1: a row without a number
	write := func() {
		id := fmt.Sprintf("%02d", rnd.IntN(40))
		key := []cell{textCell("id", id)}
		switch n := rnd.Int64N(3); rnd.IntN(5) {
		case 0:
			c.do("DeleteRow", &rowRequest{Table: "t", Row: plainRow(wireRow{Key: key, Delete: true})}, nil)
			delete(there, id)
		case 1:
			c.do("PutRow", put(ignore, wireRow{Key: key, Cells: []cell{textCell("n", fmt.Sprint(n))}}), nil)
			there[id] = -1
		case 2:
			c.do("UpdateRow", put(ignore, wireRow{Key: key, Cells: []cell{intCell("n", n), textCell("c", "x")}}), nil)
			there[id] = n
		default:
			c.do("PutRow", put(ignore, wireRow{Key: key, Cells: []cell{intCell("n", n)}}), nil)
			there[id] = n
		}
	}
	for range 60 {
		write() // before the index
	}
	schema := indexSchema{Fields: []fieldSchema{{Name: "n", Type: fieldLong}, {Name: "c", Type: fieldKeyword}, {Name: "id", Type: fieldKeyword}}}
	c.do("CreateSearchIndex", &createSearchIndexRequest{Table: "t", Index: "books", Schema: marshal(&schema)}, nil)
	for round := range 40 {
		for range 5 {
			write()
		}
		n := rnd.Int64N(3)
		q := term("n", intValue(n))
		if round%3 == 0 {
			q = queryOf(queryBool, &boolQuery{Filter: []query{{Type: queryAll}, q}})
		}
		var want []string
		for id, has := range there {
			if has == n {
				want = append(want, id)
			}
		}
		slices.Sort(want)
		for _, count := range []bool{false, true} {
			got := ""
			page := searchQuery{Query: &q, Limit: new(int32(1 + rnd.IntN(5))), Count: count}
			for {
				keys, total, next := c.found(page)
				if got += keys; count && int(total) != len(want) {
					t.Errorf("round %d: %d rows with %d, want %d", round, total, n, len(want))
				}
				if len(next) == 0 {
					break
				}
				page.Token = next
			}
			if diff := cmp.Diff(strings.Join(want, ""), got); diff != "" {
				t.Fatalf("round %d, rows with %d, counted %t (-want +got):\n%s", round, n, count, diff)
			}
		}
	}
}

func TestPostingsComeAndGoWithTheirIndexes(t *testing.T) {
	t.Parallel()
	c := library(t)
	names := func() (list []string) {
		spec, err := c.tables.Lookup(t.Context(), "inst", "t")
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range spec.Indexes {
			list = append(list, x.Name)
		}
		return list
	}
	if diff := cmp.Diff([]string{"search:int:year", "search:float:price", "search:string:author", "search:bool:lent", "search:string:printed", "search:int:printed"}, names()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	other := indexSchema{Fields: []fieldSchema{{Name: "year", Type: fieldLong}, {Name: "pages", Type: fieldLong}}}
	c.do("CreateSearchIndex", &createSearchIndexRequest{Table: "t", Index: "other", Schema: marshal(&other)}, nil)
	var d describeTableResponse
	c.do("DescribeTable", &tableRequest{"t"}, &d)
	if len(d.Indexes) > 0 {
		t.Errorf("clients see %+v", d.Indexes)
	}
	if diff := cmp.Diff(faultMissing, c.try("DropIndex", &dropIndexRequest{"t", "search:int:year"}, nil)); diff != "" {
		t.Errorf("dropped by hand (-want +got):\n%s", diff)
	}
	c.do("DeleteSearchIndex", &searchIndexRequest{"t", "books"}, nil)
	if got := names(); len(got) != 2 {
		t.Errorf("after the first index is gone there are %q", got)
	}
	c.do("DeleteSearchIndex", &searchIndexRequest{"t", "other"}, nil)
	if got := names(); len(got) != 0 {
		t.Errorf("after both indexes are gone there are %q", got)
	}
}

// TestPostingsAndWalksFindTheSame draws rows, queries, sorts and pages and compares a search with one that holds
// every row of the table against the query.
func TestPostingsAndWalksFindTheSame(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.do("CreateTable", &createTableRequest{Meta: tableMeta{Name: "t", Key: []keySchema{{Name: "p", Type: keyString}, {Name: "q", Type: keyInteger}}}}, nil)
	fields := []fieldSchema{
		{Name: "p", Type: fieldKeyword}, {Name: "q", Type: fieldLong}, {Name: "l", Type: fieldLong}, {Name: "f", Type: fieldDouble},
		{Name: "b", Type: fieldBoolean}, {Name: "k", Type: fieldKeyword}, {Name: "t", Type: fieldText}, {Name: "free", Type: fieldDate},
		{Name: "d", Type: fieldDate, Dates: []string{"yyyy-MM-dd", "epoch_second", "yyyy-MM-dd HH:mm:ss.SSS", "epoch_millis"}},
		{Name: "micros", Type: fieldDate, Dates: []string{"epoch_micros"}},
		{Name: "v", Type: fieldKeyword, Virtual: true, Sources: []string{"k", "t", "p"}}, {Name: "list", Type: fieldLong, Array: true},
		{Name: "both", Type: fieldDate, Virtual: true, Sources: []string{"d", "l"}, Dates: []string{"yyyy-MM-dd", "epoch_millis"}},
	}
	c.do("CreateSearchIndex", &createSearchIndexRequest{Table: "t", Index: "books", Schema: marshal(&indexSchema{Fields: fields})}, nil)
	rnd := rand.New(rand.NewPCG(3, 4))
	pick := func(list ...table.Value) table.Value { return list[rnd.IntN(len(list))] }
	long := strings.Repeat("k", postingsCut)
	value := func() table.Value {
		switch rnd.IntN(6) {
		case 0:
			return pick(intValue(0), intValue(-1), intValue(86400), intValue(1<<53), intValue(1<<53+1), intValue(math.MinInt64), intValue(math.MaxInt64))
		case 1:
			return pick(floatValue(0), floatValue(math.Copysign(0, -1)), floatValue(-2.5), floatValue(1.5), floatValue(1<<53), floatValue(1e300))
		case 2:
			return table.Value{Type: table.Bool, Int: rnd.Int64N(2)}
		case 3:
			return pick(textValue(""), textValue("k"), textValue("kk\x00"), textValue(long), textValue(long+"a"), textValue(long+"b"), textValue("é"))
		case 4:
			return pick(textValue("1970-01-02"), textValue("1970-01-02 3:04:05.000"), textValue("1970-01-01 00:00:00.000"), textValue("0001-12-31"), textValue("1969-12-31 23:59:59.999"), textValue("1"), textValue("true"))
		}
		return intValue(rnd.Int64N(5))
	}
	cells := func() (list []cell) {
		for _, name := range []string{"l", "f", "b", "k", "t", "free", "d", "micros", "list"} {
			if v := value(); rnd.IntN(4) > 0 {
				list = append(list, cell{Name: name, Kind: variantOf(v.Type), Value: v})
			}
		}
		return list
	}
	write := func() {
		row := wireRow{Key: []cell{textCell("p", fmt.Sprint("k", rnd.IntN(3))), intCell("q", rnd.Int64N(40))}}
		if row.Delete = rnd.IntN(5) == 0; row.Delete {
			c.do("DeleteRow", &rowRequest{Table: "t", Row: plainRow(row)}, nil)
			return
		}
		row.Cells = cells()
		c.do("PutRow", &rowRequest{Table: "t", Row: plainRow(row)}, nil)
	}
	for range 400 {
		write()
	}
	var ask func(depth int) query
	ask = func(depth int) query {
		name := fields[rnd.IntN(len(fields))].Name
		several := func() (list []query) {
			for range rnd.IntN(3) {
				list = append(list, ask(depth-1))
			}
			return list
		}
		switch kind := rnd.IntN(9); {
		case kind == 0 && depth > 0:
			b := boolQuery{Must: several(), MustNot: several(), Filter: several(), Should: several()}
			if rnd.IntN(3) == 0 {
				b.Minimum = new(int32(rnd.IntN(3)))
			}
			return queryOf(queryBool, &b)
		case kind == 1 && depth > 0:
			return queryOf(queryConstScore, &wrappingQuery{Query: ask(depth - 1)})
		case kind < 4:
			r := rangeQuery{Field: name, IncludeLower: rnd.IntN(2) == 0, IncludeUpper: rnd.IntN(2) == 0}
			if rnd.IntN(3) > 0 {
				r.From = variantBytes(value())
			}
			if rnd.IntN(3) > 0 {
				r.To = variantBytes(value())
			}
			return queryOf(queryRange, &r)
		case kind == 4:
			return queryOf(queryPrefix, &fieldQuery{name, [][]byte{[]byte([]string{"", "k", "kk", long, long + "a", "\xff"}[rnd.IntN(6)])}})
		case kind == 5:
			return queryOf(queryExists, &fieldQuery{Field: name})
		case kind == 6:
			return queryOf(queryTerms, &fieldQuery{name, [][]byte{variantBytes(value()), variantBytes(value()), variantBytes(value())}})
		}
		return term(name, value())
	}
	looked, hits := 0, 0
	for round := range 1500 {
		if round%3 == 0 {
			write()
		}
		q := ask(2)
		page := searchQuery{Query: &q, Limit: new(int32(1 + rnd.IntN(30))), Count: rnd.IntN(2) == 0}
		if rnd.IntN(2) == 0 {
			page.Sort = &sortMessage{[]sorter{{Field: &fieldSort{Field: "l", Order: rnd.Int32N(2)}}}}
		}
		schema := &indexSchema{Fields: fields}
		spec, err := c.tables.Lookup(t.Context(), "inst", "t")
		if err != nil {
			t.Fatal(err)
		}
		s := &search{spec: spec, queries: &queries{fields: newFields(fields), budget: maxQueries}}
		if err := s.read(schema, marshal(&page)); err != nil {
			t.Fatal(err)
		}
		if len(s.lookups(&q)) > 0 {
			looked++
		}
		var want []hit
		all, err := c.tables.Scan(t.Context(), table.Range{Table: spec})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range all.Rows {
			h := hit{row: row, doc: s.document(&row)}
			if _, ok := s.matches(h.doc); ok {
				h.values = s.order.values(&h)
				want = append(want, h)
			}
		}
		slices.SortFunc(want, func(a, b hit) int { return s.order.compare(&a, &b) })
		hits += len(want)
		keys := func(list []hit) (text []string) {
			for _, h := range list {
				text = append(text, fmt.Sprint(h.row.Key[0].Str, "/", h.row.Key[1].Int))
			}
			return text
		}
		var got []hit
		for more := true; more; {
			total, some, further, err := s.run(t.Context(), c.tables)
			if err != nil {
				t.Fatal(err)
			}
			if s.count && total != len(want) {
				t.Fatalf("round %d: %d hits counted, want %d", round, total, len(want))
			}
			if got, more = append(got, some...), further; more {
				last := some[len(some)-1]
				s.after = &cursor{Values: last.values, Key: last.row.Key}
			}
		}
		if diff := cmp.Diff(keys(want), keys(got)); diff != "" {
			t.Fatalf("round %d, %+v (-walk +postings):\n%s", round, q, diff)
		}
	}
	if looked < 500 || hits < 10000 {
		t.Errorf("%d queries used postings and found %d rows: not much of a test", looked, hits)
	}
}

func TestQueriesAreLookedUpWhereTheyCanBe(t *testing.T) {
	t.Parallel()
	spec := &table.Spec{
		Key:     []table.KeyColumn{{Name: "id", Type: table.Int}, {Name: "at", Type: table.Int}},
		Indexes: []table.Index{{Name: "search:int:n"}, {Name: "search:int:new", Building: true}, {Name: "search:string:k"}, {Name: "search:int:at"}},
	}
	s := &search{spec: spec, queries: &queries{fields: newFields([]fieldSchema{
		{Name: "n", Type: fieldLong}, {Name: "new", Type: fieldLong}, {Name: "id", Type: fieldLong}, {Name: "at", Type: fieldLong},
		{Name: "list", Type: fieldLong, Array: true}, {Name: "k", Type: fieldKeyword}, {Name: "t", Type: fieldText},
		{Name: "day", Type: fieldDate, Dates: []string{"d. M. yyyy"}},
	})}}
	n, k := term("n", intValue(7)), term("k", textValue("x"))
	prefix := queryOf(queryPrefix, &fieldQuery{"k", [][]byte{[]byte("x")}})
	for _, tc := range []struct {
		name string
		q    query
		want int // ways
	}{
		{"a value", n, 1},
		{"a value as text", term("n", textValue("7")), 1},
		{"a float", term("n", floatValue(7)), 1},
		{"a float that is several integers", term("n", floatValue(1<<60)), 0},
		{"a keyword", k, 1},
		{"the beginning of a keyword", prefix, 1},
		{"the beginning of a number", queryOf(queryPrefix, &fieldQuery{"n", [][]byte{[]byte("x")}}), 0},
		{"a range", queryOf(queryRange, &rangeQuery{Field: "n", From: variantBytes(intValue(1))}), 1},
		{"several", queryOf(queryTerms, &fieldQuery{"n", [][]byte{variantBytes(intValue(7)), variantBytes(intValue(8))}}), 1},
		{"all that every hit must have", queryOf(queryBool, &boolQuery{Must: []query{all(), queryOf(queryConstScore, &wrappingQuery{Query: n})}, Filter: []query{k}}), 2},
		{"any that a hit must have", queryOf(queryBool, &boolQuery{Should: []query{n, k}}), 1},
		{"any, one of which is not found so", queryOf(queryBool, &boolQuery{Should: []query{n, term("t", textValue("x"))}}), 0},
		{"what hits may have", queryOf(queryBool, &boolQuery{Should: []query{n}, Minimum: new(int32(0))}), 0},
		{"what no hit has", queryOf(queryBool, &boolQuery{MustNot: []query{n}}), 0},
		{"the partition key", term("id", intValue(7)), 1},
		{"another key column", term("at", intValue(7)), 1},
		{"an array", term("list", intValue(7)), 0},
		{"a text", term("t", textValue("x")), 0},
		{"a date that texts do not order by", term("day", textValue("1. 2. 1970")), 0},
		{"postings that are not complete", term("new", intValue(7)), 0},
	} {
		if ways := s.lookups(&tc.q); len(ways) != tc.want {
			t.Errorf("%s: %d ways, want %d", tc.name, len(ways), tc.want)
		}
	}
}

// TestTheFewestPostingsAreRead counts the rows that a search reads.
func TestTheFewestPostingsAreRead(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, anyText)
	schema := indexSchema{Fields: []fieldSchema{{Name: "most", Type: fieldKeyword}, {Name: "some", Type: fieldLong}}}
	c.do("CreateSearchIndex", &createSearchIndexRequest{Table: "t", Index: "books", Schema: marshal(&schema)}, nil)
	for at := 0; at < 1000; at += 200 {
		var rows []batchWriteRow
		for i := at; i < at+200; i++ {
			rows = append(rows, batchWriteRow{Type: writePut, Row: plainRow(wireRow{
				Key: []cell{textCell("id", fmt.Sprintf("%03d", i))}, Cells: []cell{textCell("most", "x"), intCell("some", int64(i/3))},
			})})
		}
		c.do("BatchWriteRow", &batchWriteRequest{Tables: []batchWriteTable{{"t", rows}}}, nil)
	}
	spec, err := c.tables.Lookup(t.Context(), "inst", "t")
	if err != nil {
		t.Fatal(err)
	}
	s := &search{spec: spec, queries: &queries{fields: newFields(schema.Fields)}}
	most, some := term("most", textValue("x")), term("some", intValue(100))
	both := queryOf(queryBool, &boolQuery{Must: []query{most, some}})
	for _, tc := range []struct {
		q    query
		want int
	}{{most, 1000}, {some, 3}, {both, 3}} {
		n := 0
		for _, err := range s.rows(t.Context(), c.tables, &tc.q, nil, true) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != tc.want {
			t.Errorf("%d rows read, want %d", n, tc.want)
		}
	}
}
