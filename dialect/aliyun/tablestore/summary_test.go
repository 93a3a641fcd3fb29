package tablestore

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// summarized is a search with aggregations and group-bys of every kind.
func summarized() searchQuery {
	q := all()
	agg := func(kind int32, field string) aggMessage {
		return aggMessage{fmt.Sprint("a", kind, field), kind, marshal(&aggBody{Field: field})}
	}
	bounds := []groupBounds{{To: new(10.0)}, {From: new(10.0)}}
	return searchQuery{
		Query: &q, Count: true,
		Sort: &sortMessage{[]sorter{{Geo: &geoSort{Field: "place", Points: []string{"30,120"}}}}},
		Aggs: &aggList{[]aggMessage{
			agg(aggAvg, "year"), agg(aggMax, "year"), agg(aggMin, "price"), agg(aggSum, "parts.pages"), agg(aggCount, "place"), agg(aggDistinct, "parts.name"),
			{"top", aggTopRows, marshal(&topRowsBody{Limit: new(int32(2)), Sort: &sortMessage{[]sorter{{Field: &fieldSort{Field: "year", Order: 1}}}}})},
			{"percent", aggPercentiles, marshal(&percentilesBody{Field: "year", Percentiles: []float64{50, 0, 100}})},
		}},
		Groups: &groupList{[]aggMessage{
			{"field", groupField, marshal(&groupFieldBody{Field: "parts.name", Aggs: &aggList{[]aggMessage{agg(aggMax, "year")}}, Sort: &groupSort{[]groupSorter{{Agg: &aggSort{"a2year", 1}}}}})},
			{"range", groupRange, marshal(&groupRangeBody{Field: "price", Ranges: bounds})},
			{"filter", groupFilter, marshal(&groupFilterBody{Filters: []query{term("year", intValue(1949))}})},
			{"distance", groupGeoDistance, marshal(&groupGeoBody{Field: "place", Origin: geoPoint{30, 120}, Ranges: bounds})},
			{"histogram", groupHistogram, marshal(&groupHistogramBody{Field: "year", Interval: variantBytes(intValue(10)), Least: new(int64(0))})},
			{"date", groupDateHistogram, marshal(&groupDateBody{Field: "day", Interval: dateValue{1, 3}, Zone: "+08:00"})},
			{"grid", groupGeoGrid, marshal(&groupGeoGridBody{Field: "place", Precision: 3})},
			{"composite", groupComposite, marshal(&groupCompositeBody{Sources: &groupList{[]aggMessage{
				{"y", groupField, marshal(&groupFieldBody{Field: "year"})},
				{"p", groupHistogram, marshal(&groupHistogramBody{Field: "price", Interval: variantBytes(floatValue(5))})},
			}}, Size: new(int32(1))})},
		}},
	}
}

// atlas is a table of places with a search index of nested fields and points.
func atlas(t *testing.T) *client {
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, anyText)
	schema := indexSchema{Fields: []fieldSchema{
		{Name: "year", Type: fieldLong}, {Name: "price", Type: fieldDouble}, {Name: "place", Type: fieldGeo}, {Name: "title", Type: fieldText},
		{Name: "day", Type: fieldDate, Dates: []string{"yyyy-MM-dd"}}, {Name: "open", Type: fieldBoolean},
		{Name: "parts", Type: fieldNested, Fields: []fieldSchema{
			{Name: "name", Type: fieldKeyword}, {Name: "pages", Type: fieldLong},
			{Name: "notes", Type: fieldNested, Fields: []fieldSchema{{Name: "by", Type: fieldKeyword}, {Name: "stars", Type: fieldLong}}},
		}},
	}}
	c.do("CreateSearchIndex", &createSearchIndexRequest{Table: "t", Index: "books", Schema: marshal(&schema)}, nil)
	price := func(f float64) cell { return cell{Name: "price", Kind: vtDouble, Value: floatValue(f)} }
	for id, cells := range map[string][]cell{
		"a": {intCell("year", 1949), price(7), textCell("place", "30,120"), textCell("title", "sea sea sea"), textCell("day", "2024-01-31"),
			textCell("parts", `[{"name":"x","pages":3,"notes":[{"by":"ann","stars":5},{"by":"bob","stars":1}]},{"name":"y","pages":9}]`)},
		"b": {intCell("year", 1951), price(12), textCell("place", "30.001,120"), textCell("title", "sea"), textCell("day", "2024-02-01"),
			textCell("parts", `{"name":"x","pages":9,"notes":{"by":"ann","stars":1}}`)},
		"c": {intCell("year", 1949), price(10), textCell("place", "31,121"), textCell("day", "2024-02-29")},
		"d": {textCell("place", "nowhere"), textCell("parts", "no JSON"), textCell("title", "the sea and the sea")},
	} {
		c.do("PutRow", put(ignore, wireRow{Key: []cell{textCell("id", id)}, Cells: cells}), nil)
	}
	return c
}

