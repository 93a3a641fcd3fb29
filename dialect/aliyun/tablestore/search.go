package tablestore

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sluicehq/sluice/table"
)

// A search holds rows against the query: those that postings name, or else all of the table. So it is exact and
// never behind the writes, but without postings its time grows with the table, not with the hits.

// What a search returns of rows, and its limits.
const (
	returnAll       = 1
	returnSpecified = 2
	returnFromIndex = 4

	defaultHits = 10
	maxHits     = 1000
	maxOffset   = 10000
	searchTime  = 30 * time.Second
)

// search is one Search or ParallelScan on its way.
type search struct {
	spec     *table.Spec
	queries  *queries
	query    *query
	matches  matcher
	columns  *searchColumns
	order    *ordering
	after    *cursor // hits up to this one were on earlier pages
	collapse *field  // only the best hit of each of its values is shown
	offset   int
	limit    int
	count    bool
	summary  *summary // nil when nothing is to be summed up

	highlighter *highlighter // nil when nothing is to be shown
	inner       []innerPlan
}

// cursor is where a page ended; it travels in tokens.
type cursor struct {
	Sort   []byte // the sortMessage of the first page, which later pages do not repeat
	Values [][]table.Value
	Key    table.Key
}

// hit is a row that matches, with the values of its sorters.
type hit struct {
	row    table.Row
	doc    *document
	offset int // of an inner hit among the elements of its nested field
	score  float64
	values [][]table.Value
}

// openSearch finds an index and reads its schema.
func (c *call) openSearch(ctx context.Context, tableName, index string) (*search, *indexSchema, error) {
	spec, err := c.searched(ctx, tableName)
	if err != nil {
		return nil, nil, err
	}
	e := extraOf(spec)
	x := e.searchIndex(index)
	if x == nil {
		return nil, nil, noSearchIndex(index)
	}
	if len(x.Weights) > 0 {
		at := rand.Int32N(100)
		for _, w := range x.Weights {
			if other := e.searchIndex(w.Index); at < w.Weight && other != nil {
				x = other
				break
			}
			at -= w.Weight
		}
	}
	schema := &indexSchema{}
	if err := unmarshal(x.Schema, schema); err != nil {
		return nil, nil, err
	}
	return &search{spec: spec, queries: &queries{fields: newFields(schema.Fields), budget: maxQueries}}, schema, nil
}

