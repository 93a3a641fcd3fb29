package tablestore

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/table"
)

// A search holds rows against the query: those that postings name, or else all of the table. So it is exact and
// never behind the writes, but without postings its time grows with the table, not with the hits.

// What a search returns of rows, limits, and the states of an index.
const (
	returnAll       = 1
	returnSpecified = 2
	returnFromIndex = 4

	defaultHits   = 10
	maxHits       = 1000
	maxOffset     = 10000
	maxIndexes    = 50
	maxNesting    = 5
	phaseComplete = 2
	searchTime    = 30 * time.Second
	reindexSuffix = "_reindex"
	stateRunning  = 3
)

// searchIndex is kept in extra.
type searchIndex struct {
	Name    string `json:"name"`
	Schema  []byte `json:"schema"` // as it came
	TTL     int32  `json:"ttl"`    // seconds; echoed
	Created int64  `json:"created"`

	Source  string       `json:"source,omitempty"`  // the index whose schema this one shall replace
	Weights []flowWeight `json:"weights,omitempty"` // how queries are shared with that other one
}

func (e *extra) searchIndex(name string) *searchIndex {
	for i := range e.Search {
		if e.Search[i].Name == name {
			return &e.Search[i]
		}
	}
	return nil
}

// searched finds a table in the words of the search operations.
func (c *call) searched(ctx context.Context, name string) (*table.Spec, error) {
	spec, err := c.lookup(ctx, name)
	if sluice.KindOf(err) == sluice.Missing {
		err = invalid("table [%s] does not exist", name)
	}
	return spec, err
}

func (c *call) createSearchIndex(ctx context.Context, req *createSearchIndexRequest) (*none, error) {
	if err := checkTableName(req.Index); err != nil {
		return nil, err
	}
	if _, err := c.searched(ctx, req.Table); err != nil {
		return nil, err
	}
	if req.Source != "" && req.Index != req.Source+reindexSuffix {
		return nil, invalid("index of source [%s] must be named [%s]", req.Source, req.Source+reindexSuffix)
	}
	x := searchIndex{Name: req.Index, Schema: req.Schema, TTL: -1, Created: c.Now().UnixMilli(), Source: req.Source}
	if req.TTL != nil {
		x.TTL = *req.TTL
	}
	var schema indexSchema
	if err := unmarshal(req.Schema, &schema); err != nil || len(schema.Fields) == 0 {
		return nil, invalid("schema of search index [%s] has no fields", req.Index)
	}
	nested := slices.ContainsFunc(schema.Fields, func(f fieldSchema) bool { return f.Type == fieldNested })
	if schema.Sort == nil && !nested {
		// Messages that follow each other are one; this is the order that clients expect to see.
		x.Schema = append(x.Schema, marshal(&indexSchema{Sort: &sortMessage{[]sorter{{Key: &orderOnly{}}}}})...)
	}
	if err := checkFields(schema.Fields, 1); err != nil {
		return nil, err
	}
	_, err := c.alter(ctx, req.Table, func(spec *table.Spec, e *extra) error {
		if e.searchIndex(x.Name) != nil {
			return searchIndexExists(x.Name)
		}
		if len(e.Search) >= maxIndexes {
			return invalid("Number of search indexes exceeds the limit: %d.", maxIndexes)
		}
		if x.Source != "" && e.searchIndex(x.Source) == nil {
			return noSearchIndex(x.Source)
		}
		e.Search = append(e.Search, x)
		e.post(spec)
		return nil
	})
	return &none{}, err
}

func (c *call) updateSearchIndex(ctx context.Context, req *updateSearchIndexRequest) (*none, error) {
	if req.Switch == "" && req.TTL == nil && len(req.Weights) == 0 {
		return nil, invalid("nothing of search index [%s] is updated", req.Index)
	}
	if _, err := c.searched(ctx, req.Table); err != nil {
		return nil, err
	}
	_, err := c.alter(ctx, req.Table, func(_ *table.Spec, e *extra) error {
		x := e.searchIndex(req.Index)
		if x == nil {
			return noSearchIndex(req.Index)
		}
		if req.TTL != nil {
			x.TTL = *req.TTL
		}
		return e.exchange(x, req)
	})
	return &none{}, err
}

