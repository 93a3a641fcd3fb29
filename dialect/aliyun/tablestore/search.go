package tablestore

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/table"
)

// A search walks its table and holds every row against the query. So it is exact and never behind
// the writes, but its time grows with the table, not with the hits.

// What a search returns of rows, limits, and the states of an index.
const (
	returnAll       = 1
	returnSpecified = 2
	returnFromIndex = 4

	defaultHits   = 10
	maxHits       = 1000
	maxOffset     = 10000
	maxIndexes    = 50
	phaseComplete = 2
	stateRunning  = 3
)

// searchIndex is kept in extra.
type searchIndex struct {
	Name    string `json:"name"`
	Schema  []byte `json:"schema"` // as it came
	TTL     int32  `json:"ttl"`    // seconds; echoed
	Created int64  `json:"created"`
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
	if req.Source != "" {
		return nil, invalid("source_index_name is not supported")
	}
	x := searchIndex{Name: req.Index, Schema: req.Schema, TTL: -1, Created: c.Now().UnixMilli()}
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
	for i, f := range schema.Fields {
		if f.Name == "" || slices.ContainsFunc(schema.Fields[:i], func(o fieldSchema) bool { return o.Name == f.Name }) {
			return nil, invalid("field [%s] is empty or duplicated", f.Name)
		}
	}
	_, err := c.alter(ctx, req.Table, func(_ *table.Spec, e *extra) error {
		if e.searchIndex(x.Name) != nil {
			return searchIndexExists(x.Name)
		}
		if len(e.Search) >= maxIndexes {
			return invalid("Number of search indexes exceeds the limit: %d.", maxIndexes)
		}
		e.Search = append(e.Search, x)
		return nil
	})
	return &none{}, err
}

func (c *call) updateSearchIndex(ctx context.Context, req *updateSearchIndexRequest) (*none, error) {
	if req.Switch != "" || req.TTL == nil {
		return nil, invalid("only time_to_live of a search index can be updated")
	}
	if _, err := c.searched(ctx, req.Table); err != nil {
		return nil, err
	}
	_, err := c.alter(ctx, req.Table, func(_ *table.Spec, e *extra) error {
		x := e.searchIndex(req.Index)
		if x == nil {
			return noSearchIndex(req.Index)
		}
		x.TTL = *req.TTL
		return nil
	})
	return &none{}, err
}

func (c *call) deleteSearchIndex(ctx context.Context, req *searchIndexRequest) (*none, error) {
	if _, err := c.searched(ctx, req.Table); err != nil {
		return nil, err
	}
	_, err := c.alter(ctx, req.Table, func(_ *table.Spec, e *extra) error {
		if e.searchIndex(req.Index) == nil {
			return noSearchIndex(req.Index)
		}
		e.Search = slices.DeleteFunc(e.Search, func(x searchIndex) bool { return x.Name == req.Index })
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
		Created: x.Created,
		TTL:     x.TTL,
		Status:  indexStatus{stateRunning},
	}, nil
}

// search is one Search on its way.
type search struct {
	spec    *table.Spec
	fields  []fieldSchema
	matches matcher
	sorters []sorter
	after   *cursor // hits up to this one were on earlier pages
	offset  int
	limit   int
	count   bool
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
	values [][]table.Value
}

func (c *call) search(ctx context.Context, req *searchRequest) (*searchResponse, error) {
	spec, err := c.searched(ctx, req.Table)
	if err != nil {
		return nil, err
	}
	e := extraOf(spec)
	x := e.searchIndex(req.Index)
	if x == nil {
		return nil, noSearchIndex(req.Index)
	}
	var schema indexSchema
	if err := unmarshal(x.Schema, &schema); err != nil {
		return nil, err
	}
	s, err := newSearch(spec, &schema, req.Query)
	if err != nil {
		return nil, err
	}
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
		row := s.shown(&h.row, req.Columns)
		size += row.size()
		resp.Rows = append(resp.Rows, appendRow(appendHeader(nil), row))
	}
	if more && len(hits) > 0 {
		last := hits[len(hits)-1]
		resp.Next, err = json.Marshal(cursor{marshal(&sortMessage{s.sorters}), last.values, last.row.Key})
	}
	resp.Consumed = readUnits(size)
	return resp, err
}