func (c *call) search(ctx context.Context, req *searchRequest) (*searchResponse, error) {
	s, schema, err := c.openSearch(ctx, req.Table, req.Index)
	if err != nil {
		return nil, err
	}
	s.columns = req.Columns
	if err := s.read(schema, req.Query); err != nil {
		return nil, err
	}
	limit := searchTime
	if req.Timeout != nil && *req.Timeout > 0 {
		limit = min(limit, time.Duration(*req.Timeout)*time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	total, hits, more, err := s.run(ctx, c.Tables)
	if err != nil {
		return nil, err
	}
	resp := &searchResponse{Total: -1, All: true}
	if s.count {
		resp.Total = int64(total)
	}
	size := 0
	for _, h := range hits {
		row := s.shown(&h.row)
		size += row.size()
		resp.Rows = append(resp.Rows, appendRow(appendHeader(nil), row))
		if s.order.scored || s.highlighter != nil || s.inner != nil {
			resp.Hits = append(resp.Hits, messageOf(&h, s.highlighter, s.inner))
		}
	}
	if more && len(hits) > 0 && s.collapse == nil {
		last := hits[len(hits)-1]
		resp.Next, err = json.Marshal(cursor{marshal(&sortMessage{s.order.sorters}), last.values, last.row.Key})
	}
	if aggs, groups := s.summary.results(); aggs != nil || groups != nil {
		if aggs != nil {
			resp.Aggs = marshal(aggs)
		}
		if groups != nil {
			resp.Groups = marshal(groups)
		}
	}
	resp.Consumed = readUnits(size)
	return resp, err
}

// read reads a SearchQuery.
func (s *search) read(schema *indexSchema, b []byte) error {
	var m searchQuery
	if err := unmarshal(b, &m); err != nil {
		return invalid("Cannot deserialize the request data.")
	}
	if m.Query == nil {
		return invalid("query is not set")
	}
	s.offset, s.limit, s.count = int(m.Offset), defaultHits, m.Count
	if m.Limit != nil {
		s.limit = int(*m.Limit)
	}
	switch {
	case s.limit < 0 || s.limit > maxHits:
		return invalid("limit must be in range [0, %d]", maxHits)
	case s.offset < 0 || s.offset+s.limit > maxOffset:
		return invalid("offset + limit must be in range [0, %d]", maxOffset)
	}
	var err error
	s.query = m.Query
	if s.matches, err = s.queries.build(m.Query); err != nil {
		return err
	}
	s.inner = s.queries.inner
	s.queries.denied++ // what sorts and sums look for is not shown
	if s.highlighter, err = s.queries.highlighter(m.Highlight); err != nil {
		return err
	}
	if m.Collapse != nil {
		if len(m.Token) > 0 {
			return invalid("collapse can not be used with token")
		}
		if s.collapse, err = s.measurable("collapse", m.Collapse.Field); err != nil {
			return err
		}
	}
	sort := m.Sort
	if sort == nil {
		sort = schema.Sort
	}
	if sort == nil && s.queries.scored {
		sort = &sortMessage{[]sorter{{Score: &scoreSort{}}}}
	}
	if len(m.Token) > 0 {
		s.after, sort = &cursor{}, &sortMessage{}
		if json.Unmarshal(m.Token, s.after) != nil || unmarshal(s.after.Sort, sort) != nil || len(s.after.Key) != len(s.spec.Key) {
			return invalid("token is invalid")
		}
		s.offset = 0
	}
	if s.order, err = s.queries.ordering(sort); err != nil {
		return err
	}
	if s.after != nil && len(s.after.Values) != len(s.order.sorters) {
		return invalid("token is invalid")
	}
	left := maxSummarized
	plan, err := s.summarize(m.Aggs, m.Groups, 0, &left)
	s.summary = plan.start()
	return err
}

// run goes through the candidates: how many rows match, those of the page in order, and whether there are more.
// It holds no more hits than a page ends at, twice over.
func (s *search) run(ctx context.Context, tables *table.Tables) (total int, hits []hit, more bool, err error) {
	// In the order of keys the first hits are the best ones, unless there is more to find out.
	whole := len(s.order.sorters) > 0 || s.count || s.summary != nil || s.collapse != nil
	var from table.Key
	if s.after != nil && !whole {
		from = s.after.Key
	}
	if err := s.findNearest(ctx, tables); err != nil {
		return 0, nil, false, err
	}
	need := s.offset + s.limit + 1 // one more tells whether there are more
	for row, err := range s.rows(ctx, tables, s.query, from, whole) {
		if err != nil {
			return 0, nil, false, err
		}
		h := hit{row: row, doc: s.document(&row)}
		var ok bool
		if h.score, ok = s.matches(h.doc); !ok {
			continue
		}
		h.score = finite(h.score) // JSON has no infinity
		total++
		if err := s.summary.add(&h); err != nil {
			return 0, nil, false, err
		}
		h.values = s.order.values(&h)
		if s.after != nil && s.order.compare(&h, &hit{row: table.Row{Key: s.after.Key}, values: s.after.Values}) <= 0 {
			continue
		}
		if hits = append(hits, h); len(hits) >= 2*need {
			hits = s.best(hits, need)
		}
		if !whole && len(hits) >= need {
			break
		}
	}
	hits = s.best(hits, need)
	more = len(hits) == need
	hits = hits[min(s.offset, len(hits)):min(s.offset+s.limit, len(hits))]
	return total, hits, more, nil
}

// best are the first n hits in order, of those that collapse into one the first.
func (s *search) best(hits []hit, n int) []hit {
	if s.collapse == nil {
		return s.order.best(hits, n)
	}
	hits = s.order.best(hits, len(hits))
	seen := map[string]bool{}
	hits = slices.DeleteFunc(hits, func(h hit) bool {
		var id []byte
		for _, v := range h.doc.values(s.collapse) {
			id = appendVariant(id, variantOf(v.Type), v)
		}
		again := seen[string(id)]
		seen[string(id)] = true
		return again
	})
	return hits[:min(n, len(hits))]
}

// document is a row as the queries see it.
func (s *search) document(row *table.Row) *document {
	return &document{fields: s.queries.fields, key: row.Key, columns: columnsOf(s.spec.Key, row.Key, row)}
}

// shown is the part of a row that the search asks for; the key alone unless it says otherwise.
func (s *search) shown(row *table.Row) wireRow {
	out := wireRow{Key: keyCells(s.spec.Key, row.Key)}
	want := s.columns
	if want == nil {
		return out
	}
	for _, c := range row.Columns {
		wanted := want.Type == returnAll
		switch want.Type {
		case returnSpecified:
			wanted = slices.Contains(want.Names, c.Name)
		case returnFromIndex:
			wanted = s.queries.fields[c.Name] != nil
		}
		if wanted {
			out.Cells = append(out.Cells, attributeCell(c.Name, c.Cells[0]))
		}
	}
	return out
}
