package tablestore

import (
	"context"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/table"
)

// A search that names one value of a LONG field reads no more than the rows that have it: every such
// field has an index of the table room, which is kept in the same transaction as the table and which
// clients do not see. Other queries walk the table.

// postingsPrefix begins the names of these indexes; no name of a client's has a colon.
const postingsPrefix = "search:"

// postingsPage is how many rows are read at a time.
const postingsPage = 200

func isPostings(x *table.Index) bool { return strings.HasPrefix(x.Name, postingsPrefix) }

// posted reports whether a field is found by postings.
func posted(spec *table.Spec, f *fieldSchema) bool {
	return f.Type == fieldLong && !f.Array && !f.Virtual && (f.Index == nil || *f.Index) && !hasColumn(spec.Key, f.Name)
}

// post gives the table the postings that its search indexes ask for, and takes those that none does.
func (e *extra) post(spec *table.Spec) {
	wanted := map[string]bool{}
	for _, x := range e.Search {
		var schema indexSchema
		if unmarshal(x.Schema, &schema) != nil {
			continue // it was read when it came
		}
		for i := range schema.Fields {
			if f := &schema.Fields[i]; posted(spec, f) {
				wanted[f.Name] = true
			}
		}
	}
	spec.Indexes = slices.DeleteFunc(spec.Indexes, func(x table.Index) bool {
		name, is := strings.CutPrefix(x.Name, postingsPrefix)
		kept := is && wanted[name]
		delete(wanted, name)
		return is && !kept
	})
	for name := range wanted {
		spec.Indexes = append(spec.Indexes, table.Index{Name: postingsPrefix + name, Key: []table.KeyColumn{{Name: name, Type: table.Int}}})
	}
}

// selected finds one value of a posted field that every hit must have.
func (s *search) selected(m *query) (index string, v table.Value, ok bool) {
	switch m.Type {
	case queryConstScore, queryFunctionScore:
		var w wrappingQuery
		if unmarshal(m.Query, &w) == nil {
			return s.selected(&w.Query)
		}
	case queryBool:
		var b boolQuery
		if unmarshal(m.Query, &b) != nil {
			break
		}
		for _, list := range [][]query{b.Must, b.Filter} {
			for i := range list {
				if index, v, ok = s.selected(&list[i]); ok {
					return index, v, true
				}
			}
		}
	case queryTerm:
		var fq fieldQuery
		if unmarshal(m.Query, &fq) != nil || len(fq.Values) != 1 {
			break
		}
		f := s.queries.fields[fq.Field]
		if f == nil || f.path != "" || !posted(s.spec, &f.fieldSchema) {
			break
		}
		v, err := variantValue(fq.Values[0])
		v = f.coerce(v)
		x := s.spec.FindIndex(postingsPrefix + f.Name)
		return postingsPrefix + f.Name, v, err == nil && v.Type == table.Int && x != nil && !x.Building
	}
	return "", table.Value{}, false
}

// candidates reads a page of the rows among which the hits are, in the order of their keys, from
// rg.From on. Postings are read apart from their rows, so a row that has changed meanwhile is as it is now.
func (s *search) candidates(ctx context.Context, tables *table.Tables, rg table.Range) (table.Page, error) {
	page, err := tables.Scan(ctx, rg)
	if err != nil || rg.Index == "" {
		return page, err
	}
	refs := make([]table.Ref, len(page.Rows))
	for i, r := range page.Rows {
		refs[i] = table.Ref{Table: s.spec, Key: r.Key[1:]} // the field's value comes first
	}
	page.Rows = nil
	rows, err := tables.GetMany(ctx, refs)
	for _, row := range rows {
		if row != nil {
			page.Rows = append(page.Rows, *row)
		}
	}
	return page, err
}

// start is the range of the candidates; after the given key, unless it is nil.
func (s *search) start(after table.Key) table.Range {
	rg := table.Range{Table: s.spec, From: table.Key{{Type: table.Min}}, To: table.Key{{Type: table.Max}}}
	if index, v, ok := s.selected(s.query); ok {
		rg.Index, rg.MaxRows = index, postingsPage
		rg.From, rg.To = table.Key{v, {Type: table.Min}}, table.Key{v, {Type: table.Max}}
	}
	if after != nil {
		rg.From = append(append(rg.From[:len(rg.From)-1:len(rg.From)-1], after...), table.Value{Type: table.Max})
	}
	return rg
}