func TestNestedAndGeoQueriesFind(t *testing.T) {
	t.Parallel()
	c := atlas(t)
	inside := func(path string, q query) query { return queryOf(queryNested, &nestedQuery{Path: path, Query: q}) }
	both := func(q ...query) query { return queryOf(queryBool, &boolQuery{Must: q}) }
	x, nine := term("parts.name", textValue("x")), term("parts.pages", intValue(9))
	ann, five, few := term("parts.notes.by", textValue("ann")), term("parts.notes.stars", intValue(5)), term("parts.notes.stars", intValue(1))
	box := func(topLeft, bottomRight string) query {
		return queryOf(queryGeoBox, &geoQuery{Field: "place", Points: []string{topLeft}, BottomRight: bottomRight})
	}
	near := func(center string, meters float64) query {
		return queryOf(queryGeoDistance, &geoDistanceQuery{"place", center, meters})
	}
	for _, tc := range []struct {
		name string
		q    query
		want string
	}{
		{"one element has both", inside("parts", both(x, nine)), "b"},
		{"some element has the one, some the other", both(inside("parts", x), inside("parts", nine)), "ab"},
		{"elements of elements", inside("parts.notes", both(ann, five)), "a"},
		{"elements of elements, from within", inside("parts", both(x, inside("parts.notes", both(ann, few)))), "b"},
		{"any elements", queryOf(queryExists, &fieldQuery{Field: "parts"}), "ab"},
		{"a column from within", inside("parts", both(x, term("year", intValue(1951)))), "b"},
		{"near", near("30,120", 112), "ab"},
		{"nearer", near("30,120", 111), "a"},
		{"in a box", box("30.5,119", "29,121"), "ab"},
		{"in a box over the date line", box("32,119.5", "29,-170"), "abc"},
		{"in no box over the date line", box("32,120.5", "29,-170"), "c"},
		{"in a triangle", queryOf(queryGeoPolygon, &geoQuery{Field: "place", Points: []string{"30.5,120.5", "31.5,120.5", "31,122"}}), "c"},
		{"a constant score", queryOf(queryFunctionScore, &wrappingQuery{Query: nine, Factor: &fieldName{"year"}}), "ab"},
	} {
		page := searchQuery{Query: &tc.q, Count: true, Sort: &sortMessage{[]sorter{{Key: &orderOnly{}}}}}
		if got, total, _ := c.found(page); got != tc.want || int(total) != len(tc.want) {
			t.Errorf("%s: found %q of %d, want %q", tc.name, got, total, tc.want)
		}
	}
}