// newSearch reads a SearchQuery.
func newSearch(spec *table.Spec, schema *indexSchema, b []byte) (*search, error) {
	var m searchQuery
	if err := unmarshal(b, &m); err != nil {
		return nil, invalid("Cannot deserialize the request data.")
	}
	if len(m.Aggs) > 0 || len(m.Groups) > 0 || len(m.Collapse) > 0 {
		return nil, invalid("aggregations, group by and collapse are not supported")
	}
	if m.Query == nil {
		return nil, invalid("query is not set")
	}
	s := &search{spec: spec, fields: schema.Fields, offset: int(m.Offset), limit: defaultHits, count: m.Count}
	if m.Limit != nil {
		s.limit = int(*m.Limit)
	}
	switch {
	case s.limit < 0 || s.limit > maxHits:
		return nil, invalid("limit must be in range [0, %d]", maxHits)
	case s.offset < 0 || s.offset+s.limit > maxOffset:
		return nil, invalid("offset + limit must be in range [0, %d]", maxOffset)
	}
	q := &queries{fields: schema.Fields, budget: maxQueries}
	var err error
	if s.matches, err = q.build(m.Query); err != nil {
		return nil, err
	}
	sort := m.Sort
	if sort == nil {
		sort = schema.Sort
	}
	if len(m.Token) > 0 {
		s.after, sort = &cursor{}, &sortMessage{}
		if json.Unmarshal(m.Token, s.after) != nil || unmarshal(s.after.Sort, sort) != nil || len(s.after.Key) != len(spec.Key) {
			return nil, invalid("token is invalid")
		}
		s.offset = 0
	}
	if sort != nil {
		s.sorters = sort.Sorters
	}
	for _, o := range s.sorters {
		if o.Geo != nil {
			return nil, invalid("geo distance sort is not supported")
		}
		if o.Field == nil {
			continue
		}
		if _, err := q.field(o.Field.Field); err != nil {
			return nil, err
		}
		if _, err := variantValue(o.Field.Missing); err != nil && len(o.Field.Missing) > 0 {
			return nil, invalid("missing value of sort by field [%s] is invalid", o.Field.Field)
		}
	}
	for n := len(s.sorters); n > 0 && s.sorters[n-1].idle(); n-- {
		s.sorters = s.sorters[:n-1]
	}
	if s.after != nil && len(s.after.Values) != len(s.sorters) {
		return nil, invalid("token is invalid")
	}
	return s, nil
}

// run walks the table: how many rows match, those of the page in order, and whether there are more.
// It holds no more hits than a page ends at, twice over.
func (s *search) run(ctx context.Context, tables *table.Tables) (total int, hits []hit, more bool, err error) {
	rg := table.Range{Table: s.spec, From: table.Key{{Type: table.Min}}, To: table.Key{{Type: table.Max}}}
	if s.after != nil && len(s.sorters) == 0 && !s.count {
		rg.From = append(slices.Clone(s.after.Key), table.Value{Type: table.Max})
	}
	need := s.offset + s.limit + 1 // one more tells whether there are more
	for {
		page, err := tables.Scan(ctx, rg)
		if err != nil {
			return 0, nil, false, err
		}
		for i := range page.Rows {
			row := &page.Rows[i]
			d := s.document(row)
			if !s.matches(d) {
				continue
			}
			total++
			h := hit{*row, s.sortValues(d)}
			if s.after != nil && s.order(&h, &hit{table.Row{Key: s.after.Key}, s.after.Values}) <= 0 {
				continue
			}
			if hits = append(hits, h); len(hits) >= 2*need {
				hits = s.best(hits, need)
			}
		}
		// In the order of keys the first hits are the best ones.
		if page.Next == nil || len(s.sorters) == 0 && !s.count && len(hits) >= need {
			break
		}
		rg.From = page.Next
	}
	hits = s.best(hits, need)
	more = len(hits) == need
	hits = hits[min(s.offset, len(hits)):min(s.offset+s.limit, len(hits))]
	return total, hits, more, nil
}

