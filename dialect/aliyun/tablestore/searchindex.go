package tablestore

import (
	"context"
	"slices"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/table"
)

// Limits of search indexes, and their state.
const (
	maxIndexes    = 50
	maxNesting    = 5
	phaseComplete = 2
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
