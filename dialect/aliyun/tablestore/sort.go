package tablestore

import (
	"math"
	"slices"

	"github.com/sluicehq/sluice/table"
)

// ordering is how hits are sorted: by its sorters, and then by key.
type ordering struct {
	sorters []sorter
	sources []sortSource // of the sorters
	scored  bool         // hits are sorted, or found, by their score
}

// sortSource finds the values by which a sorter sorts a hit; nil for one that goes by key.
type sortSource func(h *hit) []table.Value

// ordering reads a Sort.
func (q *queries) ordering(sort *sortMessage) (*ordering, error) {
	o := &ordering{scored: q.scored}
	if sort == nil {
		return o, nil
	}
	o.sorters = sort.Sorters
	for n := len(o.sorters); n > 0 && o.sorters[n-1].idle(); n-- {
		o.sorters = o.sorters[:n-1]
	}
	for i := range o.sorters {
		var source sortSource
		var err error
		switch m := &o.sorters[i]; {
		case m.Field != nil:
			source, err = q.byField(m.Field)
		case m.Geo != nil:
			source, err = q.byDistance(m.Geo)
		case m.Score != nil:
			o.scored = true
			source = func(h *hit) []table.Value { return []table.Value{{Type: table.Float, Float: h.score}} }
		}
		if err != nil {
			return nil, err
		}
		o.sources = append(o.sources, source)
	}
	return o, nil
}

// idle reports whether the sorter changes nothing where keys decide after it.
func (o *sorter) idle() bool {
	return o.Field == nil && o.Geo == nil && o.Score == nil && (o.Key == nil || o.Key.Order == 0) && (o.Doc == nil || o.Doc.Order == 0)
}

// occurrences finds the values of a field, of those elements only that a filter lets pass.
func (q *queries) occurrences(f *field, m *nestedFilter) (func(d *document) []table.Value, error) {
	if m == nil {
		return func(d *document) []table.Value { return d.values(f) }, nil
	}
	nested := q.fields[m.Path]
	if nested == nil || !nested.nests() {
		return nil, invalid("nested path [%s] does not exist", m.Path)
	}
	filter, err := q.build(&m.Query)
	if err != nil {
		return nil, err
	}
	return func(d *document) (values []table.Value) {
		for _, e := range d.elements(nested) {
			if _, ok := filter(e); ok {
				values = append(values, e.values(f)...)
			}
		}
		return values
	}, nil
}

func (q *queries) byField(m *fieldSort) (sortSource, error) {
	f, err := q.field(m.Field)
	if err != nil {
		return nil, err
	}
	values, err := q.occurrences(f, m.Filter)
	if err != nil {
		return nil, err
	}
	var missing []table.Value
	if len(m.Missing) > 0 {
		v, err := variantValue(m.Missing)
		if err != nil || math.IsInf(v.Float, 0) || math.IsNaN(v.Float) {
			return nil, invalid("missing value of sort by field [%s] is invalid", m.Field)
		}
		missing = []table.Value{v}
	}
	other := q.fields[m.MissingField]
	return func(h *hit) []table.Value {
		found := pick(values(h.doc), m.Mode, m.Order)
		if len(found) == 0 && other != nil {
			found = pick(h.doc.values(other), m.Mode, m.Order)
		}
		if len(found) == 0 {
			return missing
		}
		return found
	}, nil
}

func (q *queries) byDistance(m *geoSort) (sortSource, error) {
	f, err := q.geoField(m.Field)
	if err != nil {
		return nil, err
	}
	from, err := parsePoints(m.Points)
	if err == nil && len(from) == 0 {
		err = invalid("geo distance sort by field [%s] has no points", m.Field)
	}
	if err != nil {
		return nil, err
	}
	values, err := q.occurrences(f, m.Filter)
	return func(h *hit) []table.Value { return pick(distances(values(h.doc), from), m.Mode, m.Order) }, err
}

// pick takes the value by which a row with several is sorted: the least, unless the mode or, without
// one, the descending order asks for the greatest, or the mode for the average.
func pick(values []table.Value, mode *int32, order int32) []table.Value {
	if len(values) < 2 {
		return values
	}
	kind := order
	if mode != nil {
		kind = *mode
	}
	byValue := func(a, b table.Value) int { n, _ := compareValues(a, b); return n }
	if all := numbers(values); kind == 2 && len(all) > 0 {
		return []table.Value{{Type: table.Float, Float: joinScores(scoreAvg, all)}}
	}
	if kind == 1 {
		return []table.Value{slices.MaxFunc(values, byValue)}
	}
	return []table.Value{slices.MinFunc(values, byValue)}
}

// values are a hit's values for each sorter.
func (o *ordering) values(h *hit) [][]table.Value {
	values := make([][]table.Value, len(o.sources))
	for i, source := range o.sources {
		if source != nil {
			values[i] = source(h)
		}
	}
	return values
}

// best are the first n hits in order.
func (o *ordering) best(hits []hit, n int) []hit {
	slices.SortFunc(hits, func(a, b hit) int { return o.compare(&a, &b) })
	return hits[:min(n, len(hits))]
}

// compare orders two hits: by the sorters, rows without a value last, and then by key.
func (o *ordering) compare(a, b *hit) int {
	for i := range o.sorters {
		s, n := &o.sorters[i], 0
		switch {
		case o.sources[i] == nil && s.Key != nil:
			n = table.CompareKeys(a.row.Key, b.row.Key)
		case o.sources[i] == nil:
			n = a.offset - b.offset
		case len(a.values[i]) == 0 || len(b.values[i]) == 0:
			if n = len(b.values[i]) - len(a.values[i]); n != 0 {
				return n
			}
		default:
			n, _ = compareValues(a.values[i][0], b.values[i][0])
		}
		if s.descending() {
			n = -n
		}
		if n != 0 {
			return n
		}
	}
	if n := table.CompareKeys(a.row.Key, b.row.Key); n != 0 {
		return n
	}
	return a.offset - b.offset
}

func (o *sorter) descending() bool {
	switch {
	case o.Field != nil:
		return o.Field.Order == 1
	case o.Geo != nil:
		return o.Geo.Order == 1
	case o.Score != nil:
		return o.Score.Order == nil || *o.Score.Order == 1
	case o.Doc != nil:
		return o.Doc.Order == 1
	}
	return o.Key != nil && o.Key.Order == 1
}
