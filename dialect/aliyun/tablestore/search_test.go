package tablestore

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/table"
)

func floatValue(f float64) table.Value { return table.Value{Type: table.Float, Float: f} }

func variantBytes(v table.Value) []byte { return appendVariant(nil, variantOf(v.Type), v) }

// Builders of queries on the wire.

func queryOf(kind int32, m any) query { return query{kind, marshal(m)} }
func term(field string, v table.Value) query {
	return queryOf(queryTerm, &fieldQuery{field, [][]byte{variantBytes(v)}})
}
func all() query { return query{Type: queryAll} }

// library is a table of five books with a search index.
func library(t *testing.T) *client {
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, anyText)
	schema := indexSchema{Fields: []fieldSchema{
		{Name: "id", Type: fieldKeyword}, {Name: "year", Type: fieldLong}, {Name: "price", Type: fieldDouble},
		{Name: "author", Type: fieldKeyword}, {Name: "title", Type: fieldText}, {Name: "lent", Type: fieldBoolean},
		{Name: "tags", Type: fieldKeyword, Array: true}, {Name: "parts", Type: fieldText, Analyzer: "split", Parameter: []byte{10, 1, '/'}},
		{Name: "scores", Type: fieldLong, Array: true}, {Name: "whom", Type: fieldKeyword, Virtual: true, Sources: []string{"author"}},
		{Name: "hidden", Type: fieldLong, Index: new(false)},
		{Name: "printed", Type: fieldDate, Dates: []string{"yyyy-MM-dd", "yyyy-MM-dd HH:mm:ss.SSS", "epoch_second"}},
		{Name: "motto", Type: fieldText, Analyzer: "max_word"},
	}}
	c.do("CreateSearchIndex", &createSearchIndexRequest{Table: "t", Index: "books", Schema: marshal(&schema)}, nil)
	lent := func(n int64) cell {
		return cell{Name: "lent", Kind: vtBoolean, Value: table.Value{Type: table.Bool, Int: n}}
	}
	price := func(f float64) cell { return cell{Name: "price", Kind: vtDouble, Value: floatValue(f)} }
	for id, cells := range map[string][]cell{
		"a": {intCell("year", 1851), price(9.5), textCell("author", "Melville"), textCell("title", "Moby-Dick; or, The Whale"), lent(1), textCell("printed", "2022-05-06")},
		"b": {intCell("year", 1949), price(7), textCell("author", "Orwell"), textCell("title", "Nineteen Eighty-Four"), lent(0), textCell("tags", `["dystopia","classic"]`), textCell("printed", "2022-05-12 13:14:15.678")},
		"c": {intCell("year", 1945), textCell("author", "Orwell"), textCell("title", "Animal Farm"), textCell("tags", `["classic"]`), textCell("scores", "[3,9]"), textCell("printed", "2022-05-6")},
		"d": {textCell("year", "unknown"), textCell("author", "曹雪芹"), textCell("title", "红楼梦"), textCell("parts", "one/two words"), textCell("motto", "求菊花茶 now")},
		"e": {intCell("year", 1951), price(20), textCell("author", "Salinger"), textCell("scores", "[5,6]"), intCell("printed", 1651795200), textCell("tags", "no array")},
	} {
		c.do("PutRow", put(ignore, wireRow{Key: []cell{textCell("id", id)}, Cells: cells}), nil)
	}
	return c
}

// found does a search and returns the keys of its hits, the count and the token.
func (c *client) found(q searchQuery) (keys string, total int64, next []byte) {
	c.t.Helper()
	var resp searchResponse
	c.do("Search", &searchRequest{Table: "t", Index: "books", Query: marshal(&q)}, &resp)
	if !resp.All {
		c.t.Error("not all succeeded")
	}
	for _, b := range resp.Rows {
		keys += c.rows(b)[0].Key[0].Value.Str
	}
	return keys, resp.Total, resp.Next
}