func TestHitsAreScored(t *testing.T) {
	t.Parallel()
	c := atlas(t)
	sea := queryOf(queryMatch, &textQuery{Field: "title", Text: "sea"})
	function := func(mode, combine int32, functions ...scoreFunction) query {
		return queryOf(queryFunctionsScore, &functionsQuery{Query: &query{Type: queryAll}, Functions: functions, Mode: mode, Combine: combine})
	}
	weight := func(x float32, q query) scoreFunction { return scoreFunction{Weight: &x, Filter: &q} }
	decay := func(math int32) scoreFunction {
		p := decayNumericParam{Origin: 7, Scale: 5}
		return scoreFunction{Decay: &decayFunction{Field: "price", Math: math, Kind: decayNumeric, Param: marshal(&p), Decay: new(0.5)}}
	}
	half := 0.5
	for _, tc := range []struct {
		name string
		q    query
		want string
	}{
		{"by words", sea, "a 2.10, d 1.69, b 1.00"},
		{"in a should beside a must", queryOf(queryBool, &boolQuery{Must: []query{queryOf(queryExists, &fieldQuery{Field: "title"})}, Should: []query{sea}}), "a 3.10, d 2.69, b 2.00"},
		{"by a field", queryOf(queryFunctionScore, &wrappingQuery{Query: queryOf(queryExists, &fieldQuery{Field: "year"}), Factor: &fieldName{"year"}}), "b 1951.00, a 1949.00, c 1949.00"},
		{"by weights", function(scoreSum, combineReplace, weight(3, term("year", intValue(1949))), weight(2, term("price", floatValue(7)))), "a 5.00, c 3.00, b 1.00, d 1.00"},
		{"by the first weight", function(scoreFirst, combineMultiply, weight(3, term("year", intValue(1949))), weight(2, term("price", floatValue(7)))), "a 3.00, c 3.00, b 1.00, d 1.00"},
		{"by the distance of numbers", function(scoreMultiply, combineReplace, decay(decayLinear)), "a 1.00, d 1.00, c 0.70, b 0.50"},
		{"by the distance, curved", function(scoreMultiply, combineReplace, decay(decayExp)), "a 1.00, d 1.00, c 0.66, b 0.50"},
		{"by the logarithm of a field", function(scoreMax, combineSum, scoreFunction{Factor: &factorFunction{Field: "price", Modifier: 6, Missing: &half}}), "b 3.56, c 3.40, a 3.08, d 1.41"},
	} {
		var resp searchResponse
		c.do("Search", &searchRequest{Table: "t", Index: "books", Query: marshal(&searchQuery{Query: &tc.q})}, &resp)
		var got []string
		for i, b := range resp.Rows {
			got = append(got, fmt.Sprintf("%s %.2f", c.rows(b)[0].Key[0].Value.Str, *resp.Hits[i].Score))
		}
		if text := strings.Join(got, ", "); text != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, text, tc.want)
		}
	}
}

