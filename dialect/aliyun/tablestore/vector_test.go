package tablestore

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func vectorField(name string, metric int32) fieldSchema {
	return fieldSchema{Name: name, Type: fieldVector, Vector: &vectorOptions{vectorFloat32, 2, metric}}
}

var byScore = &sortMessage{[]sorter{{Score: &scoreSort{}}}}

// compass is a table of vectors of two dimensions.
func compass(t *testing.T) *client {
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, anyText)
	schema := indexSchema{Fields: []fieldSchema{
		vectorField("away", metricEuclidean), vectorField("angle", metricCosine), vectorField("dot", metricDot), {Name: "n", Type: fieldLong},
		{Name: "id", Type: fieldKeyword},
	}}
	c.do("CreateSearchIndex", &createSearchIndexRequest{Table: "t", Index: "books", Schema: marshal(&schema)}, nil)
	for id, v := range map[string]string{"a": "[0,1]", "b": "[0, 2.5]", "c": "[3,0]", "d": "[-1,0]", "e": "[1,2,3]", "f": "north", "g": "[0,0]"} {
		c.do("PutRow", put(ignore, wireRow{Key: []cell{textCell("id", id)}, Cells: []cell{
			textCell("angle", v), textCell("away", v), textCell("dot", v), intCell("n", int64(id[0]-'a')),
		}}), nil)
	}
	c.do("PutRow", put(ignore, wireRow{Key: []cell{textCell("id", "z")}}), nil)
	return c
}