func TestQueriesFind(t *testing.T) {
	t.Parallel()
	c := library(t)
	match := func(field, text string, operator int32) query {
		return queryOf(queryMatch, &textQuery{Field: field, Text: text, Operator: operator})
	}
	phrase := func(field, text string) query { return queryOf(queryPhrase, &textQuery{Field: field, Text: text}) }
	text := func(kind int32, field, value string) query {
		return queryOf(kind, &fieldQuery{field, [][]byte{[]byte(value)}})
	}
	between := func(field string, from, to table.Value, lower, upper bool) query {
		return queryOf(queryRange, &rangeQuery{field, variantBytes(from), variantBytes(to), lower, upper})
	}
	orwell, year49 := term("author", textValue("Orwell")), term("year", intValue(1949))
	cases := []struct {
		name string
		q    query
		want string
	}{
		{"all", all(), "abcde"},
		{"an integer", year49, "b"},
		{"an integer in a column that holds text", term("year", textValue("unknown")), ""},
		{"a float, by an integer", term("price", intValue(7)), "b"},
		{"a boolean", term("lent", table.Value{Type: table.Bool}), "b"},
		{"a keyword", orwell, "bc"},
		{"a key column", term("id", textValue("d")), "d"},
		{"a virtual field", term("whom", textValue("Salinger")), "e"},
		{"a word of a text", term("title", textValue("whale")), "a"},
		{"an element of an array", term("tags", textValue("classic")), "bc"},
		{"a number of an array", term("scores", intValue(9)), "c"},
		{"one of several", queryOf(queryTerms, &fieldQuery{"year", [][]byte{variantBytes(intValue(1851)), variantBytes(intValue(1951))}}), "ae"},
		{"words, any", match("title", "Farm WHALE", 1), "ac"},
		{"words, all", match("title", "farm animal", 2), "c"},
		{"words, two of them", queryOf(queryMatch, &textQuery{Field: "title", Text: "farm animal whale", Minimum: new(int32(2))}), "c"},
		{"a keyword, matched", match("author", "Orwell", 1), "bc"},
		{"a phrase", phrase("title", "the whale"), "a"},
		{"a phrase in another order", phrase("title", "whale the"), ""},
		{"ideographs", phrase("title", "楼梦"), "d"},
		{"a pair of ideographs", match("motto", "梨花茶", 1), "d"},
		{"another pair", match("motto", "茶花", 1), ""},
		{"pairs that are not together", match("motto", "菊花now求菊", 2), "d"},
		{"pairs, one of which is missing", match("motto", "梨花茶", 2), ""},
		{"a word between ideographs", term("motto", textValue("now")), "d"},
		{"an integer, by a string", term("year", textValue("1949")), "b"},
		{"a boolean, by a string", term("lent", textValue("true")), "a"},
		{"a float, by a string", queryOf(queryRange, &rangeQuery{Field: "price", From: variantBytes(textValue("7.5"))}), "ae"},
		{"a part", term("parts", textValue("two words")), "d"},
		{"a prefix", text(queryPrefix, "author", "Or"), "bc"},
		{"a wildcard", text(queryWildcard, "author", "*l?nger"), "e"},
		{"a wildcard that does not fit", text(queryWildcard, "author", "*x*"), ""},
		{"exists", queryOf(queryExists, &fieldQuery{Field: "price"}), "abe"},
		{"from to", between("year", intValue(1851), intValue(1949), false, true), "bc"},
		{"dates", between("printed", textValue("2022-05-06"), textValue("2022-05-12"), true, true), "ae"},
		{"a date after", queryOf(queryRange, &rangeQuery{Field: "printed", From: variantBytes(intValue(1651795200))}), "b"},
		{"from, inclusive", queryOf(queryRange, &rangeQuery{Field: "year", From: variantBytes(intValue(1949)), IncludeLower: true}), "be"},
		{"up to", queryOf(queryRange, &rangeQuery{Field: "year", To: variantBytes(intValue(1949))}), "ac"},
		{"must and must not", queryOf(queryBool, &boolQuery{Must: []query{orwell}, MustNot: []query{year49}}), "c"},
		{"filter", queryOf(queryBool, &boolQuery{Filter: []query{orwell, year49}}), "b"},
		{"should", queryOf(queryBool, &boolQuery{Should: []query{year49, term("id", textValue("d"))}}), "bd"},
		{"should, two", queryOf(queryBool, &boolQuery{Should: []query{orwell, year49}, Minimum: new(int32(2))}), "b"},
		{"must, should does not matter", queryOf(queryBool, &boolQuery{Must: []query{orwell}, Should: []query{year49}}), "bc"},
		{"constant score", queryOf(queryConstScore, &wrappingQuery{Query: orwell}), "bc"},
	}
	for _, tc := range cases {
		if got, total, _ := c.found(searchQuery{Query: &tc.q, Count: true}); got != tc.want || int(total) != len(tc.want) {
			t.Errorf("%s: found %q of %d, want %q", tc.name, got, total, tc.want)
		}
	}
}

