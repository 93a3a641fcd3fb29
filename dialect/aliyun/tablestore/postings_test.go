package tablestore

import (
	"fmt"
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
	if diff := cmp.Diff([]string{"search:year"}, names()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	other := indexSchema{Fields: []fieldSchema{{Name: "year", Type: fieldLong}, {Name: "pages", Type: fieldLong}}}
	c.do("CreateSearchIndex", &createSearchIndexRequest{Table: "t", Index: "other", Schema: marshal(&other)}, nil)
	var d describeTableResponse
	c.do("DescribeTable", &tableRequest{"t"}, &d)
	if len(d.Indexes) > 0 {
		t.Errorf("clients see %+v", d.Indexes)
	}
	if diff := cmp.Diff(faultMissing, c.try("DropIndex", &dropIndexRequest{"t", "search:year"}, nil)); diff != "" {
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

func TestOnlyWholeValuesAreLookedUp(t *testing.T) {
	t.Parallel()
	spec := &table.Spec{
		Key:     []table.KeyColumn{{Name: "id", Type: table.Int}},
		Indexes: []table.Index{{Name: "search:n"}, {Name: "search:new", Building: true}},
	}
	s := &search{spec: spec, queries: &queries{fields: newFields([]fieldSchema{
		{Name: "n", Type: fieldLong}, {Name: "new", Type: fieldLong}, {Name: "id", Type: fieldLong}, {Name: "list", Type: fieldLong, Array: true},
	})}}
	n := term("n", intValue(7))
	for _, tc := range []struct {
		name string
		q    query
		want bool
	}{
		{"a value", n, true},
		{"a value as text", term("n", textValue("7")), true},
		{"a value that every hit must have", queryOf(queryBool, &boolQuery{Must: []query{all(), queryOf(queryConstScore, &wrappingQuery{Query: n})}}), true},
		{"a value that hits may have", queryOf(queryBool, &boolQuery{Should: []query{n}}), false},
		{"a value that no hit has", queryOf(queryBool, &boolQuery{MustNot: []query{n}}), false},
		{"a float", term("n", floatValue(7)), false},
		{"one of several", queryOf(queryTerms, &fieldQuery{"n", [][]byte{variantBytes(intValue(7))}}), false},
		{"a key column", term("id", intValue(7)), false},
		{"an array", term("list", intValue(7)), false},
		{"a field whose postings are not complete", term("new", intValue(7)), false},
	} {
		if _, v, ok := s.selected(&tc.q); ok != tc.want || ok && v.Int != 7 {
			t.Errorf("%s: %v of %v", tc.name, ok, v)
		}
	}
}