func TestHitsAreSortedByDistanceAndNestedValues(t *testing.T) {
	t.Parallel()
	c := atlas(t)
	q := all()
	x := &nestedFilter{"parts", term("parts.name", textValue("x"))}
	for _, tc := range []struct {
		name string
		s    sorter
		want string
	}{
		{"near first", sorter{Geo: &geoSort{Field: "place", Points: []string{"31,121"}}}, "cbad"},
		{"far first", sorter{Geo: &geoSort{Field: "place", Points: []string{"31,121"}, Order: 1}}, "abcd"},
		{"least pages", sorter{Field: &fieldSort{Field: "parts.pages"}}, "abcd"},
		{"most pages", sorter{Field: &fieldSort{Field: "parts.pages", Order: 1, Filter: x}}, "bacd"},
		{"pages on average", sorter{Field: &fieldSort{Field: "parts.pages", Order: 1, Mode: new(int32(2))}}, "bacd"},
	} {
		if got, _, _ := c.found(searchQuery{Query: &q, Sort: &sortMessage{[]sorter{tc.s}}}); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestHitsCollapse(t *testing.T) {
	t.Parallel()
	c := atlas(t)
	q := all()
	page := searchQuery{Query: &q, Count: true, Collapse: &fieldName{"year"}, Sort: &sortMessage{[]sorter{{Field: &fieldSort{Field: "price", Order: 1}}}}}
	if got, total, next := c.found(page); got != "bcd" || total != 4 || next != nil {
		t.Errorf("found %q of %d, next %q", got, total, next)
	}
	page.Offset, page.Limit = 1, one
	if got, _, next := c.found(page); got != "c" || next != nil {
		t.Errorf("second page %q, next %q", got, next)
	}
}

// shownResults are aggregations and groups as text: name=value, and key:count.
func (c *client) shownResults(resp *searchResponse) map[string]string {
	c.t.Helper()
	read := func(b []byte, m any) {
		c.t.Helper()
		if err := unmarshal(b, m); err != nil {
			c.t.Fatal(err)
		}
	}
	out := map[string]string{}
	aggs := func(list aggResults) {
		for _, r := range list.Results {
			switch r.Type {
			case aggCount, aggDistinct:
				var v countResult
				read(r.Result, &v)
				out[r.Name] = fmt.Sprint(v.Value)
			case aggTopRows:
				var v rowsResult
				read(r.Result, &v)
				for _, b := range v.Rows {
					out[r.Name] += c.rows(b)[0].Key[0].Value.Str
				}
			case aggPercentiles:
				var v percentilesResult
				read(r.Result, &v)
				for _, item := range v.Items {
					value, _ := variantValue(item.Value)
					out[r.Name] += fmt.Sprintf("%v:%d ", item.Key, value.Int)
				}
			default:
				var v floatResult
				read(r.Result, &v)
				out[r.Name] = fmt.Sprint(v.Value)
			}
		}
	}
	var results aggResults
	read(resp.Aggs, &results)
	aggs(results)
	results = aggResults{}
	read(resp.Groups, &results)
	for _, r := range results.Results {
		if r.Type == groupComposite {
			var v groupCompositeResult
			read(r.Result, &v)
			for _, item := range v.Items {
				out[r.Name] += fmt.Sprintf("%s:%d ", strings.Join(item.Keys, "+"), item.Rows)
			}
			out[r.Name] += v.Next
			continue
		}
		var items groupItems
		read(r.Result, &items)
		for _, b := range items.Items {
			switch r.Type {
			case groupField:
				var v groupFieldItem
				read(b, &v)
				var inner float64
				if v.Aggs != nil {
					var f floatResult
					read(v.Aggs.Results[0].Result, &f)
					inner = f.Value
				}
				out[r.Name] += fmt.Sprintf("%s:%d(%v) ", v.Key, v.Rows, inner)
			case groupRange, groupGeoDistance:
				var v groupRangeItem
				read(b, &v)
				out[r.Name] += fmt.Sprintf("%v..%v:%d ", v.From, v.To, v.Rows)
			case groupFilter:
				var v groupFilterItem
				read(b, &v)
				out[r.Name] += fmt.Sprintf(":%d ", v.Rows)
			case groupHistogram:
				var v groupHistogramItem
				read(b, &v)
				key, _ := variantValue(v.Key)
				out[r.Name] += fmt.Sprintf("%d:%d ", key.Int, v.Rows)
			case groupDateHistogram:
				var v groupDateItem
				read(b, &v)
				out[r.Name] += fmt.Sprintf("%s:%d ", time.UnixMilli(v.Time).UTC().Format("2006-01-02T15"), v.Rows)
			case groupGeoGrid:
				var v groupGridItem
				read(b, &v)
				out[r.Name] += fmt.Sprintf("%s:%d(%v) ", v.Key, v.Rows, v.Grid)
			}
		}
	}
	return out
}

func TestSearchesSumUp(t *testing.T) {
	t.Parallel()
	c := atlas(t)
	q := summarized()
	q.Limit = new(int32(1))
	var resp searchResponse
	c.do("Search", &searchRequest{Table: "t", Index: "books", Query: marshal(&q)}, &resp)
	want := map[string]string{
		"a1year": fmt.Sprint(5849.0 / 3), "a2year": "1951", "a3price": "7", "a4parts.pages": "21", "a5place": "3", "a6parts.name": "2",
		"top": "ba", "percent": "0:1949 50:1949 100:1951 ",
		"field":     "x:2(1951) y:1(1949) ",
		"range":     "-Inf..10:1 10..+Inf:2 ",
		"filter":    ":2 ",
		"distance":  "0..10:1 10..+Inf:2 ",
		"histogram": "1940:2 1950:1 ",
		"date":      "2023-12-31T16:1 2024-01-31T16:2 ",
		"grid":      "wtm:2({{30.9375 119.53125} {29.53125 120.9375}}) wtw:1({{32.34375 120.9375} {30.9375 122.34375}}) ",
		"composite": `1949+5.0:1 [{"Type":2,"Int":1949,"List":null,"Map":null,"Float":0,"Str":""},{"Type":3,"Int":0,"List":null,"Map":null,"Float":4617315517961601024,"Str":""}]`,
	}
	if diff := cmp.Diff(want, c.shownResults(&resp)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(resp.Rows) != 1 || resp.Total != 4 {
		t.Errorf("%d rows of %d", len(resp.Rows), resp.Total)
	}
}

func TestGroupsArePagedFilledAndDated(t *testing.T) {
	t.Parallel()
	c := atlas(t)
	q := all()
	groups := func(list ...aggMessage) map[string]string {
		t.Helper()
		var resp searchResponse
		c.do("Search", &searchRequest{Table: "t", Index: "books", Query: marshal(&searchQuery{Query: &q, Limit: new(int32(0)), Groups: &groupList{list}})}, &resp)
		return c.shownResults(&resp)
	}
	var keys []string
	body := groupCompositeBody{Sources: &groupList{[]aggMessage{{"y", groupField, marshal(&groupFieldBody{Field: "year"})}}}, Size: one}
	for range 5 {
		shown, token, _ := strings.Cut(groups(aggMessage{"c", groupComposite, marshal(&body)})["c"], " ")
		if keys = append(keys, shown); token == "" {
			break
		}
		body.Token = token
	}
	if got := strings.Join(keys, " "); got != "1949:2 1951:1" {
		t.Errorf("composite pages: %s", got)
	}
	year := func(value int64) []byte { return variantBytes(intValue(value)) }
	date := func(n, unit int32) aggMessage {
		return aggMessage{fmt.Sprint(n, ".", unit), groupDateHistogram, marshal(&groupDateBody{Field: "day", Interval: dateValue{n, unit}})}
	}
	got := groups(
		aggMessage{"filled", groupHistogram, marshal(&groupHistogramBody{Field: "year", Interval: year(1), Least: new(int64(0)), Missing: year(1952), Range: &fieldRange{year(1948), year(1952)}})},
		aggMessage{"open", groupField, marshal(&groupFieldBody{Field: "open"})},
		date(1, 1), date(1, 2), date(2, 3), date(1, 4), date(10, 5), date(12, 6), date(1, 7), date(1, 8),
	)
	day := "2024-01-31T00:1 2024-02-01T00:1 2024-02-29T00:1 "
	want := map[string]string{
		"filled": "1948:0 1949:2 1950:0 1951:1 1952:1 ",
		"1.1":    "2024-01-01T00:3 ", "1.2": "2024-01-01T00:3 ", "2.3": "2024-01-01T00:3 ",
		"1.4":  "2024-01-29T00:2 2024-02-26T00:1 ",
		"10.5": "2024-01-28T00:2 2024-02-27T00:1 ",
		"12.6": day, "1.7": day, "1.8": day,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSummaryFaults(t *testing.T) {
	t.Parallel()
	c := atlas(t)
	q := all()
	search := func(change func(*searchQuery)) *searchRequest {
		m := searchQuery{Query: &q}
		change(&m)
		return &searchRequest{Table: "t", Index: "books", Query: marshal(&m)}
	}
	aggs := func(list ...aggMessage) *searchRequest {
		return search(func(m *searchQuery) { m.Aggs = &aggList{list} })
	}
	groups := func(list ...aggMessage) *searchRequest {
		return search(func(m *searchQuery) { m.Groups = &groupList{list} })
	}
	of := func(kind int32, body any) aggMessage { return aggMessage{"n", kind, marshal(body)} }
	asking := func(kind int32, body any) *searchRequest {
		return search(func(m *searchQuery) { one := queryOf(kind, body); m.Query = &one })
	}
	deep := aggMessage{"n", groupField, marshal(&groupFieldBody{Field: "year"})}
	for range maxGroupDepth {
		deep = of(groupField, &groupFieldBody{Field: "year", Groups: &groupList{[]aggMessage{deep}}})
	}
	broken := invalid("parse group by [n] failed")
	sum := of(aggSum, &aggBody{Field: "year"})
	for _, tc := range []faultCase{
		{"a sum of texts", "", aggs(of(aggSum, &aggBody{Field: "title"})), invalid("[sum agg] field_name:title type:text is invalid, allow [long, double]")},
		{"a count of nothing", "", aggs(of(aggCount, &aggBody{Field: "x"})), invalid("[count agg] field: x does not exist")},
		{"a count of nested fields", "", aggs(of(aggCount, &aggBody{Field: "parts"})), invalid("[count agg] field_name:parts type:nested is invalid")},
		{"no name", "", aggs(aggMessage{Type: aggSum}), invalid("the name [] of aggs is empty or duplicated")},
		{"a name twice", "", aggs(sum, sum), invalid("the name [n] of aggs is empty or duplicated")},
		{"too many", "", aggs(make([]aggMessage, maxAggs+1)...), invalid("the number of aggs exceeds the limit: 50")},
		{"an unknown aggregation", "", aggs(of(99, &none{})), invalid("aggregation type [99] is not supported")},
		{"a broken aggregation", "", aggs(aggMessage{"n", aggSum, []byte{1}}), invalid("parse [sum agg] failed")},
		{"a broken missing value", "", aggs(of(aggSum, &aggBody{"year", []byte{99}})), invalid("[sum agg] missing value is invalid")},
		{"no percentiles", "", aggs(of(aggPercentiles, &percentilesBody{Field: "year"})), invalid("parse [percentiles agg] failed")},
		{"a percentile of 101", "", aggs(of(aggPercentiles, &percentilesBody{Field: "year", Percentiles: []float64{101}})), invalid("[percentiles agg] percentiles must be in range [0, 100]")},
		{"too many rows", "", aggs(of(aggTopRows, &topRowsBody{Limit: new(int32(101))})), invalid("[top rows agg] limit must be in range [1, 100]")},
		{"broken rows", "", aggs(aggMessage{"n", aggTopRows, []byte{1}}), invalid("parse [top rows agg] failed")},
		{"an unknown group-by", "", groups(of(99, &none{})), invalid("group by type [99] is not supported")},
		{"groups too deep", "", groups(deep), invalid("the depth of group by exceeds the limit: 3")},
		{"too many groups", "", groups(of(groupField, &groupFieldBody{Field: "year", Size: new(int64(2001))})), invalid("size of group by [n] must be in range [1, 2000]")},
		{"too many combinations", "", groups(of(groupComposite, &groupCompositeBody{Sources: &groupList{[]aggMessage{sum}}, Size: new(int32(3000))})), invalid("size of group by [n] must be in range [1, 2000]")},
		{"combinations of ranges", "", groups(of(groupComposite, &groupCompositeBody{Sources: &groupList{[]aggMessage{of(groupRange, &none{})}}})), invalid("group by type [2] can not be a source of a composite one")},
		{"a broken token", "", groups(of(groupComposite, &groupCompositeBody{Sources: &groupList{[]aggMessage{of(groupField, &groupFieldBody{Field: "year"})}}, Token: "x"})), invalid("next token of group by [n] is invalid")},
		{"no combinations", "", groups(of(groupComposite, &none{})), broken},
		{"no ranges", "", groups(of(groupRange, &groupRangeBody{Field: "year"})), broken},
		{"no filters", "", groups(of(groupFilter, &none{})), broken},
		{"no distances", "", groups(of(groupGeoDistance, &groupGeoBody{Field: "place"})), broken},
		{"an interval of zero", "", groups(of(groupHistogram, &groupHistogramBody{Field: "year", Interval: variantBytes(intValue(0))})), broken},
		{"a broken bound", "", groups(of(groupHistogram, &groupHistogramBody{Field: "year", Interval: variantBytes(intValue(1)), Range: &fieldRange{Min: []byte{99}}})), broken},
		{"dates of no interval", "", groups(of(groupDateHistogram, &groupDateBody{Field: "day"})), broken},
		{"dates of no zone", "", groups(of(groupDateHistogram, &groupDateBody{Field: "day", Interval: dateValue{1, 5}, Zone: "x"})), invalid("time zone [x] is invalid")},
		{"a grid of 13 digits", "", groups(of(groupGeoGrid, &groupGeoGridBody{Field: "place", Precision: 13})), broken},
		{"sorted by nothing", "", groups(of(groupField, &groupFieldBody{Field: "year", Sort: &groupSort{[]groupSorter{{Agg: &aggSort{Name: "x"}}}}})), invalid("sub aggregation [x] of group by sort does not exist")},
		{"collapsed by nothing", "", search(func(m *searchQuery) { m.Collapse = &fieldName{"x"} }), invalid("[collapse] field: x does not exist")},
		{"collapsed pages", "", search(func(m *searchQuery) { m.Collapse, m.Token = &fieldName{"year"}, []byte("{}") }), invalid("collapse can not be used with token")},
		{"a missing value that is no number", "", search(func(m *searchQuery) {
			m.Sort = &sortMessage{[]sorter{{Field: &fieldSort{Field: "price", Missing: variantBytes(floatValue(math.Inf(1)))}}}}
		}), invalid("missing value of sort by field [price] is invalid")},
		{"sorted by a distance to nothing", "", search(func(m *searchQuery) { m.Sort = &sortMessage{[]sorter{{Geo: &geoSort{Field: "place"}}}} }), invalid("geo distance sort by field [place] has no points")},
		{"sorted by the elements of nothing", "", search(func(m *searchQuery) {
			m.Sort = &sortMessage{[]sorter{{Field: &fieldSort{Field: "parts.pages", Filter: &nestedFilter{Path: "x"}}}}}
		}), invalid("nested path [x] does not exist")},
		{"an unknown path", "", asking(queryNested, &nestedQuery{Path: "year", Query: q}), invalid("nested path [year] does not exist")},
		{"a point that is none", "", asking(queryGeoDistance, &geoDistanceQuery{"place", "91,0", 1}), invalid("geo point [91,0] is invalid")},
		{"a field of no points", "", asking(queryGeoDistance, &geoDistanceQuery{"year", "1,0", 1}), invalid("field [year] is not a geo point")},
		{"a box upside down", "", asking(queryGeoBox, &geoQuery{Field: "place", Points: []string{"1,1"}, BottomRight: "2,2"}), invalid("parse query of type [12] failed")},
		{"a polygon of two corners", "", asking(queryGeoPolygon, &geoQuery{Field: "place", Points: []string{"1,1", "2,2"}}), invalid("parse query of type [14] failed")},
		{"a score of no field", "", asking(queryFunctionScore, &wrappingQuery{Query: q}), invalid("parse query of type [8] failed")},
		{"a decay of no scale", "", asking(queryFunctionsScore, &functionsQuery{Functions: []scoreFunction{{Decay: &decayFunction{Field: "price", Math: 1, Kind: decayNumeric}}}}), invalid("parse query of type [18] failed")},
	} {
		if diff := cmp.Diff(tc.want, c.try("Search", tc.req, nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestParallelScansReadEveryRowOnce(t *testing.T) {
	t.Parallel()
	c := library(t)
	var splits computeSplitsResponse
	c.do("ComputeSplits", &computeSplitsRequest{"t", &splitIndex{"books"}}, &splits)
	q := all()
	scan := func(m scanQuery) *parallelScanRequest {
		m.Query = &q
		return &parallelScanRequest{Table: "t", Index: "books", Session: splits.Session, Query: marshal(&m)}
	}
	var got string
	var token []byte
	for {
		var resp parallelScanResponse
		c.do("ParallelScan", scan(scanQuery{Limit: new(int32(2)), Token: token, Parallel: &splits.Splits}), &resp)
		for _, b := range resp.Rows {
			got += c.rows(b)[0].Key[0].Value.Str
		}
		if resp.Next == nil {
			break
		}
		token = resp.Next
		c.pass(scanAlive * time.Second)
	}
	if got != "abcde" {
		t.Errorf("scanned %s", got)
	}
	c.pass(time.Second)
	for _, tc := range []faultCase{
		{"too late", "ParallelScan", scan(scanQuery{Token: token}), faultExpired},
		{"a session of another", "ParallelScan", &parallelScanRequest{Table: "t", Index: "books", Session: []byte("x"), Query: marshal(&scanQuery{Query: &q})}, faultExpired},
		{"a broken token", "ParallelScan", scan(scanQuery{Token: []byte("x")}), invalid("[parallel_scan.token] is invalid")},
		{"more splits than there are", "ParallelScan", scan(scanQuery{Parallel: new(int32(2))}), invalid("[parallel_scan.max_parallel_id] must in (0 ,1], current max_parallel_id is 2")},
		{"a split that is not there", "ParallelScan", scan(scanQuery{ID: new(int32(101))}), invalid("[parallel_scan.current_parallel_id] must in [0, max_parallel), current max_parallel is 1, current_parallel_id is 101")},
		{"too many rows", "ParallelScan", scan(scanQuery{Limit: new(int32(2001))}), invalid("[parallel_scan.limit] must in (0, 2000], current limit is 2001")},
		{"no time", "ParallelScan", scan(scanQuery{Alive: new(int32(0))}), invalid("[parallel_scan.alive_time] must in (0, 3600], current alive_time is 0")},
		{"no query", "ParallelScan", &parallelScanRequest{Table: "t", Index: "books"}, invalid("[parallel_scan.query] must not be null")},
		{"no index", "ParallelScan", &parallelScanRequest{Table: "t", Index: "x"}, noSearchIndex("x")},
		{"splits of no index", "ComputeSplits", &computeSplitsRequest{"t", &splitIndex{"x"}}, noSearchIndex("x")},
		{"splits of nothing", "ComputeSplits", &computeSplitsRequest{Table: "t"}, invalid("[search index splits options] must not be null")},
		{"splits of no table", "ComputeSplits", &computeSplitsRequest{"x", &splitIndex{"x"}}, invalid("table [x] does not exist")},
	} {
		if diff := cmp.Diff(tc.want, c.try(tc.op, tc.req, nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}