func TestHitsAreSortedAndPaged(t *testing.T) {
	t.Parallel()
	c := library(t)
	by := func(field string, order int32) sorter { return sorter{Field: &fieldSort{Field: field, Order: order}} }
	q := all()
	cases := []struct {
		name string
		sort *sortMessage
		want string
	}{
		{"by key", nil, "abcde"},
		{"by key, descending", &sortMessage{[]sorter{{Key: &orderOnly{1}}}}, "edcba"},
		{"by year, rows without one last", &sortMessage{[]sorter{by("year", 0)}}, "acbed"},
		{"by year, rows without one in 1850", &sortMessage{[]sorter{{Field: &fieldSort{Field: "year", Missing: variantBytes(intValue(1850))}}}}, "dacbe"},
		{"by price, or else by year", &sortMessage{[]sorter{{Field: &fieldSort{Field: "price", MissingField: "year"}}}}, "baecd"},
		{"by year, descending", &sortMessage{[]sorter{by("year", 1)}}, "ebcad"},
		{"by author, then by year", &sortMessage{[]sorter{by("author", 0), by("year", 0)}}, "acbed"},
		{"by the least score", &sortMessage{[]sorter{by("scores", 0)}}, "ceabd"},
		{"by the greatest score", &sortMessage{[]sorter{by("scores", 1)}}, "ceabd"},
		{"by score, which all share", &sortMessage{[]sorter{{Score: &scoreSort{new(int32(1))}}}}, "abcde"},
	}
	for _, tc := range cases {
		for _, limit := range []int32{1, 2, 3, 5, 100} {
			for _, count := range []bool{false, true} {
				got, pages := "", 0
				page := searchQuery{Query: &q, Limit: &limit, Sort: tc.sort, Count: count}
				for {
					keys, total, next := c.found(page)
					if want := map[bool]int64{false: -1, true: 5}[count]; total != want {
						t.Errorf("%s: total %d, want %d", tc.name, total, want)
					}
					got += keys
					if pages++; len(next) == 0 || pages > 9 {
						break
					}
					page.Token, page.Sort = next, nil
				}
				if want := (4 + int(limit)) / int(limit); got != tc.want || pages != want {
					t.Errorf("%s, %d a page: got %q in %d pages, want %q in %d", tc.name, limit, got, pages, tc.want, want)
				}
			}
		}
	}
	if got, _, next := c.found(searchQuery{Query: &q, Offset: 2, Limit: new(int32(2))}); got != "cd" || len(next) == 0 {
		t.Errorf("offset 2, limit 2: %q, token %q", got, next)
	}
	if got, total, next := c.found(searchQuery{Query: &q, Limit: new(int32(0)), Count: true}); got != "" || total != 5 || len(next) > 0 {
		t.Errorf("limit 0: %q, %d, token %q", got, total, next)
	}
}