func TestTheNearestVectorsAreFound(t *testing.T) {
	t.Parallel()
	c := compass(t)
	near := func(field string, top int32, filter *query) query {
		return queryOf(queryVector, &vectorQuery{Field: field, Top: &top, Vector: []float32{0, 2}, Filter: filter})
	}
	odd := queryOf(queryTerms, &fieldQuery{"n", [][]byte{variantBytes(intValue(1)), variantBytes(intValue(3))}})
	some := near("away", 2, nil)
	far := queryOf(queryVector, &vectorQuery{Field: "away", Top: new(int32(9)), Vector: []float32{0, 2}, Min: new(float32(0.3))})
	for _, tc := range []struct {
		name string
		q    query
		want string
	}{
		{"by distance", near("away", 3, nil), "b=0.8 a=0.5 g=0.2"},
		{"by angle", near("angle", 4, nil), "a=1 b=1 c=0.5 d=0.5"},
		{"by product", near("dot", 3, nil), "b=6 a=3 c=1"},
		{"among some", near("away", 3, &odd), "b=0.8 d=0.167"},
		{"not too far", far, "b=0.8 a=0.5"},
		{"and something else", queryOf(queryBool, &boolQuery{Must: []query{some, term("n", intValue(0))}}), "a=1.5"},
		{"or something else", queryOf(queryBool, &boolQuery{Should: []query{some, term("n", intValue(4))}}), "e=1 b=0.8 a=0.5"},
		{"twice", queryOf(queryBool, &boolQuery{Should: []query{some, some}}), "b=1.6 a=1"},
	} {
		var resp searchResponse
		c.do("Search", &searchRequest{Table: "t", Index: "books", Query: marshal(&searchQuery{Query: &tc.q, Sort: byScore})}, &resp)
		got := ""
		for i, b := range resp.Rows {
			got += fmt.Sprintf(" %s=%.3g", c.rows(b)[0].Key[0].Value.Str, *resp.Hits[i].Score)
		}
		if diff := cmp.Diff(tc.want, strings.TrimSpace(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestTheNearestOfManyAreThoseOfASortedList keeps no more than twice as many as it looks for.
func TestTheNearestOfManyAreThoseOfASortedList(t *testing.T) {
	t.Parallel()
	c := compass(t)
	rnd := rand.New(rand.NewPCG(5, 6))
	f := vectorField("away", metricEuclidean)
	type place struct {
		id    string
		score float64
	}
	var all []place
	for at := 0; at < 600; at += 200 {
		var rows []batchWriteRow
		for i := at; i < at+200; i++ {
			v := []float32{rnd.Float32() + 50, rnd.Float32() + 50}
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			id := fmt.Sprintf("x%03d", i)
			score, _ := f.similarity([]float32{50.5, 50.5}, v)
			all = append(all, place{id, score})
			rows = append(rows, batchWriteRow{Type: writePut, Row: plainRow(wireRow{Key: []cell{textCell("id", id)}, Cells: []cell{textCell("away", string(b))}})})
		}
		c.do("BatchWriteRow", &batchWriteRequest{Tables: []batchWriteTable{{"t", rows}}}, nil)
	}
	slices.SortFunc(all, func(a, b place) int {
		if a.score > b.score {
			return -1
		}
		return 1
	})
	want := ""
	for _, p := range all[:25] {
		want += p.id
	}
	q := queryOf(queryVector, &vectorQuery{Field: "away", Top: new(int32(25)), Vector: []float32{50.5, 50.5}})
	if got, total, _ := c.found(searchQuery{Query: &q, Limit: new(int32(100)), Count: true, Sort: byScore}); got != want || total != 25 {
		t.Errorf("%d found: %s, want %s", total, got, want)
	}
}

func TestVectorFaults(t *testing.T) {
	t.Parallel()
	c := compass(t)
	near := func(field string, top int32, v ...float32) *searchRequest {
		q := queryOf(queryVector, &vectorQuery{Field: field, Top: &top, Vector: v})
		return &searchRequest{Table: "t", Index: "books", Query: marshal(&searchQuery{Query: &q})}
	}
	create := func(o *vectorOptions) *createSearchIndexRequest {
		return &createSearchIndexRequest{Table: "t", Index: "i", Schema: marshal(&indexSchema{Fields: []fieldSchema{{Name: "v", Type: fieldVector, Vector: o}}})}
	}
	bad := invalid("vector options of field [v] are invalid: the dimension must be in range [1, 4096]")
	for _, tc := range []faultCase{
		{"a number", "Search", near("n", 1, 0, 1), invalid("field [n] is not a vector")},
		{"nothing", "Search", near("x", 1, 0, 1), invalid("field [x] is not indexed")},
		{"another space", "Search", near("away", 1, 0, 1, 2), invalid("the query vector of field [away] has 3 dimensions, not 2")},
		{"none", "Search", near("away", 0, 0, 1), invalid("top_k must be in range [1, 1000]")},
		{"too many", "Search", near("away", 1001, 0, 1), invalid("top_k must be in range [1, 1000]")},
		{"no options", "CreateSearchIndex", create(nil), bad},
		{"no dimension", "CreateSearchIndex", create(&vectorOptions{vectorFloat32, 0, 0}), bad},
		{"no such metric", "CreateSearchIndex", create(&vectorOptions{vectorFloat32, 2, 3}), bad},
		{"no such numbers", "CreateSearchIndex", create(&vectorOptions{1, 2, 0}), bad},
	} {
		if diff := cmp.Diff(tc.want, c.try(tc.op, tc.req, nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestWeightsAndTheBestOfSeveralQueriesScore(t *testing.T) {
	t.Parallel()
	c := compass(t)
	weighted := func(weight float32, id string) query {
		type heavy struct {
			Field  string  `pb:"1"`
			Value  []byte  `pb:"2"`
			Weight float32 `pb:"3"`
		}
		return queryOf(queryTerm, &heavy{"id", variantBytes(textValue(id)), weight})
	}
	low, high := weighted(2, "a"), queryOf(queryTerms, &fieldQuery{"id", [][]byte{variantBytes(textValue("a")), variantBytes(textValue("b"))}})
	for _, tc := range []struct {
		name string
		q    query
		want string
	}{
		{"weight", queryOf(queryBool, &boolQuery{Should: []query{weighted(0.5, "a"), weighted(3, "c"), weighted(1, "b")}}), "c=3 b=1 a=0.5"},
		{"the best", queryOf(queryDisMax, &disMaxQuery{Queries: []query{low, high}}), "a=2 b=1"},
		{"the best and a part of the rest", queryOf(queryDisMax, &disMaxQuery{[]query{low, high}, new(float32(0.5))}), "a=2.5 b=1"},
		{"two thirds of the queries", queryOf(queryBool, &boolQuery{Should: []query{low, high, term("n", intValue(1))}, Share: "67%"}), "a=3 b=2"},
		{"all but one", queryOf(queryBool, &boolQuery{Should: []query{low, high}, Share: "-1"}), "a=3 b=1"},
	} {
		var resp searchResponse
		c.do("Search", &searchRequest{Table: "t", Index: "books", Query: marshal(&searchQuery{Query: &tc.q, Sort: byScore})}, &resp)
		got := ""
		for i, b := range resp.Rows {
			got += fmt.Sprintf(" %s=%.3g", c.rows(b)[0].Key[0].Value.Str, *resp.Hits[i].Score)
		}
		if diff := cmp.Diff(tc.want, strings.TrimSpace(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestObjectsInJSONAreSearchedAsAWholeUnlessTheyNest(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, anyText)
	properties := []fieldSchema{{Name: "kind", Type: fieldKeyword}, {Name: "n", Type: fieldLong}}
	schema := indexSchema{Fields: []fieldSchema{{Name: "flat", Type: fieldJSON, Fields: properties, JSON: 1}, {Name: "nests", Type: fieldJSON, Fields: properties, JSON: jsonNested}}}
	c.do("CreateSearchIndex", &createSearchIndexRequest{Table: "t", Index: "books", Schema: marshal(&schema)}, nil)
	for id, text := range map[string]string{"a": `{"kind":"x","n":1}`, "b": `[{"kind":"x","n":1},{"kind":"y","n":2}]`} {
		c.do("PutRow", put(ignore, wireRow{Key: []cell{textCell("id", id)}, Cells: []cell{textCell("flat", text), textCell("nests", text)}}), nil)
	}
	both := func(of string) query {
		return queryOf(queryBool, &boolQuery{Must: []query{term(of+".kind", textValue("x")), term(of+".n", intValue(2))}})
	}
	for _, tc := range []struct {
		q    query
		want string
	}{
		{both("flat"), "b"},
		{term("flat.n", intValue(1)), "ab"},
		{queryOf(queryNested, &nestedQuery{Path: "nests", Query: both("nests")}), ""},
		{queryOf(queryNested, &nestedQuery{Path: "nests", Query: term("nests.kind", textValue("y"))}), "b"},
	} {
		if got, _, _ := c.found(searchQuery{Query: &tc.q}); got != tc.want {
			t.Errorf("found %q, want %q", got, tc.want)
		}
	}
	flat := queryOf(queryNested, &nestedQuery{Path: "flat", Query: both("flat")})
	if diff := cmp.Diff(invalid("nested path [flat] does not exist"), c.try("Search", &searchRequest{Table: "t", Index: "books", Query: marshal(&searchQuery{Query: &flat})}, nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
