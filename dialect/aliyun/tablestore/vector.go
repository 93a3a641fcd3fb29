package tablestore

import (
	"context"
	"encoding/json"
	"math"
	"slices"

	"github.com/sluicehq/sluice/table"
)

// A vector is a JSON array of numbers in a STRING column. The nearest ones are found by looking at every row that
// the query's filter lets pass.

// Vectors on the wire, and their limits.
const (
	vectorFloat32   = 2
	metricEuclidean = 0
	metricCosine    = 1
	metricDot       = 2

	maxDimension = 4096
	maxNearest   = 1000
)

type vectorOptions struct {
	Type      int32 `pb:"1"`
	Dimension int32 `pb:"2"`
	Metric    int32 `pb:"3"`
}

type vectorQuery struct {
	Field  string    `pb:"1"`
	Top    *int32    `pb:"2"`
	Vector []float32 `pb:"4"`
	Filter *query    `pb:"5"`
	Min    *float32  `pb:"7"` // score
}

// checkVector checks what a field says of its vectors.
func (f *fieldSchema) checkVector() error {
	o := f.Vector
	if o == nil || o.Type != vectorFloat32 || o.Metric < metricEuclidean || o.Metric > metricDot || o.Dimension < 1 || o.Dimension > maxDimension {
		return invalid("vector options of field [%s] are invalid: the dimension must be in range [1, %d]", f.Name, maxDimension)
	}
	return nil
}

// vector reads a value of a vector field; nil when it is none of the field's dimension.
func (f *fieldSchema) vector(v table.Value) []float32 {
	var list []float32
	if v.Type != table.String || json.Unmarshal([]byte(v.Str), &list) != nil || len(list) != int(f.Vector.Dimension) {
		return nil
	}
	return list
}

// nearest are the rows whose vectors are nearest to that of a query. Which they are is found out before the
// search goes through the rows.
type nearest struct {
	field  *field
	filter *query
	passes matcher
	to     []float32
	top    int
	least  float64            // score
	scores map[string]float64 // by keyText
	keys   []table.Key        // in order
}

// vectors builds KnnVectorQuery.
func (q *queries) vectors(m *query) (matcher, error) {
	var vq vectorQuery
	if unmarshal(m.Query, &vq) != nil {
		return nil, badQuery(m)
	}
	f, err := q.field(vq.Field)
	switch {
	case err != nil:
		return nil, err
	case f.Type != fieldVector || f.Vector == nil || f.path != "":
		return nil, invalid("field [%s] is not a vector", vq.Field)
	case len(vq.Vector) != int(f.Vector.Dimension):
		return nil, invalid("the query vector of field [%s] has %d dimensions, not %d", vq.Field, len(vq.Vector), f.Vector.Dimension)
	case vq.Top == nil || *vq.Top < 1 || *vq.Top > maxNearest:
		return nil, invalid("top_k must be in range [1, %d]", maxNearest)
	}
	n := &nearest{field: f, filter: vq.Filter, to: vq.Vector, top: int(*vq.Top)}
	if n.filter == nil {
		n.filter = &query{Type: queryAll}
	}
	if vq.Min != nil {
		n.least = float64(*vq.Min)
	}
	if n.passes, err = q.build(n.filter); err != nil {
		return nil, err
	}
	q.scored = true
	if q.nearest == nil {
		q.nearest = map[string]*nearest{}
	}
	if same := q.nearest[string(m.Query)]; same != nil {
		n = same
	} else {
		q.nearest[string(m.Query)] = n
		q.pending = append(q.pending, n)
	}
	return func(d *document) (float64, bool) {
		if d.root != nil {
			d = d.root
		}
		score, ok := n.scores[keyText(d.key)]
		return score, ok
	}, nil
}

// findNearest finds out which rows are nearest to the vectors of the queries.
func (s *search) findNearest(ctx context.Context, tables *table.Tables) error {
	type one struct {
		key   table.Key
		score float64
	}
	for _, n := range s.queries.pending {
		var best []one
		keep := func() {
			slices.SortStableFunc(best, func(a, b one) int { // rows come in the order of keys
				switch {
				case a.score > b.score:
					return -1
				case a.score < b.score:
					return 1
				}
				return 0
			})
			best = best[:min(n.top, len(best))]
		}
		for row, err := range s.rows(ctx, tables, n.filter, nil, true) {
			if err != nil {
				return err
			}
			d := s.document(&row)
			if _, ok := n.passes(d); !ok {
				continue
			}
			for _, v := range d.values(n.field) {
				if score, ok := n.field.similarity(n.to, n.field.vector(v)); ok && score >= n.least {
					if best = append(best, one{row.Key, score}); len(best) >= 2*n.top {
						keep()
					}
				}
			}
		}
		keep()
		n.scores = map[string]float64{}
		for _, o := range best {
			n.scores[keyText(o.key)] = o.score
			n.keys = append(n.keys, o.key)
		}
		slices.SortFunc(n.keys, table.CompareKeys)
	}
	s.queries.pending = nil
	return nil
}

// similarity is greater the nearer two vectors are, and not negative.
func (f *fieldSchema) similarity(a, b []float32) (float64, bool) {
	if len(a) != len(b) {
		return 0, false
	}
	var dot, aa, bb, square float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, aa, bb, square = dot+x*y, aa+x*x, bb+y*y, square+(x-y)*(x-y)
	}
	switch f.Vector.Metric {
	case metricCosine:
		return (1 + dot/math.Sqrt(aa*bb)) / 2, aa > 0 && bb > 0
	case metricDot:
		if dot < 0 {
			return 1 / (1 - dot), true
		}
		return 1 + dot, true
	}
	return 1 / (1 + square), true
}