func TestSearchReturnsColumns(t *testing.T) {
	t.Parallel()
	c := library(t)
	q := term("id", textValue("c"))
	for _, tc := range []struct {
		name string
		want *searchColumns
		row  string
	}{
		{"unasked", nil, "id=c:"},
		{"none", &searchColumns{Type: 3}, "id=c:"},
		{"named", &searchColumns{returnSpecified, []string{"year", "x"}}, "id=c: year=1945"},
		{"all", &searchColumns{Type: returnAll}, "id=c: author=Orwell printed=2022-05-6 scores=[3,9] tags=[\"classic\"] title=Animal Farm year=1945"},
		{"those of the index", &searchColumns{Type: returnFromIndex}, "id=c: author=Orwell printed=2022-05-6 scores=[3,9] tags=[\"classic\"] title=Animal Farm year=1945"},
	} {
		var resp searchResponse
		c.do("Search", &searchRequest{Table: "t", Index: "books", Columns: tc.want, Query: marshal(&searchQuery{Query: &q})}, &resp)
		if diff := cmp.Diff(tc.row, c.showRows(resp.Rows[0])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestSearchIndexesComeAndGo(t *testing.T) {
	t.Parallel()
	c := library(t)
	var list listSearchIndexResponse
	c.do("ListSearchIndex", &listSearchIndexRequest{}, &list)
	if diff := cmp.Diff([]searchIndexRequest{{"t", "books"}}, list.Indexes); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	c.pass(time.Second)
	c.do("UpdateSearchIndex", &updateSearchIndexRequest{Table: "t", Index: "books", TTL: new(int32(86400))}, nil)
	var d describeSearchIndexResponse
	c.do("DescribeSearchIndex", &searchIndexRequest{"t", "books"}, &d)
	var schema indexSchema
	if err := unmarshal(d.Schema, &schema); err != nil || len(schema.Fields) != 13 || d.TTL != 86400 ||
		d.Sync != (syncStat{phaseComplete, c.now().UnixNano()}) || d.Created != start.UnixMilli() || d.Status.Status != stateRunning {
		t.Errorf("described as %+v, %v", d, err)
	}
	drop := &tableRequest{"t"}
	want := invalid("Table[t] who has at least one search index cannot be deleted")
	if diff := cmp.Diff(want, c.try("DeleteTable", drop, nil)); diff != "" {
		t.Errorf("table deleted first (-want +got):\n%s", diff)
	}
	c.do("DeleteSearchIndex", &searchIndexRequest{"t", "books"}, nil)
	c.do("DeleteTable", drop, nil)
}

func TestSearchFaults(t *testing.T) {
	t.Parallel()
	c := library(t)
	search := func(m searchQuery) *searchRequest {
		return &searchRequest{Table: "t", Index: "books", Query: marshal(&m)}
	}
	q := all()
	deep := all()
	for range maxQueries {
		deep = queryOf(queryConstScore, &wrappingQuery{Query: deep})
	}
	create := func(name string, fields ...fieldSchema) *createSearchIndexRequest {
		return &createSearchIndexRequest{Table: "t", Index: name, Schema: marshal(&indexSchema{Fields: fields})}
	}
	bad := query{queryTerm, []byte{1}}
	unknown, hidden, strange := term("x", intValue(1)), term("hidden", intValue(1)), query{Type: 19}
	for _, tc := range []faultCase{
		{"no table", "Search", &searchRequest{Table: "u", Index: "books"}, invalid("table [u] does not exist")},
		{"no index", "Search", &searchRequest{Table: "t", Index: "i"}, noSearchIndex("i")},
		{"no query", "Search", search(searchQuery{}), invalid("query is not set")},
		{"a broken query", "Search", search(searchQuery{Query: &bad}), invalid("parse query of type [3] failed")},
		{"an unknown field", "Search", search(searchQuery{Query: &unknown}), invalid("field [x] is not indexed")},
		{"a field that is not indexed", "Search", search(searchQuery{Query: &hidden}), invalid("field [hidden] is not indexed")},
		{"an unknown query", "Search", search(searchQuery{Query: &strange}), invalid("query type [19] is not supported")},
		{"a very deep query", "Search", search(searchQuery{Query: &deep}), invalid("The number of queries exceeds the limit: 1024.")},
		{"sorted by an unknown field", "Search", search(searchQuery{Query: &q, Sort: &sortMessage{[]sorter{{Field: &fieldSort{Field: "x"}}}}}), invalid("field [x] is not indexed")},
		{"too many", "Search", search(searchQuery{Query: &q, Limit: new(int32(1001))}), invalid("limit must be in range [0, 1000]")},
		{"too far", "Search", search(searchQuery{Query: &q, Offset: 9991}), invalid("offset + limit must be in range [0, 10000]")},
		{"a token of another", "Search", search(searchQuery{Query: &q, Token: []byte("x")}), invalid("token is invalid")},
		{"a token without a key", "Search", search(searchQuery{Query: &q, Token: []byte("{}")}), invalid("token is invalid")},
		{"a token of other values", "Search", search(searchQuery{Query: &q, Token: []byte(`{"Values":[[]],"Key":[{"Type":5}]}`)}), invalid("token is invalid")},
		{"an index again", "CreateSearchIndex", create("books", fieldSchema{Name: "a"}), searchIndexExists("books")},
		{"an index of nothing", "CreateSearchIndex", create("i"), invalid("schema of search index [i] has no fields")},
		{"an index of a field twice", "CreateSearchIndex", create("i", fieldSchema{Name: "a"}, fieldSchema{Name: "a"}), invalid("field [a] is empty or duplicated")},
		{"an index for another of no name", "CreateSearchIndex", &createSearchIndexRequest{Table: "t", Index: "i", Source: "books", Schema: marshal(&indexSchema{Fields: []fieldSchema{{Name: "a"}}})}, invalid("index of source [books] must be named [books_reindex]")},
		{"an index for none", "CreateSearchIndex", &createSearchIndexRequest{Table: "t", Index: "i_reindex", Source: "i", Schema: marshal(&indexSchema{Fields: []fieldSchema{{Name: "a"}}})}, noSearchIndex("i")},
		{"switched with nothing", "UpdateSearchIndex", &updateSearchIndexRequest{Table: "t", Index: "books", Switch: "i"}, invalid("search index [books] can not be switched with [i]")},
		{"not there, described", "DescribeSearchIndex", &searchIndexRequest{"t", "i"}, noSearchIndex("i")},
		{"not there, deleted", "DeleteSearchIndex", &searchIndexRequest{"t", "i"}, noSearchIndex("i")},
		{"not there, updated", "UpdateSearchIndex", &updateSearchIndexRequest{Table: "t", Index: "i", TTL: one}, noSearchIndex("i")},
		{"updated with nothing", "UpdateSearchIndex", &updateSearchIndexRequest{Table: "t", Index: "books"}, invalid("nothing of search index [books] is updated")},
	} {
		if diff := cmp.Diff(tc.want, c.try(tc.op, tc.req, nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestAnIndexIsReplacedByAnother(t *testing.T) {
	t.Parallel()
	c := library(t)
	schema := marshal(&indexSchema{Fields: []fieldSchema{{Name: "pages", Type: fieldLong}}})
	c.do("CreateSearchIndex", &createSearchIndexRequest{Table: "t", Index: "books_reindex", Source: "books", Schema: schema}, nil)
	knows := func(field string) bool {
		q := queryOf(queryExists, &fieldQuery{Field: field})
		return c.try("Search", &searchRequest{Table: "t", Index: "books", Query: marshal(&searchQuery{Query: &q})}, nil) == nil
	}
	weights := func(old, new int32) []flowWeight { return []flowWeight{{"books", old}, {"books_reindex", new}} }
	var d describeSearchIndexResponse
	for _, new := range []int32{0, 100} {
		c.do("UpdateSearchIndex", &updateSearchIndexRequest{Table: "t", Index: "books", Weights: weights(100-new, new)}, nil)
		c.do("DescribeSearchIndex", &searchIndexRequest{"t", "books"}, &d)
		if diff := cmp.Diff(weights(100-new, new), d.Weights); diff != "" || d.Brother != "books_reindex" {
			t.Errorf("described as %+v", d)
		}
		if knows("year") != (new == 0) || knows("pages") != (new == 100) {
			t.Errorf("with weight %d queries go elsewhere", new)
		}
		d = describeSearchIndexResponse{}
	}
	want := invalid("query flow weights must be of the two indexes and add up to 100")
	for _, w := range [][]flowWeight{weights(1, 1), {{"x", 100}}, weights(-1, 101)} {
		if diff := cmp.Diff(want, c.try("UpdateSearchIndex", &updateSearchIndexRequest{Table: "t", Index: "books", Weights: w}, nil)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	c.do("UpdateSearchIndex", &updateSearchIndexRequest{Table: "t", Index: "books", Switch: "books_reindex"}, nil)
	c.do("DeleteSearchIndex", &searchIndexRequest{"t", "books_reindex"}, nil)
	c.do("DescribeSearchIndex", &searchIndexRequest{"t", "books"}, &d)
	if !knows("pages") || knows("year") || d.Brother != "" {
		t.Errorf("after the switch: %+v", d)
	}
}

// TestSearchReachesTheWholeTable finds rows beyond the first page of a walk.
func TestSearchReachesTheWholeTable(t *testing.T) {
	t.Parallel()
	c := library(t)
	for at := 0; at < 6000; at += 200 {
		var rows []batchWriteRow
		for i := at; i < at+200; i++ {
			rows = append(rows, batchWriteRow{Type: writePut, Row: plainRow(wireRow{
				Key: []cell{textCell("id", fmt.Sprintf("x%05d", i))}, Cells: []cell{intCell("year", int64(i%3000))},
			})})
		}
		c.do("BatchWriteRow", &batchWriteRequest{Tables: []batchWriteTable{{"t", rows}}}, nil)
	}
	q := term("year", intValue(2999))
	if got, total, _ := c.found(searchQuery{Query: &q, Count: true}); got != "x02999x05999" || total != 2 {
		t.Errorf("found %q of %d", got, total)
	}
	every := all()
	page := searchQuery{Query: &every, Limit: new(int32(1000)), Sort: &sortMessage{[]sorter{{Field: &fieldSort{Field: "year", Order: 1}}}}}
	n, seen := 0, map[string]bool{}
	for {
		keys, _, next := c.found(page)
		n += strings.Count(keys, "x")
		if len(next) == 0 {
			break
		}
		if seen[string(next)] {
			t.Fatal("the same token twice")
		}
		seen[string(next)] = true
		page.Token, page.Sort = next, nil
	}
	if n != 6000 {
		t.Errorf("pages have %d rows", n)
	}
}

func FuzzSearch(f *testing.F) {
	q := queryOf(queryBool, &boolQuery{Should: []query{term("a", intValue(1)), queryOf(queryWildcard, &fieldQuery{"a", [][]byte{[]byte("*a?")}})}})
	f.Add(marshal(&searchQuery{Query: &q, Sort: &sortMessage{[]sorter{{Field: &fieldSort{Field: "a"}}}}}))
	f.Add(marshal(&searchQuery{Query: &q, Token: []byte(`{"Values":[],"Key":[{"Type":5}]}`)}))
	whole := summarized()
	f.Add(marshal(&whole))
	near := queryOf(queryVector, &vectorQuery{Field: "vector", Top: new(int32(3)), Vector: []float32{1, 2}, Filter: &q})
	nested := queryOf(queryNested, &nestedQuery{Path: "parts", Query: term("parts.name", textValue("x")), Inner: &innerMessage{Sort: &sortMessage{[]sorter{{Doc: &orderOnly{1}}}}}})
	any := queryOf(queryDisMax, &disMaxQuery{Queries: []query{near, nested, queryOf(queryPhrase, &textQuery{Field: "a", Text: "some words", Operator: 2})}})
	f.Add(marshal(&searchQuery{Query: &any, Highlight: &highlightMessage{Parameters: []highlightParameter{{Field: "a", Size: new(int32(3))}}}}))
	schema := &indexSchema{Fields: []fieldSchema{
		{Name: "a", Type: fieldText, Highlighting: true}, {Name: "id", Type: fieldKeyword}, vectorField("vector", metricCosine), {Name: "year", Type: fieldLong}, {Name: "place", Type: fieldGeo},
		{Name: "price", Type: fieldDouble}, {Name: "day", Type: fieldDate},
		{Name: "parts", Type: fieldNested, Fields: []fieldSchema{{Name: "name", Type: fieldKeyword}, {Name: "pages", Type: fieldLong}}},
	}}
	row := table.Row{Key: table.Key{textValue("k")}}
	for name, v := range map[string]table.Value{"a": textValue("some words"), "year": intValue(1949), "place": textValue("30.1,120"),
		"price": floatValue(7), "vector": textValue("[1,2]"), "day": intValue(1700000000000), "parts": textValue(`[{"name":"x","pages":3},{"pages":[1,{"name":2}]}]`)} {
		row.Columns = append(row.Columns, table.Column{Name: name, Cells: []table.Cell{{Value: v}}})
	}
	slices.SortFunc(row.Columns, func(a, b table.Column) int { return strings.Compare(a.Name, b.Name) })
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &search{
			spec:    &table.Spec{Key: []table.KeyColumn{{Name: "id", Type: table.String}}},
			queries: &queries{fields: newFields(schema.Fields), budget: maxQueries},
		}
		if err := s.read(schema, b); err != nil {
			return
		}
		h := hit{row: row, doc: s.document(&row)}
		h.score, _ = s.matches(h.doc)
		h.values = s.order.values(&h)
		messageOf(&h, s.highlighter, s.inner)
		s.lookups(s.query)
		if s.after != nil {
			s.order.compare(&h, &hit{row: table.Row{Key: s.after.Key}, values: s.after.Values})
		}
		if s.summary.add(&h) == nil {
			s.summary.results()
		}
		s.best([]hit{h, h}, 1)
	})
}

func TestASearchEndsWhenItsClientGivesUp(t *testing.T) {
	t.Parallel()
	c := library(t)
	q := all()
	req := &searchRequest{Table: "t", Index: "books", Query: marshal(&searchQuery{Query: &q}), Timeout: new(int32(1))}
	c.store.gate.Store(&gate{make(chan struct{}), make(chan struct{})}) // nobody opens it
	if diff := cmp.Diff(faultTimeout, c.try("Search", req, nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