// exchange shares the queries of an index with the one that shall replace it, or switches the two.
func (e *extra) exchange(x *searchIndex, req *updateSearchIndexRequest) error {
	if req.Switch == "" && len(req.Weights) == 0 {
		return nil
	}
	other := e.searchIndex(e.brother(x))
	if other == nil || other.Source != x.Name || req.Switch != "" && req.Switch != other.Name {
		return invalid("search index [%s] can not be switched with [%s]", x.Name, req.Switch)
	}
	sum := int32(0)
	for _, w := range req.Weights {
		if w.Weight < 0 || w.Index != x.Name && w.Index != other.Name {
			sum = -1
			break
		}
		sum += w.Weight
	}
	if len(req.Weights) > 0 && sum != 100 {
		return invalid("query flow weights must be of the two indexes and add up to 100")
	}
	x.Weights = req.Weights
	if req.Switch != "" {
		x.Schema, other.Schema = other.Schema, x.Schema
		x.Weights = nil
	}
	return nil
}

// brother is the name of the index that an index is to replace, or to be replaced by; "" when there is none.
func (e *extra) brother(x *searchIndex) string {
	for _, o := range e.Search {
		if o.Name == x.Source || o.Source == x.Name {
			return o.Name
		}
	}
	return ""
}

func (c *call) deleteSearchIndex(ctx context.Context, req *searchIndexRequest) (*none, error) {
	if _, err := c.searched(ctx, req.Table); err != nil {
		return nil, err
	}
	_, err := c.alter(ctx, req.Table, func(spec *table.Spec, e *extra) error {
		if e.searchIndex(req.Index) == nil {
			return noSearchIndex(req.Index)
		}
		e.Search = slices.DeleteFunc(e.Search, func(x searchIndex) bool { return x.Name == req.Index })
		e.post(spec)
		return nil
	})
	return &none{}, err
}

func (c *call) listSearchIndex(ctx context.Context, req *listSearchIndexRequest) (*listSearchIndexResponse, error) {
	specs, err := c.Tables.List(ctx, c.instance)
	if err != nil {
		return nil, err
	}
	resp := &listSearchIndexResponse{}
	for _, spec := range specs {
		if req.Table != "" && req.Table != spec.Name {
			continue
		}
		for _, x := range extraOf(spec).Search {
			resp.Indexes = append(resp.Indexes, searchIndexRequest{spec.Name, x.Name})
		}
	}
	return resp, nil
}

func (c *call) describeSearchIndex(ctx context.Context, req *searchIndexRequest) (*describeSearchIndexResponse, error) {
	spec, err := c.searched(ctx, req.Table)
	if err != nil {
		return nil, err
	}
	e := extraOf(spec)
	x := e.searchIndex(req.Index)
	if x == nil {
		return nil, noSearchIndex(req.Index)
	}
	return &describeSearchIndexResponse{
		Schema:  x.Schema,
		Sync:    syncStat{phaseComplete, c.Now().UnixNano()},
		Brother: e.brother(x),
		Weights: x.Weights,
		Created: x.Created,
		TTL:     x.TTL,
		Status:  indexStatus{stateRunning},
	}, nil
}

// checkFields checks the fields of an index, or of a nested field.
func checkFields(fields []fieldSchema, depth int) error {
	if depth > maxNesting {
		return invalid("nested fields are deeper than %d", maxNesting)
	}
	for i, f := range fields {
		if f.Name == "" || slices.ContainsFunc(fields[:i], func(o fieldSchema) bool { return o.Name == f.Name }) {
			return invalid("field [%s] is empty or duplicated", f.Name)
		}
		if f.Type == fieldVector {
			if err := f.checkVector(); err != nil {
				return err
			}
		}
		if err := checkFields(f.Fields, depth+1); err != nil {
			return err
		}
	}
	return nil
}

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