// best are the first n hits in order.
func (s *search) best(hits []hit, n int) []hit {
	slices.SortFunc(hits, func(a, b hit) int { return s.order(&a, &b) })
	return hits[:min(n, len(hits))]
}

// document shows a row's fields: columns of the same name, or the sources of a virtual field.
func (s *search) document(row *table.Row) document {
	return func(f *fieldSchema) []table.Value {
		names := []string{f.Name}
		if f.Virtual {
			names = f.Sources
		}
		var values []table.Value
		for _, name := range names {
			if cells := columnsOf(s.spec.Key, row.Key, row)(name); len(cells) > 0 {
				values = append(values, f.of(cells[0].Value)...) // the newest version alone
			}
		}
		return values
	}
}

// sortValues are a row's values for each sorter; none for those that go by key.
func (s *search) sortValues(d document) [][]table.Value {
	values := make([][]table.Value, len(s.sorters))
	for i, o := range s.sorters {
		if o.Field == nil {
			continue
		}
		for _, name := range []string{o.Field.Field, o.Field.MissingField} {
			for j := range s.fields {
				if len(values[i]) == 0 && s.fields[j].Name == name {
					values[i] = o.Field.pick(d(&s.fields[j]))
				}
			}
		}
		if v, err := variantValue(o.Field.Missing); err == nil && len(values[i]) == 0 {
			values[i] = []table.Value{v}
		}
	}
	return values
}

// idle reports whether the sorter changes nothing where keys decide after it.
func (o *sorter) idle() bool {
	return o.Field == nil && (o.Key == nil || o.Key.Order == 0)
}

// pick takes the value by which a row with several is sorted: the least, unless the mode or, without
// one, the descending order asks for the greatest.
func (o *fieldSort) pick(values []table.Value) []table.Value {
	if len(values) < 2 {
		return values
	}
	byValue := func(a, b table.Value) int { n, _ := compareValues(a, b); return n }
	greatest := o.Order == 1
	if o.Mode != nil {
		greatest = *o.Mode == 1
	}
	if greatest {
		return []table.Value{slices.MaxFunc(values, byValue)}
	}
	return []table.Value{slices.MinFunc(values, byValue)}
}

// order compares two hits: by the sorters, rows without a value last, and then by key.
func (s *search) order(a, b *hit) int {
	for i, o := range s.sorters {
		n, descending := 0, false
		switch {
		case o.Field != nil:
			x, y := a.values[i], b.values[i]
			if len(x) == 0 || len(y) == 0 {
				n = len(y) - len(x)
			} else {
				n, _ = compareValues(x[0], y[0])
				descending = o.Field.Order == 1
			}
		case o.Key != nil:
			n, descending = table.CompareKeys(a.row.Key, b.row.Key), o.Key.Order == 1
		}
		if descending {
			n = -n
		}
		if n != 0 {
			return n
		}
	}
	return table.CompareKeys(a.row.Key, b.row.Key)
}

// shown is the part of a row that the search asks for; the key alone unless it says otherwise.
func (s *search) shown(row *table.Row, want *searchColumns) wireRow {
	out := wireRow{Key: keyCells(s.spec.Key, row.Key)}
	if want == nil {
		return out
	}
	for _, c := range row.Columns {
		wanted := want.Type == returnAll
		switch want.Type {
		case returnSpecified:
			wanted = slices.Contains(want.Names, c.Name)
		case returnFromIndex:
			wanted = slices.ContainsFunc(s.fields, func(f fieldSchema) bool { return f.Name == c.Name })
		}
		if wanted {
			out.Cells = append(out.Cells, attributeCell(c.Name, c.Cells[0]))
		}
	}
	return out
}
