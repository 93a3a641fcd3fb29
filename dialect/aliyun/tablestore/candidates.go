package tablestore

import (
	"context"
	"iter"
	"slices"

	"github.com/sluicehq/sluice/table"
)

// How many rows are fetched by their keys at a time, how many keys of one way are looked at before another is
// tried, and beyond how many the table is walked.
const (
	fetchedRows   = 200
	firstKeys     = 256
	mostKeys      = 1 << 16
	mostKeysEarly = 1 << 12 // when the first hits are enough
)

// rows goes through the rows among which the hits of a query are, in the order of their keys and after the given
// one, unless it is nil. all tells that every one of them will be wanted.
//
// Of the ways to the hits that postings offer it takes the one with the fewest rows. Rows are read apart from
// their postings: one that has changed meanwhile is as it is now.
func (s *search) rows(ctx context.Context, tables *table.Tables, m *query, after table.Key, all bool) iter.Seq2[table.Row, error] {
	ways := s.lookups(m)
	i := slices.IndexFunc(ways, func(l lookup) bool { return l.ordered() })
	if len(ways) != 1 || i != 0 {
		most := mostKeys
		if !all {
			most = mostKeysEarly
		}
		for limit := firstKeys; limit <= most; limit *= 16 {
			for _, way := range ways {
				keys, whole, err := s.keys(ctx, tables, way, limit)
				if err != nil {
					return func(yield func(table.Row, error) bool) { yield(table.Row{}, err) }
				}
				if whole {
					return s.fetch(ctx, tables, keys, after)
				}
			}
		}
	}
	if i < 0 {
		return s.stream(ctx, tables, span{from: table.Key{least}, to: table.Key{greatest}}, after)
	}
	return s.stream(ctx, tables, ways[i].spans[0], after)
}

// keys are those of the rows that a lookup names, in order; false when there are more than limit.
func (s *search) keys(ctx context.Context, tables *table.Tables, way lookup, limit int) (keys []table.Key, whole bool, err error) {
	keys = slices.Clone(way.keys)
	for _, at := range way.spans {
		rg := at.scan(s.spec)
		for rg.From != nil {
			rg.MaxRows = limit + 1 - len(keys)
			if rg.MaxRows <= 0 {
				return nil, false, nil
			}
			page, err := tables.Scan(ctx, rg)
			if err != nil {
				return nil, false, err
			}
			key := at.keyOf(s.spec)
			for i := range page.Rows {
				keys = append(keys, key(page.Rows[i].Key))
			}
			rg.From = page.Next
		}
	}
	if !way.ordered() {
		slices.SortFunc(keys, table.CompareKeys)
		keys = slices.CompactFunc(keys, func(a, b table.Key) bool { return table.CompareKeys(a, b) == 0 })
	}
	return keys, len(keys) <= limit, nil
}

// scan is the range of a span.
func (at *span) scan(spec *table.Spec) table.Range {
	return table.Range{Table: spec, Index: at.index, From: at.from, To: at.to}
}

// keyOf finds the key of a row in the key of its posting.
func (at *span) keyOf(spec *table.Spec) func(table.Key) table.Key {
	if at.index == "" {
		return func(key table.Key) table.Key { return key }
	}
	cols := spec.IndexColumns(spec.FindIndex(at.index))
	places := make([]int, len(spec.Key))
	for i, k := range spec.Key {
		places[i] = slices.IndexFunc(cols, func(c table.KeyColumn) bool { return c.Name == k.Name })
	}
	return func(posting table.Key) table.Key {
		key := make(table.Key, len(places))
		for i, at := range places {
			key[i] = posting[at]
		}
		return key
	}
}

// stream reads the rows of an ordered span page by page.
func (s *search) stream(ctx context.Context, tables *table.Tables, at span, after table.Key) iter.Seq2[table.Row, error] {
	rg := at.scan(s.spec)
	key := at.keyOf(s.spec)
	if at.index != "" {
		rg.MaxRows = fetchedRows
	}
	if after != nil && at.index == "" {
		rg.From = append(slices.Clone(after), greatest)
	} else if after != nil {
		column := s.spec.FindIndex(at.index).Key[0].Name
		rg.From = slices.Clone(at.from)
		for i, v := range after {
			if s.spec.Key[i].Name != column {
				rg.From = append(rg.From, v)
			}
		}
		rg.From = append(rg.From, greatest)
	}
	return func(yield func(table.Row, error) bool) {
		for rg.From != nil {
			page, err := tables.Scan(ctx, rg)
			if err == nil && at.index != "" {
				keys := make([]table.Key, len(page.Rows))
				for i := range page.Rows {
					keys[i] = key(page.Rows[i].Key)
				}
				page.Rows, err = s.get(ctx, tables, keys)
			}
			if err != nil {
				yield(table.Row{}, err)
				return
			}
			for _, row := range page.Rows {
				if !yield(row, nil) {
					return
				}
			}
			rg.From = page.Next
		}
	}
}

// fetch reads the rows with those keys.
func (s *search) fetch(ctx context.Context, tables *table.Tables, keys []table.Key, after table.Key) iter.Seq2[table.Row, error] {
	if after != nil {
		i, found := slices.BinarySearchFunc(keys, after, table.CompareKeys)
		if found {
			i++
		}
		keys = keys[i:]
	}
	return func(yield func(table.Row, error) bool) {
		for chunk := range slices.Chunk(keys, fetchedRows) {
			rows, err := s.get(ctx, tables, chunk)
			if err != nil {
				yield(table.Row{}, err)
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

// get reads those rows that are still there.
func (s *search) get(ctx context.Context, tables *table.Tables, keys []table.Key) ([]table.Row, error) {
	refs := make([]table.Ref, len(keys))
	for i, key := range keys {
		refs[i] = table.Ref{Table: s.spec, Key: key}
	}
	found, err := tables.GetMany(ctx, refs)
	var rows []table.Row
	for _, row := range found {
		if row != nil {
			rows = append(rows, *row)
		}
	}
	return rows, err
}
